#!/usr/bin/python
# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: chain_drain
short_description: Take an Ethereum pair out of service, or put it back
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Asks the chain_health daemon on this host to drain its pair. The load balancers then send it no new requests, and
    those in flight are finished.
  - A drain survives restarts of the daemon, of the balancers and of the host, until it is lifted.
  - Lifting a drain admits nobody. The pair comes back when its verdict allows it; O(timeout) bounds how long that is
    waited for.
options:
  state:
    description: V(drained), or V(in_service) for no drain and an admitted pair.
    type: str
    choices: [drained, in_service]
    required: true
  reason:
    description: For whoever finds the pair drained. Needed with O(state=drained).
    type: str
  who:
    description: Who drained it.
    type: str
    default: ansible
  port:
    description: The daemon's HTTP port on loopback.
    type: int
    default: 8740
  timeout:
    description:
      - Seconds to wait for the daemon to say that the pair is out of service, or in.
      - V(0) with O(state=in_service) only lifts the drain.
    type: int
    default: 60
attributes:
  check_mode:
    description: Says whether a drain would begin or be lifted; nothing is waited for.
    support: full
  diff_mode:
    description: Shows whether the pair was drained, and is.
    support: full
"""

EXAMPLES = r"""
- name: Take this pair out before its disk is replaced
  chainops.infra.chain_drain:
    state: drained
    reason: disk replacement, ticket 4711

- name: Put it back, and wait until it serves
  chainops.infra.chain_drain:
    state: in_service
    timeout: 300
"""

RETURN = r"""
in_service:
  description: Whether the balancers are told to use the pair.
  returned: success
  type: bool
verdict:
  description: The pair's state, such as V(healthy) or V(stale).
  returned: success
  type: str
reason:
  description: One line about it.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.chainops.infra.plugins.module_utils.chain_service import NoDaemon, ask, settled, wait


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["drained", "in_service"], "required": True},
            "reason": {"type": "str"},
            "who": {"type": "str", "default": "ansible"},
            "port": {"type": "int", "default": 8740},
            "timeout": {"type": "int", "default": 60},
        },
        required_if=[("state", "drained", ["reason"])],
        supports_check_mode=True,
    )
    given = module.params
    drained, port = given["state"] == "drained", given["port"]
    try:
        status = ask(port, "GET", "/status")
        was = bool(status["drain"])
        changed = was != drained
        if changed and not module.check_mode:
            body = {"reason": given["reason"], "who": given["who"]} if drained else None
            status = ask(port, "POST" if drained else "DELETE", "/drain", body)
        if not module.check_mode and given["timeout"]:
            status = wait(port, status, drained, given["timeout"])
    except NoDaemon as error:
        module.fail_json(
            msg=f"chain_health on port {port} of loopback does not help: {error}; systemctl status chain_health"
        )
    if not module.check_mode and given["timeout"] and not settled(status, drained):
        wanted = "out of service" if drained else "in service"
        obstacle = status.get("obstacle") or status.get("reason")
        module.fail_json(msg=f"the pair is not {wanted} after {given['timeout']} s: {obstacle}", changed=changed)
    words = {True: "drained\n", False: "not drained\n"}
    module.exit_json(
        changed=changed,
        diff={"before": words[was], "after": words[drained]},
        in_service=bool(status["in_service"]),
        verdict=status.get("state", "unknown"),
        reason=status.get("reason", ""),
    )


if __name__ == "__main__":
    main()
