#!/usr/bin/python
# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: patroni_switchover
short_description: Have another member of a Patroni cluster lead
version_added: 0.2.0
author: The chainops.infra authors (@chainops)
description:
  - Asks for a planned switchover, and waits until the other member leads and the former leader follows it. Nothing that
    was committed is lost, as the leader stops before the other begins.
  - It is done when it is so already, so that it can be repeated.
options:
  candidate:
    description: Member that is to lead. Without it, Patroni chooses the best, and O(leave) must be given.
    type: str
  leave:
    description: Member that must not lead. Nothing is done if another one does.
    type: str
  timeout:
    description: Seconds until the new leader leads and the former one follows.
    type: int
    default: 120
extends_documentation_fragment: [chainops.infra.patroni]
attributes:
  check_mode:
    description: Says whether there would be a switchover.
    support: full
  diff_mode:
    description: Shows who led and who leads.
    support: full
"""

EXAMPLES = r"""
- name: Take the lead away from this host before it is rebooted
  chainops.infra.patroni_switchover:
    address: 10.87.1.21
    leave: db-a
"""

RETURN = r"""
leader:
  description: Name of the member that leads now. In check mode, the one asked for, empty if Patroni chooses.
  returned: success
  type: str
former:
  description: Name of the member that led before.
  returned: success
  type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.patroni.arguments import REST_ARGUMENTS, rest_of
from ..module_utils.patroni.members import described, leader_of, member_of
from ..module_utils.patroni.rest import Rest, RestError, eventually


def obstacle(cluster: dict[str, t.Any], candidate: str | None) -> str:
    """Why there can be no switchover; empty if there can."""
    if not leader_of(cluster):
        return "nobody leads, so that there is nothing to switch over from (patronictl failover is for that)"
    if cluster.get("pause"):
        return "the cluster is paused (patronictl resume ends it)"
    if candidate:
        found = member_of(cluster, candidate)
        if not found:
            return f"{candidate} is not in the cluster"
        if found.get("state") != "streaming":
            return f"{candidate} is {found.get('state')}, and must stream to take over"
    elif not any(member.get("state") == "streaming" for member in cluster["members"]):
        return "no standby streams, so that nobody could take over"
    return ""


def settled(cluster: dict[str, t.Any], former: str, candidate: str | None) -> bool:
    """The new leader runs, and the former one follows it."""
    leader = described(leader_of(cluster))
    after = described(member_of(cluster, former))
    return (
        leader["name"] not in ("", former)
        and (not candidate or leader["name"] == candidate)
        and leader["state"] == "running"
        and after["state"] == "streaming"
        and after["timeline"] == leader["timeline"]
    )


def switch(rest: Rest, options: dict[str, t.Any], former: str) -> str:
    """The name of the new leader."""
    candidate = options["candidate"]
    body = {"leader": former} | ({"candidate": candidate} if candidate else {})
    rest.change("POST", "/switchover", body, timeout=options["timeout"])
    seen: dict[str, t.Any] = {"members": []}

    def done() -> bool:
        seen.update(rest.cluster())
        return settled(seen, former, candidate)

    good, trouble = eventually(done, options["timeout"])
    leader = leader_of(seen).get("name", "")
    if not good:
        state = member_of(seen, former).get("state", "gone")
        raise RestError(
            trouble
            or f"after {options['timeout']} s {leader or 'nobody'} leads, and {former}, which led before, is {state}"
        )
    return str(leader)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **REST_ARGUMENTS,
            "candidate": {"type": "str"},
            "leave": {"type": "str"},
            "timeout": {"type": "int", "default": 120},
        },
        required_one_of=[("candidate", "leave")],
        supports_check_mode=True,
    )
    options = module.params
    changed = False
    try:
        rest = rest_of(options)
        cluster = rest.cluster()
        former = leader_of(cluster).get("name", "")
        candidate, leave = options["candidate"], options["leave"]
        if candidate and candidate == leave:
            module.fail_json(msg=f"candidate and leave are both {candidate}")
        needed = former != candidate if candidate else former == leave
        leader = former
        if needed:
            why_not = obstacle(cluster, candidate)
            if why_not:
                module.fail_json(msg=why_not)
            changed = True
            leader = candidate or "" if module.check_mode else switch(rest, options, former)
    except RestError as error:
        module.fail_json(msg=str(error), changed=changed)
    module.exit_json(
        changed=changed,
        leader=leader,
        former=former,
        diff={"before": f"leader: {former}\n", "after": f"leader: {leader or 'another member'}\n"},
    )


if __name__ == "__main__":
    main()
