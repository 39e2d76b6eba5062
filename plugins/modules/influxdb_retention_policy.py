#!/usr/bin/python
# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: influxdb_retention_policy
short_description: Retention policies of a database of InfluxDB 1.x
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Creates, alters in place and drops the retention policies of one database over the HTTP API.
  - The server deletes what a policy no longer covers within half an hour, shard by shard. Nothing brings it back but a
    backup.
options:
  database:
    description: The database, which must exist.
    type: str
    required: true
  policies:
    description: The policies. With O(state=absent) only their names are read.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name.
        type: str
        required: true
      duration:
        description:
          - How long points are kept, such as V(7d), V(90d), V(5y) (years of 365 days) or V(INF); at least V(1h).
            Needed with O(state=present).
        type: str
      shard_duration:
        description:
          - Span of one shard, which is deleted as a whole. Left out, it stays, or is what the server chooses for the
            duration.
        type: str
      default:
        description:
          - Whether writes and queries that name no policy use this one. V(false) leaves that alone.
        type: bool
        default: false
  state:
    description: Whether they exist. V(absent) needs O(allow_data_loss).
    type: str
    choices: [present, absent]
    default: present
  allow_data_loss:
    description:
      - Whether data may be deleted by a shorter duration or a dropped policy. Without it such a change is refused, in
        check mode too.
    type: bool
    default: false
extends_documentation_fragment:
  - chainops.infra.influxdb
"""

EXAMPLES = r"""
- name: Keep raw points for a week, and minutes for a quarter
  chainops.infra.influxdb_retention_policy:
    database: chain
    policies:
      - {name: raw, duration: 7d, shard_duration: 1d, default: true}
      - {name: m1, duration: 90d}

- name: Keep less from now on
  chainops.infra.influxdb_retention_policy:
    database: chain
    policies:
      - {name: m1, duration: 30d}
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
from ..module_utils.influxdb.objects import State, Step, policy_steps
from ..module_utils.influxdb_module import ALLOW_DATA_LOSS, CONNECTION, POLICY, STATE, run


def main() -> None:
    spec: dict[str, Any] = {
        **CONNECTION,
        **STATE,
        **ALLOW_DATA_LOSS,
        "database": {"type": "str", "required": True},
        "policies": {"type": "list", "elements": "dict", "required": True, "options": POLICY},
    }
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    given = module.params
    present = given["state"] == "present"
    for policy in given["policies"]:
        if present and not policy["duration"]:
            module.fail_json(msg=f"policies: {policy['name']} has no duration")

    def plan(state: State, client: Client) -> list[Step]:
        steps: list[Step] = []
        for policy in given["policies"]:
            steps += policy_steps(state, given["database"], policy["name"], policy if present else None)
        return steps

    run(module, plan)


if __name__ == "__main__":
    main()
