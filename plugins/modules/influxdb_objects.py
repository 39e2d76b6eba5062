#!/usr/bin/python
# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: influxdb_objects
short_description: Databases, policies, queries and users of InfluxDB 1.x in one task
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Brings everything that a server is to hold into place, with two requests where nothing differs.
  - What is not named stays, except rights of the named users and, with O(databases[].exclusive_queries), queries of
    that database.
  - Makes the administrator of a server that has none. His password is made on the host if O(user_password_file) does
    not exist, so it is nowhere else.
options:
  databases:
    description: The databases, as P(chainops.infra.influxdb_ladder#filter) makes them.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name.
        type: str
        required: true
      retention_policies:
        description: Policies. The default one is what a new database begins with, instead of C(autogen).
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Name.
            type: str
            required: true
          duration:
            description:
              - How long points are kept, such as V(7d), V(90d), V(5y) (years of 365 days) or V(INF); at least V(1h).
            type: str
            required: true
          shard_duration:
            description:
              - Span of one shard, which is deleted as a whole. Left out, it stays, or is what the server chooses for
                the duration.
            type: str
          default:
            description:
              - Whether writes and queries that name no policy use this one. V(false) leaves that alone.
            type: bool
            default: false
      continuous_queries:
        description: Queries.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Name.
            type: str
            required: true
          query:
            description: C(SELECT ... INTO ... FROM ... GROUP BY time(...)).
            type: str
            required: true
          resample_every:
            description: How often it runs, such as V(1m). Left out, as often as its C(GROUP BY time) says.
            type: str
          resample_for:
            description:
              - Which span before now each run computes, so that late points count. Left out, the last interval.
            type: str
      exclusive_queries:
        description: Whether queries of this database that are not named are dropped.
        type: bool
        default: false
  users:
    description: Users.
    default: []
  allow_data_loss:
    description:
      - Whether data may be deleted by a shorter duration. Without it such a change is refused, in check mode
        too.
    type: bool
    default: false
extends_documentation_fragment:
  - chainops.infra.influxdb
  - chainops.infra.influxdb.users
"""

EXAMPLES = r"""
- name: A ladder, and who may use it
  chainops.infra.influxdb_objects:
    ca_path: /etc/chainops/tls/ca.pem
    databases: "{{ ladders | chainops.infra.influxdb_ladder }}"
    users:
      - {name: chain_metrics, password_file: /etc/influxdb/credentials/chain_metrics, grants: {chain: WRITE}}
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
from ..module_utils.influxdb.objects import State, Step, database_steps, policy_steps, query_steps, user_steps
from ..module_utils.influxdb_module import ALLOW_DATA_LOSS, CONNECTION, NAME, POLICY, QUERY, USER, run, user_wanted

WHOLE_POLICY = {**POLICY, "duration": {"type": "str", "required": True}}
WHOLE_QUERY = {**QUERY, "query": {"type": "str", "required": True}}
DATABASE: dict[str, Any] = {
    "name": NAME,
    "retention_policies": {"type": "list", "elements": "dict", "default": [], "options": WHOLE_POLICY},
    "continuous_queries": {"type": "list", "elements": "dict", "default": [], "options": WHOLE_QUERY},
    "exclusive_queries": {"type": "bool", "default": False},
}


def of_database(state: State, wanted: dict[str, Any]) -> list[Step]:
    """Policies first, as queries write into them."""
    name, policies = wanted["name"], wanted["retention_policies"]
    first = next((policy for policy in policies if policy["default"]), None)
    steps = database_steps(state, name, True, first)
    for policy in policies:
        steps += policy_steps(state, name, policy["name"], policy)
    queries = wanted["continuous_queries"]
    for query in queries:
        steps += query_steps(state, name, query["name"], query)
    if wanted["exclusive_queries"]:
        for other in sorted(set(state.databases[name].queries) - {query["name"] for query in queries}):
            steps += query_steps(state, name, other, None)
    return steps


def main() -> None:
    spec: dict[str, Any] = {
        **CONNECTION,
        **ALLOW_DATA_LOSS,
        "databases": {"type": "list", "elements": "dict", "default": [], "options": DATABASE},
        "users": {"type": "list", "elements": "dict", "default": [], "options": USER},
    }
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)

    def plan(state: State, client: Client) -> list[Step]:
        steps: list[Step] = []
        for database in module.params["databases"]:
            steps += of_database(state, database)
        for user in module.params["users"]:
            steps += user_steps(state, client, user["name"], user_wanted(user, module.check_mode))
        return steps

    run(module, plan, bootstrap=bool(module.params["user"]))


if __name__ == "__main__":
    main()
