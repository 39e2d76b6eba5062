#!/usr/bin/python
# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_size_info
short_description: How large the databases of a PostgreSQL server are
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Asks the server on this host through its socket. A standby answers as well as a primary.
options:
  socket_dir:
    description: Directory of the server's socket.
    type: path
    default: /var/run/postgresql
  port:
    description: Its port, which is a part of the socket's name.
    type: int
    default: 5432
  user:
    description: User of the host who asks, whom the server knows by his name. An empty one is the present user.
    type: str
    default: postgres
  timeout:
    description: Seconds until a server that does not answer is given up.
    type: float
    default: 10
attributes:
  check_mode:
    description: Nothing is ever changed.
    support: full
  diff_mode:
    description: Nothing is ever changed.
    support: none
"""

EXAMPLES = r"""
- name: See what fills the disk
  chainops.infra.postgresql_size_info:
  register: sizes
"""

RETURN = r"""
databases:
  description: The databases that take connections, without templates, the largest first.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
    bytes:
      description: Its size on disk.
      type: int
    connections:
      description: Sessions in it.
      type: int
standby:
  description: Whether the server is a standby.
  returned: success
  type: bool
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.pgbackrest.command import PgbackrestError
from ..module_utils.pgbackrest.psql import Psql

# jsonb, as that of json has line breaks in it
SQL = """
SELECT jsonb_build_object('databases', coalesce(jsonb_agg(d ORDER BY d.bytes DESC, d.name), '[]'),
                          'standby', pg_is_in_recovery())
  FROM (SELECT datname AS name, pg_database_size(oid) AS bytes,
               (SELECT count(*) FROM pg_stat_activity a WHERE a.datid = pg_database.oid) AS connections
          FROM pg_database WHERE datallowconn AND NOT datistemplate) d;
"""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "socket_dir": {"type": "path", "default": "/var/run/postgresql"},
            "port": {"type": "int", "default": 5432},
            "user": {"type": "str", "default": "postgres"},
            "timeout": {"type": "float", "default": 10},
        },
        supports_check_mode=True,
    )
    given = module.params
    found: dict[str, t.Any] = {}
    try:
        psql = Psql(given["socket_dir"], given["port"], user=given["user"] or None)
        found = psql.row(SQL, given["timeout"])
    except PgbackrestError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, databases=found["databases"], standby=found["standby"])


if __name__ == "__main__":
    main()
