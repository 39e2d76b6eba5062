#!/usr/bin/python
# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: chain_service_info
short_description: Whether the balancers are using an Ethereum pair
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Asks the chain_health daemon on this host, which is also what the load balancers ask.
  - A host without a daemon that answers has no pair in service; that is an answer, not an error.
options:
  port:
    description: The daemon's HTTP port on loopback.
    type: int
    default: 8740
  wait_in_service:
    description:
      - Seconds to wait until the pair is in service; it is a failure when it is not by then.
      - V(0) does not wait. In check mode nothing is waited for.
    type: int
    default: 0
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: none
"""

EXAMPLES = r"""
- name: See whether this pair serves
  chainops.infra.chain_service_info:
  register: pair

- name: Go on when it serves again
  chainops.infra.chain_service_info:
    wait_in_service: 300
"""

RETURN = r"""
in_service:
  description: Whether the balancers are told to use the pair.
  returned: success
  type: bool
verdict:
  description: The pair's state, such as V(healthy) or V(stale); V(unknown) without a daemon.
  returned: success
  type: str
reason:
  description: One line about it.
  returned: success
  type: str
status:
  description: All that the daemon says; empty without a daemon.
  returned: success
  type: dict
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.chainops.infra.plugins.module_utils.chain_service import INTERVAL, NoDaemon, ask


def look(port: int) -> tuple[dict[str, Any], str]:
    """The daemon's status, or nothing and why there is none."""
    try:
        status = ask(port, "GET", "/status")
        return status, str(status.get("obstacle") or status.get("reason", ""))
    except NoDaemon as error:
        return {}, f"chain_health does not answer on port {port} of loopback: {error}"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "port": {"type": "int", "default": 8740},
            "wait_in_service": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    port, patience = module.params["port"], module.params["wait_in_service"]
    status, reason = look(port)
    if patience and not module.check_mode:
        until = time.monotonic() + patience
        while not status.get("in_service") and time.monotonic() < until:
            time.sleep(INTERVAL)
            status, reason = look(port)
        if not status.get("in_service"):
            module.fail_json(msg=f"the pair is not in service after {patience} s: {reason}", status=status)
    module.exit_json(
        changed=False,
        in_service=bool(status.get("in_service")),
        verdict=status.get("state", "unknown"),
        reason=reason,
        status=status,
    )


if __name__ == "__main__":
    main()
