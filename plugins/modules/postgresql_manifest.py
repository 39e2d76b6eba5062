#!/usr/bin/python
# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_manifest
short_description: Name a restore point, and say what a database held at it
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Makes a restore point with pg_create_restore_point() and counts, as of exactly that point, the rows of tables, with
    sums of the content of chosen ones. A marker row is written before the point and one after it.
  - Writers to the tables wait until snapshot and restore point are made, which takes milliseconds; at most
    O(lock_timeout_ms) where a long transaction holds a table, after which writers go on and another attempt is made.
  - Then it waits until the WAL that holds the point is in every repository, unless O(wait=false).
  - On a standby it does nothing, and says so in RV(leader).
options:
  name:
    description: Name of the restore point. It must not have been used before.
    type: str
    required: true
  stanza:
    description: Name of the cluster in the repositories.
    type: str
    required: true
  database:
    description: Database to look at.
    type: str
    default: postgres
  tables:
    description: Tables to count, as V(schema.table). Empty for all tables of the database.
    type: list
    elements: str
    default: []
  checksum_tables:
    description: Tables of which the content is summed up too. All of such a table is read.
    type: list
    elements: str
    default: []
  lock_timeout_ms:
    description: Milliseconds that one attempt may make writers wait, for all tables together.
    type: int
    default: 2000
  archive_timeout:
    description: Seconds until the WAL must be in every repository.
    type: int
    default: 120
  wait:
    description:
      - Whether to wait for the WAL at all. A drill waits for that of its own repository, so that one which is down
        keeps no other from being drilled.
    type: bool
    default: true
  socket_dir:
    description: Directory of PostgreSQL's socket.
    type: path
    default: /var/run/postgresql
  port:
    description: PostgreSQL's port, which names the socket.
    type: int
    default: 5432
  user:
    description: User of the system, who is a superuser of the cluster by peer authentication.
    type: str
    default: postgres
attributes:
  check_mode:
    description: Says that a restore point would be made.
    support: full
  diff_mode:
    description: There is nothing to compare with.
    support: none
"""

EXAMPLES = r"""
- name: Note what the database holds
  chainops.infra.postgresql_manifest:
    name: "drill-{{ now(utc=true, fmt='%Y%m%dT%H%M%SZ') }}"
    stanza: main
    database: app
    checksum_tables: [public.accounts]
"""

RETURN = r"""
leader:
  description: Whether this server takes writes, so that a manifest was made.
  returned: success
  type: bool
manifest:
  description: What M(chainops.infra.postgresql_drill) compares a restored copy with. It holds no content of tables.
  returned: on the leader, outside of check mode
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.pgbackrest.command import PgbackrestError
from ..module_utils.pgbackrest.manifest import Wish, make, state
from ..module_utils.pgbackrest.psql import Psql


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "stanza": {"type": "str", "required": True},
            "database": {"type": "str", "default": "postgres"},
            "tables": {"type": "list", "elements": "str", "default": []},
            "checksum_tables": {"type": "list", "elements": "str", "default": []},
            "lock_timeout_ms": {"type": "int", "default": 2000},
            "archive_timeout": {"type": "int", "default": 120},
            "wait": {"type": "bool", "default": True},
            "socket_dir": {"type": "path", "default": "/var/run/postgresql"},
            "port": {"type": "int", "default": 5432},
            "user": {"type": "str", "default": "postgres"},
        },
        supports_check_mode=True,
    )
    given = module.params
    wish = Wish(
        given["name"],
        given["stanza"],
        tuple(given["tables"]),
        tuple(given["checksum_tables"]),
        given["lock_timeout_ms"],
        archive_timeout=given["archive_timeout"],
        wait=given["wait"],
    )
    psql = Psql(given["socket_dir"], given["port"], given["database"], given["user"])
    try:
        wish.check()
        system = state(psql)
        if system["standby"]:
            module.exit_json(changed=False, leader=False)
        if module.check_mode:
            module.exit_json(changed=True, leader=True)
        module.exit_json(changed=True, leader=True, manifest=make(psql, wish, system))
    except (PgbackrestError, ValueError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
