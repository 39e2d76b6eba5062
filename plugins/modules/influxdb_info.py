#!/usr/bin/python
# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: influxdb_info
short_description: Databases, retention policies and sizes of an InfluxDB server
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Asks the server for its databases, policies, queries and numbers of series, and measures its files.
options:
  data_dir:
    description: Directory with the server's data and log, which is measured. An empty one measures nothing.
    type: str
    default: /var/lib/influxdb
extends_documentation_fragment: [chainops.infra.influxdb]
attributes:
  check_mode:
    description: Nothing is ever changed.
    support: full
  diff_mode:
    description: Nothing is ever changed.
    support: none
"""

EXAMPLES = r"""
- name: See what the server holds
  chainops.infra.influxdb_info:
    ca_path: /etc/chainops/tls/ca.pem
  register: influxdb
"""

RETURN = r"""
version:
  description: Version of the server.
  returned: success
  type: str
databases:
  description: Its databases, by name. Each has C(series) (their number), C(queries) (names of its continuous queries)
    and C(policies), by name, with C(duration) and C(shard) as InfluxDB writes them (C(INF) is for ever) and C(default).
  returned: success
  type: dict
bytes:
  description: Size of all files under O(data_dir); -1 where they were not measured.
  returned: success
  type: int
free_bytes:
  description: Free space of their file system; -1 where it was not measured.
  returned: success
  type: int
"""

import os
import shutil
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.influxdb import influxql
from ..module_utils.influxdb.client import Client
from ..module_utils.influxdb.objects import Policy, read
from ..module_utils.influxdb_module import CONNECTION, client_of, finish


def series(client: Client, database: str) -> int:
    (answer,) = client.query(f"SHOW SERIES CARDINALITY ON {influxql.name(database)}")
    return sum(int(row[0]) for part in answer for row in part.get("values") or [])


def described(policy: Policy) -> dict[str, t.Any]:
    kept = influxql.duration(policy.duration) if policy.duration else "INF"
    return {"duration": kept, "shard": influxql.duration(policy.shard), "default": policy.default}


def measured(directory: str) -> tuple[int, int]:
    """Bytes of all files, and free ones; files that a compaction takes away meanwhile do not count."""
    if not directory or not Path(directory).is_dir():
        return -1, -1
    total = 0
    for folder, _folders, files in os.walk(directory):
        for name in files:
            try:
                total += Path(folder, name).lstat().st_size
            except OSError:
                continue
    return total, shutil.disk_usage(directory).free


def look(given: dict[str, t.Any]) -> dict[str, t.Any]:
    client = client_of(given)
    state = read(client)
    databases = {
        name: {
            "series": series(client, name),
            "queries": sorted(database.queries),
            "policies": {policy: described(found) for policy, found in sorted(database.policies.items())},
        }
        for name, database in sorted(state.databases.items())
        # the server's own figures of itself
        if name != "_internal"
    }
    size, free = measured(given["data_dir"])
    return {"version": client.version(), "databases": databases, "bytes": size, "free_bytes": free}


def main() -> None:
    module = AnsibleModule(
        argument_spec={**CONNECTION, "data_dir": {"type": "str", "default": "/var/lib/influxdb"}},
        supports_check_mode=True,
    )
    finish(module, f"InfluxDB at {module.params['url']}", lambda: {"changed": False, **look(module.params)})


if __name__ == "__main__":
    main()
