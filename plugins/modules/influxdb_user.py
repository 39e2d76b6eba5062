#!/usr/bin/python
# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: influxdb_user
short_description: Users of InfluxDB 1.x and their rights
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Creates and drops users, and sets their passwords and rights over the HTTP API.
  - Passwords are read from files on the host and go out in the body of a request; none is an argument of this module or
    of any program. The server keeps a hash only, so a password is compared by logging in with it.
  - The server has one right per user and database. A grant replaces the one before, and reading and writing together is
    V(ALL).
options:
  users:
    description: The users. With O(state=absent) only their names are read.
    required: true
  state:
    description: Whether they exist.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - chainops.infra.influxdb
  - chainops.infra.influxdb.users
"""

EXAMPLES = r"""
- name: Let the nodes write and the dashboards read
  chainops.infra.influxdb_user:
    ca_path: /etc/chainops/tls/ca.pem
    users:
      - {name: chain_metrics, password_file: /etc/influxdb/credentials/chain_metrics, grants: {chain: WRITE}}
      - {name: dashboards, password_file: /etc/influxdb/credentials/dashboards, grants: {chain: READ}}
"""

RETURN = r"""
changes:
  description: One line for each object that changed, or would in check mode.
  returned: success
  type: list
  elements: str
  sample: ["policy chain.m1: kept 90d, shards 1d"]
losses:
  description: What data the changes delete; empty for most.
  returned: success
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.influxdb.client import Client
from ..module_utils.influxdb.objects import State, Step, user_steps
from ..module_utils.influxdb_module import CONNECTION, STATE, USER, run, user_wanted


def main() -> None:
    spec: dict[str, Any] = {
        **CONNECTION,
        **STATE,
        "users": {"type": "list", "elements": "dict", "required": True, "options": USER},
    }
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    given = module.params

    def plan(state: State, client: Client) -> list[Step]:
        steps: list[Step] = []
        for user in given["users"]:
            wanted = user_wanted(user, module.check_mode) if given["state"] == "present" else None
            steps += user_steps(state, client, user["name"], wanted)
        return steps

    run(module, plan)


if __name__ == "__main__":
    main()
