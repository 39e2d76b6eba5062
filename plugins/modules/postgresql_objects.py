#!/usr/bin/python
# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_objects
short_description: Databases, roles and what they may do, as data
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Brings databases, roles, memberships, schemas, extensions, functions and grants of a PostgreSQL cluster to what is
    described, in one call. What is not named is left alone.
  - What is there is read with one query for the cluster, and one for each database that something inside of is named
    for. Then one statement is executed for each difference.
  - It is meant to run on every member of a cluster. Where PostgreSQL is a standby it says so and changes nothing, so
    that whoever leads does it, also right after a failover.
  - It needs C(psql) on the host and peer authentication on the socket, no library.
options:
  roles:
    description: Roles. Attributes that are not given are left alone; a new role has PostgreSQL's defaults.
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: Name., type: str, required: true}
      state: {description: Whether it exists., type: str, choices: [present, absent], default: present}
      login: {description: May connect., type: bool}
      superuser: {description: May do everything., type: bool}
      createdb: {description: May create databases., type: bool}
      createrole: {description: May create roles., type: bool}
      replication: {description: May connect for replication., type: bool}
      bypassrls: {description: Is not bound by row-level security., type: bool}
      inherit: {description: Uses what its roles may without C(SET ROLE)., type: bool}
      connection_limit: {description: Most connections at once; V(-1) is no limit., type: int}
      valid_until:
        description: When its password ends, in UTC as V(2030-01-31T00:00:00Z), or V(infinity).
        type: str
      password_verifier:
        description: >-
          SCRAM-SHA-256 verifier, as C(rolpassword) of C(pg_authid) holds it. It lets nobody log in who does not know
          the password, but lets guesses be tried, so keep it as you keep a password.
        type: str
      password_file:
        description:
          - Path on the host of a file with the password, one line, which others may not read.
          - A verifier is made of it here, with a new salt, unless the one that is there was made of this password.
        type: path
      settings:
        description: Parameters of its sessions. A list is one of names, as for C(search_path); V(null) takes one away.
        type: dict
        default: {}
  memberships:
    description: Which role is a member of which. Options that are not given are left alone.
    type: list
    elements: dict
    default: []
    suboptions:
      role: {description: Role that is granted., type: str, required: true}
      member: {description: Role that it is granted to., type: str, required: true}
      state: {description: Whether it is., type: str, choices: [present, absent], default: present}
      admin: {description: May grant it on., type: bool}
      inherit: {description: Has its rights without C(SET ROLE)., type: bool}
      set: {description: May change to it with C(SET ROLE)., type: bool}
  databases:
    description: Databases.
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: Name., type: str, required: true}
      state: {description: Whether it exists., type: str, choices: [present, absent], default: present}
      owner: {description: Role that owns it., type: str}
      encoding: {description: Encoding. One that is there and differs is an error., type: str}
      locale: {description: Locale. One that is there and differs is an error., type: str}
      template: {description: What a new one is copied from., type: str, default: template0}
      connection_limit: {description: Most connections at once; V(-1) is no limit., type: int}
      settings: {description: Parameters of sessions in it; V(null) takes one away., type: dict, default: {}}
  schemas:
    description: Schemas.
    type: list
    elements: dict
    default: []
    suboptions:
      database: {description: Database that it is in., type: str, required: true}
      name: {description: Name., type: str, required: true}
      state: {description: Whether it exists., type: str, choices: [present, absent], default: present}
      owner: {description: Role that owns it., type: str}
  extensions:
    description: Extensions, whose files are on the host.
    type: list
    elements: dict
    default: []
    suboptions:
      database: {description: Database that it is in., type: str, required: true}
      name: {description: Name., type: str, required: true}
      state: {description: Whether it exists., type: str, choices: [present, absent], default: present}
      schema: {description: Schema of its objects., type: str}
      version: {description: Version. One that is there is brought to it., type: str}
      cascade: {description: Install what it needs as well., type: bool, default: false}
  functions:
    description:
      - Functions, each with who may execute it. PostgreSQL lets everybody execute a new one; here nobody may but its
        owner and who is named.
    type: list
    elements: dict
    default: []
    suboptions:
      database: {description: Database that it is in., type: str, required: true}
      schema: {description: Schema that it is in., type: str, required: true}
      name: {description: Name., type: str, required: true}
      state: {description: Whether it exists., type: str, choices: [present, absent], default: present}
      arguments: {description: Names and types of its arguments as C(\df) shows them, type: str, default: ""}
      returns: {description: What it returns as C(\df) shows it., type: str, default: void}
      language: {description: Language., type: str, default: sql}
      body: {description: What it does., type: str, default: ""}
      security_definer: {description: It may what its owner may., type: bool, default: false}
      settings: {description: Parameters while it runs; all that it has., type: dict, default: {}}
      owner: {description: Role that owns it., type: str}
      execute: {description: Roles that may execute it; V(public) is everybody., type: list, elements: str, default: []}
  grants:
    description: Privileges. Those that are not named are left alone.
    type: list
    elements: dict
    default: []
    suboptions:
      database: {description: Database that they are in., type: str, required: true}
      role: {description: Role that gets them; V(public) is everybody., type: str, required: true}
      type:
        description: What they are on. A view is a V(table).
        type: str
        choices: [database, schema, table, sequence, function]
        required: true
      privileges: {description: "Privileges, as V(select), or V(all).", type: list, elements: str, required: true}
      schema: {description: "Schema, with any type but V(database).", type: str}
      objects:
        description:
          - Names; of functions with their argument types, as V(f(integer)). Empty is all that the schema has now.
        type: list
        elements: str
        default: []
      default_for:
        description: Role of whose objects, made from now on, these are the privileges (C(ALTER DEFAULT PRIVILEGES)).
        type: str
      grant_option: {description: May grant them on., type: bool, default: false}
      state: {description: Whether the role has them., type: str, choices: [present, absent], default: present}
  on_standby:
    description: What to do where PostgreSQL is a standby. V(skip) ends well with RV(primary) false.
    type: str
    choices: [skip, fail]
    default: skip
  allow_data_loss:
    description: Let a database or a schema that is V(absent) be dropped with all that is in it.
    type: bool
    default: false
  socket_dir: {description: Directory of PostgreSQL's socket., type: path, default: /var/run/postgresql}
  port: {description: Port that names the socket., type: int, default: 5432}
  os_user: {description: User of the host that is the superuser postgres., type: str, default: postgres}
  timeout: {description: Seconds for one statement., type: float, default: 60}
attributes:
  check_mode:
    description:
      - Says which statements would be executed. What is only made by this call is taken for empty.
      - Where there is no server yet, as before a first run, it warns and says changed.
    support: full
  diff_mode:
    description: Shows each object before and after; of passwords, only that they change.
    support: full
notes:
  - Verifiers and passwords are in no argument list, environment, result or log, nor in PostgreSQL's own.
  - Supports PostgreSQL 16 and later.
"""

EXAMPLES = r"""
- name: What the application needs, on whoever leads
  chainops.infra.postgresql_objects:
    roles:
      - {name: app, login: true, password_file: /etc/chainops/postgresql/app.password, connection_limit: 50}
      - {name: reporting, login: true}
    databases:
      - {name: app, owner: app, encoding: UTF8}
    extensions:
      - {database: app, name: pg_stat_statements}
    grants:
      - {database: app, role: public, type: schema, schema: public, privileges: [create], state: absent}
      - {database: app, role: reporting, type: table, schema: public, privileges: [select]}
      - {database: app, role: reporting, type: table, schema: public, privileges: [select], default_for: app}
"""

RETURN = r"""
primary:
  description: Whether this host leads. On a standby nothing was looked at.
  returned: success
  type: bool
objects:
  description: What was changed, or would be, once for each.
  returned: success
  type: list
  elements: str
  sample: ["role app", "database app"]
statements:
  description: The statements, in order, without verifiers.
  returned: success
  type: list
  elements: str
"""

import re

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.chainops.infra.plugins.module_utils.pg_objects.change import Change
from ansible_collections.chainops.infra.plugins.module_utils.pg_objects.objects import (
    Failed,
    execute,
    make_plan,
    read_state,
)
from ansible_collections.chainops.infra.plugins.module_utils.pg_objects.psql import Psql
from ansible_collections.chainops.infra.plugins.module_utils.pg_objects.spec import arguments


def check_given(given: dict) -> None:
    """What the argument specification cannot say; a name that comes twice would be changed to and fro by each run."""
    for name, keys in {"roles": ["name"], "databases": ["name"], "memberships": ["role", "member"]}.items():
        seen = [tuple(item[key] for key in keys) for item in given[name]]
        twice = sorted({" in ".join(reversed(item)) for item in seen if seen.count(item) > 1})
        if twice:
            raise Failed(f"{name}: {', '.join(twice)} is given more than once")
    for item in given["roles"]:
        until = item["valid_until"]
        if until and not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|infinity", until):
            raise Failed(f"role {item['name']}: valid_until = {until!r} must be as 2030-01-31T00:00:00Z, or infinity")


def difference(changes: list[Change]) -> dict[str, str]:
    return {
        side: "".join(f"{change.obj}: {getattr(change, side)}\n" for change in changes) for side in ("before", "after")
    }


def run(given: dict, check_mode: bool, done: list[Change]) -> dict:
    check_given(given)
    psql = Psql(given["socket_dir"], given["port"], given["os_user"], timeout=given["timeout"])
    if check_mode and not psql.expected():
        return {"changed": True, "primary": False, "objects": [], "statements": [], "missing": True}
    state = read_state(psql)
    if state["standby"]:
        if given["on_standby"] == "fail":
            raise Failed("PostgreSQL is a standby here; run this on the primary, or set on_standby to skip")
        return {"changed": False, "primary": False, "objects": [], "statements": [], "diff": difference([])}
    changes = make_plan(psql, state, given).all()
    if not check_mode:
        execute(psql, changes, done)
    return {
        "changed": bool(changes),
        "primary": True,
        "objects": list(dict.fromkeys(change.obj for change in changes)),
        "statements": [change.words for change in changes],
        "diff": difference(changes),
    }


def main() -> None:
    module = AnsibleModule(argument_spec=arguments(), supports_check_mode=True)
    done: list[Change] = []
    try:
        result = run(module.params, module.check_mode, done)
    except Failed as error:
        module.fail_json(msg=str(error), changed=bool(done), statements=[change.words for change in done])
    except Exception as error:
        module.fail_json(msg=f"unforeseen {type(error).__name__}; its text is not shown, as it may hold a secret")
    if result.pop("missing", False):
        module.warn(
            f"postgresql_objects: there is no server on {module.params['socket_dir']}, port {module.params['port']} "
            "yet; it would be looked at after the tasks before it"
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
