#!/usr/bin/python
# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: influxdb_continuous_query
short_description: Continuous queries of a database of InfluxDB 1.x
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Creates, replaces and drops the continuous queries of one database over the HTTP API.
  - The server shows a query in words of its own (quotes, capitals, C(60m) as C(1h)); both texts are compared word by
    word after that. One that differs is dropped and made anew in one request, which the server parses whole before it
    drops anything.
options:
  database:
    description: The database, which must exist.
    type: str
    required: true
  queries:
    description: The queries. With O(state=absent) only their names are read.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name.
        type: str
        required: true
      query:
        description: C(SELECT ... INTO ... FROM ... GROUP BY time(...)). Needed with O(state=present).
        type: str
      resample_every:
        description: How often it runs, such as V(1m). Left out, as often as its C(GROUP BY time) says.
        type: str
      resample_for:
        description: Which span before now each run computes, so that late points count. Left out, the last interval.
        type: str
  state:
    description: Whether they exist.
    type: str
    choices: [present, absent]
    default: present
  exclusive:
    description: Whether queries of the database that are not named are dropped. Only with O(state=present).
    type: bool
    default: false
extends_documentation_fragment:
  - chainops.infra.influxdb
"""

EXAMPLES = r"""
- name: Means of each minute
  chainops.infra.influxdb_continuous_query:
    database: chain
    queries:
      - name: m1
        query: SELECT mean(*) INTO chain.m1.:MEASUREMENT FROM chain.raw./.*/ GROUP BY time(1m), *
        resample_for: 10m
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
from ..module_utils.influxdb.objects import State, Step, existing, query_steps
from ..module_utils.influxdb_module import CONNECTION, QUERY, STATE, run


def main() -> None:
    spec: dict[str, Any] = {
        **CONNECTION,
        **STATE,
        "database": {"type": "str", "required": True},
        "queries": {"type": "list", "elements": "dict", "default": [], "options": QUERY},
        "exclusive": {"type": "bool", "default": False},
    }
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    given = module.params
    database, present = given["database"], given["state"] == "present"
    for query in given["queries"]:
        if present and not query["query"]:
            module.fail_json(msg=f"queries: {query['name']} has no query")

    def plan(state: State, client: Client) -> list[Step]:
        steps: list[Step] = []
        names = {query["name"] for query in given["queries"]}
        for query in given["queries"]:
            steps += query_steps(state, database, query["name"], query if present else None)
        if present and given["exclusive"]:
            for name in sorted(set(existing(state, database).queries) - names):
                steps += query_steps(state, database, name, None)
        return steps

    run(module, plan)


if __name__ == "__main__":
    main()
