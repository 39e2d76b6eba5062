# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Names and values in SQL, whatever is in them."""

from __future__ import annotations

import re
from collections.abc import Iterable

# What PostgreSQL writes without quotes in a list such as search_path. Keywords are quoted too, which reads the same.
PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
MAX_BYTES = 63


class BadName(ValueError):
    """A name that PostgreSQL cannot hold, or would cut off."""


def ident(name: str) -> str:
    """A name as an identifier. PostgreSQL cuts longer ones off with a notice, and would mean another object."""
    if not name or "\0" in name or len(name.encode()) > MAX_BYTES:
        raise BadName(f"{name[:80]!r} must have from 1 to {MAX_BYTES} bytes, none of them zero")
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A value as a string. Backslashes are doubled in a string that says so, whatever the server is set to."""
    if "\0" in value:
        raise BadName(f"{value[:80]!r} holds a zero byte")
    quoted = value.replace("'", "''")
    return " E'" + quoted.replace("\\", "\\\\") + "'" if "\\" in value else "'" + quoted + "'"


def names(values: Iterable[str]) -> str:
    return ", ".join(ident(value) for value in values)


def role(name: str) -> str:
    """A role that is granted to; public, in lower case, is everybody and cannot be a role's name."""
    return "PUBLIC" if name == "public" else ident(name)


def setting_value(value: object) -> str:
    """A value after SET … =; a list is one of names, as search_path wants them."""
    if isinstance(value, list):
        return ", ".join(literal(str(item)) for item in value)
    return literal(plain(value))


def stored_value(value: object) -> str:
    """The same value as the catalog holds it."""
    if isinstance(value, list):
        return ", ".join(item if PLAIN.fullmatch(item) else ident(item) for item in map(str, value))
    return plain(value)


def plain(value: object) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def setting_name(name: str) -> str:
    """A parameter, which may have a prefix: each part is an identifier."""
    return ".".join(ident(part) for part in name.split("."))
