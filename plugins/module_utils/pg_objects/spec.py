# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the module postgresql_objects is given."""

from __future__ import annotations

import typing as t

STATE = {"type": "str", "choices": ["present", "absent"], "default": "present"}
NAME = {"type": "str", "required": True}
WORD = {"type": "str"}
FLAG = {"type": "bool"}
NUMBER = {"type": "int"}
SETTINGS = {"type": "dict", "default": {}}
ITEMS: dict[str, dict[str, t.Any]] = {
    "roles": {
        **{"name": NAME, "state": STATE, "connection_limit": NUMBER, "valid_until": WORD, "settings": SETTINGS},
        **dict.fromkeys(("login", "superuser", "createdb", "createrole", "replication", "bypassrls", "inherit"), FLAG),
        "password_verifier": {"type": "str", "no_log": True},
        "password_file": {"type": "path", "no_log": False},
    },
    "memberships": {"role": NAME, "member": NAME, "state": STATE, "admin": FLAG, "inherit": FLAG, "set": FLAG},
    "databases": {
        **{"name": NAME, "state": STATE, "owner": WORD, "encoding": WORD, "locale": WORD, "connection_limit": NUMBER},
        **{"template": {"type": "str", "default": "template0"}, "settings": SETTINGS},
    },
    "schemas": {"database": NAME, "name": NAME, "state": STATE, "owner": WORD},
    "extensions": {
        **{"database": NAME, "name": NAME, "state": STATE, "schema": WORD, "version": WORD},
        "cascade": {"type": "bool", "default": False},
    },
    "functions": {
        **{"database": NAME, "schema": NAME, "name": NAME, "state": STATE, "owner": WORD, "settings": SETTINGS},
        "arguments": {"type": "str", "default": ""},
        "returns": {"type": "str", "default": "void"},
        "language": {"type": "str", "default": "sql"},
        "body": {"type": "str", "default": ""},
        "security_definer": {"type": "bool", "default": False},
        "execute": {"type": "list", "elements": "str", "default": []},
    },
    "grants": {
        **{"database": NAME, "role": NAME, "state": STATE, "schema": WORD, "default_for": WORD},
        "type": {"type": "str", "choices": ["database", "schema", "table", "sequence", "function"], "required": True},
        "privileges": {"type": "list", "elements": "str", "required": True},
        "objects": {"type": "list", "elements": "str", "default": []},
        "grant_option": {"type": "bool", "default": False},
    },
}


def arguments() -> dict[str, t.Any]:
    spec: dict[str, t.Any] = {
        name: {"type": "list", "elements": "dict", "default": [], "options": options} for name, options in ITEMS.items()
    }
    spec["roles"]["mutually_exclusive"] = [("password_verifier", "password_file")]
    return spec | {
        "on_standby": {"type": "str", "choices": ["skip", "fail"], "default": "skip"},
        "allow_data_loss": {"type": "bool", "default": False},
        "socket_dir": {"type": "path", "default": "/var/run/postgresql"},
        "port": {"type": "int", "default": 5432},
        "os_user": {"type": "str", "default": "postgres"},
        "timeout": {"type": "float", "default": 60},
    }
