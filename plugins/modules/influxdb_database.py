#!/usr/bin/python
# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: influxdb_database
short_description: Databases of InfluxDB 1.x
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Creates databases and drops them over the HTTP API.
  - Where policies, queries and users belong to them, M(chainops.infra.influxdb_objects) does it all in one task.
options:
  name:
    description: Names of the databases.
    type: list
    elements: str
    required: true
  state:
    description: Whether they exist. V(absent) needs O(allow_data_loss).
    type: str
    choices: [present, absent]
    default: present
  allow_data_loss:
    description:
      - Whether data may be deleted with a database. Without it such a change is refused, in check mode
        too.
    type: bool
    default: false
extends_documentation_fragment:
  - chainops.infra.influxdb
"""

EXAMPLES = r"""
- name: Make two databases
  chainops.infra.influxdb_database:
    name: [chain, site]
    ca_path: /etc/chainops/tls/ca.pem

- name: Drop one with all that is in it
  chainops.infra.influxdb_database:
    name: [old]
    state: absent
    allow_data_loss: true
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
from ..module_utils.influxdb.objects import State, Step, database_steps
from ..module_utils.influxdb_module import ALLOW_DATA_LOSS, CONNECTION, STATE, run


def main() -> None:
    spec: dict[str, Any] = {
        **CONNECTION,
        **STATE,
        **ALLOW_DATA_LOSS,
        "name": {"type": "list", "elements": "str", "required": True},
    }
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)

    def plan(state: State, client: Client) -> list[Step]:
        present = module.params["state"] == "present"
        return [step for name in module.params["name"] for step in database_steps(state, name, present)]

    run(module, plan)


if __name__ == "__main__":
    main()
