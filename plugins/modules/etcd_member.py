#!/usr/bin/python
# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_member
short_description: Add, remove or replace a member of an etcd cluster
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Changes the membership that an etcd cluster has agreed on, through a member that is alive, with C(etcdctl).
  - A member is never removed if those that stay would be no quorum, and one that is healthy only with O(force).
  - V(replaced) is for a host that lost its data. Its dead member is removed and it is added anew, so that it joins with
    a fresh identity; a member that came back empty under its old identity could lose what the cluster acknowledged.
    Where a run was killed between the two, the next finishes it.
options:
  name:
    description: Name of the member.
    type: str
    required: true
  peer_url:
    description: Where the others reach it, such as V(https://10.10.1.31:2380).
    type: str
    required: true
  state:
    description:
      - V(present), V(absent), or V(replaced), which ends with a member that has not started yet.
    type: str
    choices: [present, absent, replaced]
    default: present
  force:
    description: Remove the member although it is healthy.
    type: bool
    default: false
  endpoints:
    description: Client URLs of members that are alive.
    type: list
    elements: str
    required: true
  certificate:
    description: Client certificate, a file on the host.
    type: path
  key:
    description: Its private key, a file on the host.
    type: path
  ca:
    description: Authorities of the members' certificates, a file on the host.
    type: path
  timeout:
    description: Seconds for one answer.
    type: int
    default: 5
attributes:
  check_mode:
    description: Says what would be done; whether it may be done is checked as well.
    support: full
  diff_mode:
    description: Shows the members before and after.
    support: full
seealso:
  - module: chainops.infra.etcd_info
"""

EXAMPLES = r"""
- name: Let a rebuilt host join in place of the member that died
  chainops.infra.etcd_member:
    name: db-a
    peer_url: https://10.10.1.31:2380
    state: replaced
    endpoints: [https://10.10.2.31:2379, https://10.10.3.31:2379]
    certificate: /etc/chainops/tls/host.pem
    key: /etc/chainops/tls/host.key
    ca: /etc/chainops/tls/ca.pem
  delegate_to: db-c
"""

RETURN = r"""
members:
  description: Members afterwards, each with C(id), C(name), C(peer_urls) and C(started).
  returned: success
  type: list
  elements: dict
actions:
  description: What was done, or would be. V(removed) and V(added), in this order.
  returned: success
  type: list
  elements: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.etcd.cluster import Cluster, EtcdError, Member, find, refusal

ARGUMENTS: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "peer_url": {"type": "str", "required": True},
    "state": {"type": "str", "default": "present", "choices": ["present", "absent", "replaced"]},
    "force": {"type": "bool", "default": False},
    "endpoints": {"type": "list", "elements": "str", "required": True},
    "certificate": {"type": "path"},
    # a path: the key itself is never an argument
    "key": {"type": "path", "no_log": False},
    "ca": {"type": "path"},
    "timeout": {"type": "int", "default": 5},
}


def plan(state: str, member: Member | None) -> list[str]:
    """What is to be done; a member that was added and never started is what V(replaced) ends with."""
    if state == "present":
        return [] if member else ["added"]
    if state == "absent":
        return ["removed"] if member else []
    if member is None:
        return ["added"]
    return ["removed", "added"] if member.started else []


def shown(members: list[Member]) -> str:
    lines = [f"{member.hex} {member.name or '(not started)'} {' '.join(member.peer_urls)}\n" for member in members]
    return "".join(sorted(lines, key=lambda line: line.split(maxsplit=1)[1]))


def run(module: AnsibleModule) -> dict[str, t.Any]:
    given = module.params
    files = {"cert": given["certificate"] or "", "key": given["key"] or "", "cacert": given["ca"] or ""}
    cluster = Cluster(given["endpoints"], files, given["timeout"])
    before = cluster.members()
    member = find(before, given["name"], given["peer_url"])
    actions = plan(given["state"], member)
    if member and "removed" in actions:
        if member.started and not given["force"] and cluster.healthy(member):
            raise EtcdError(f"{given['name']} is healthy: stop it first, or set force")
        why = refusal(cluster, before, member)
        if why:
            raise EtcdError(f"{given['name']} is not removed: {why}")
    after = before
    if not module.check_mode:
        if member and "removed" in actions:
            cluster.remove(member)
        if "added" in actions:
            cluster.add(given["name"], given["peer_url"])
        after = cluster.members() if actions else before
    planned = "".join(f"{action} {given['name']} {given['peer_url']}\n" for action in actions)
    return {
        "changed": bool(actions),
        "actions": actions,
        "members": [each.described() for each in after],
        "diff": {"before": shown(before), "after": shown(after) + (planned if module.check_mode else "")},
    }


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = run(module)
    except EtcdError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
