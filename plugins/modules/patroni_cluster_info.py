#!/usr/bin/python
# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: patroni_cluster_info
short_description: What a Patroni cluster looks like, and whether it is whole
version_added: 0.2.0
author: The chainops.infra authors (@chainops)
description:
  - Asks the REST API of this member for the cluster, its configuration and its history.
  - With O(wait_whole) it waits until the cluster is whole. Then somebody leads, all of O(expected) stream on the
    leader's timeline and lag by no more than O(max_lag_mb), and take part in synchronous replication, if there is.
options:
  expected:
    description: Names of the members that must be there.
    type: list
    elements: str
    default: []
  max_lag_mb:
    description: MiB of WAL that a standby may lack and count as following.
    type: int
    default: 16
  wait_whole:
    description:
      - Seconds to wait until the cluster is whole; it is an error if it is not by then. V(0) only looks.
    type: int
    default: 0
extends_documentation_fragment: [chainops.infra.patroni]
attributes:
  check_mode:
    description: Nothing is ever changed.
    support: full
  diff_mode:
    description: Nothing is ever changed.
    support: none
"""

EXAMPLES = r"""
- name: Go on when all members are in sync
  chainops.infra.patroni_cluster_info:
    address: 10.87.1.21
    expected: [db-a, db-b, db-c, db-d]
    wait_whole: 120
  register: cluster
"""

RETURN = r"""
leader:
  description: Name of the member that leads, empty if nobody does.
  returned: success
  type: str
scope:
  description: Name of the cluster.
  returned: success
  type: str
members:
  description: The members.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
    role:
      description: V(leader), V(quorum_standby), V(sync_standby) or V(replica).
      type: str
    state:
      description: V(running) for a leader and V(streaming) for a standby, where all is well.
      type: str
    address:
      description: Address of its PostgreSQL.
      type: str
    port:
      description: Port of its PostgreSQL.
      type: int
    timeline:
      description: Timeline that it is on.
      type: int
    lag_bytes:
      description: Bytes of WAL that it lacks; -1 where that is not known.
      type: int
    pending_restart:
      description: Whether a parameter waits for its restart.
      type: bool
    pending_restart_reason:
      description: Those parameters, with their old and new values.
      type: dict
    tags:
      description: Its tags.
      type: dict
whole:
  description: Whether nothing is in RV(faults).
  returned: success
  type: bool
faults:
  description: What is not as it should be, one sentence each.
  returned: success
  type: list
  elements: str
config:
  description: Patroni's dynamic configuration.
  returned: success
  type: dict
failovers:
  description: How often another member has begun to lead, or the leader was restarted; the number of timelines before.
  returned: success
  type: int
last_failover:
  description: When the present timeline began, empty where it is the first.
  returned: success
  type: str
"""

import json
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.patroni.arguments import REST_ARGUMENTS, rest_of
from ..module_utils.patroni.members import described, faults, leader_of
from ..module_utils.patroni.rest import MEBIBYTE, Rest, RestError, eventually


def history(rest: Rest) -> list[list[t.Any]]:
    """Lines of [timeline, position, reason, time, leader]; none where Patroni cannot say."""
    status, text = rest.request("GET", "/history")
    try:
        found = json.loads(text) if status == 200 else []
    except ValueError:
        return []
    return [line for line in found if isinstance(line, list)] if isinstance(found, list) else []


def look(rest: Rest, options: dict[str, t.Any]) -> dict[str, t.Any]:
    cluster, config = rest.cluster(), rest.config()
    synchronous = config.get("synchronous_mode") in (True, "quorum", "on")
    lines = history(rest)
    wrong = faults(cluster, options["expected"], options["max_lag_mb"] * MEBIBYTE, synchronous)
    return {
        "leader": leader_of(cluster).get("name", ""),
        "scope": cluster.get("scope", ""),
        "members": [described(member) for member in cluster["members"]],
        "whole": not wrong,
        "faults": wrong,
        "config": config,
        "failovers": len(lines),
        "last_failover": next((str(line[3]) for line in reversed(lines) if len(line) > 3), ""),
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **REST_ARGUMENTS,
            "expected": {"type": "list", "elements": "str", "default": []},
            "max_lag_mb": {"type": "int", "default": 16},
            "wait_whole": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    options = module.params
    seen: dict[str, t.Any] = {}

    def whole() -> bool:
        seen.update(look(rest, options))
        return bool(seen["whole"])

    try:
        rest = rest_of(options)
        good, trouble = eventually(whole, options["wait_whole"])
    except RestError as error:
        module.fail_json(msg=str(error))
    if not seen or trouble:
        module.fail_json(msg=trouble)
    if options["wait_whole"] and not good:
        module.fail_json(
            msg=f"the cluster is not whole after {options['wait_whole']} s: {'; '.join(seen['faults'])}", **seen
        )
    module.exit_json(changed=False, **seen)


if __name__ == "__main__":
    main()
