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
  wait_admitted:
    description:
      - Seconds to wait until the pair's verdict has been good (V(healthy) or V(degraded), and admitted) for O(settle)
        seconds without a break, whether or not it is drained. It is a failure when it has not.
      - V(0) does not wait. In check mode nothing is waited for.
    type: int
    default: 0
  settle:
    description: Seconds for which the verdict must stay good with O(wait_admitted).
    type: int
    default: 5
  history:
    description: Whether to return the daemon's memory of the last hours too.
    type: bool
    default: false
attributes:
  check_mode:
    description: It never changes anything. In check mode nothing is waited for.
    support: full
  diff_mode:
    description: It never changes anything.
    support: none
"""

EXAMPLES = r"""
- name: See whether this pair serves
  chainops.infra.chain_service_info:
  register: pair

- name: Go on when a pair that is drained for an upgrade could serve again
  chainops.infra.chain_service_info:
    wait_admitted: 600

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
history:
  description:
    - What its C(points) hold (C(fields)), their distance in seconds (C(point_seconds)) and themselves, the oldest
      first. Empty without a daemon, or with one that does not tell.
  returned: with O(history)
  type: dict
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.chainops.infra.plugins.module_utils.chain_service import INTERVAL, NoDaemon, ask, remembered

GOOD = ("healthy", "degraded")


def look(port: int) -> tuple[dict[str, Any], str]:
    """The daemon's status, or nothing and why there is none."""
    try:
        status = ask(port, "GET", "/status")
        return status, str(status.get("obstacle") or status.get("reason", ""))
    except NoDaemon as error:
        return {}, f"chain_health does not answer on port {port} of loopback: {error}"


def good(status: dict[str, Any]) -> bool:
    """Whether the pair could serve, but for a drain."""
    return bool(status.get("admitted")) and status.get("state") in GOOD


def wait_admitted(port: int, patience: int, settle: int) -> tuple[dict[str, Any], str]:
    """The status once it has been good for long enough, or when the time is over; and what was wrong then."""
    until = time.monotonic() + patience
    since: float | None = None
    while True:
        status, reason = look(port)
        now = time.monotonic()
        since = (since or now) if good(status) else None
        if since and now - since >= settle:
            return status, ""
        if now >= until:
            return (
                status,
                f"{status.get('state', 'unknown')}: {reason}" if not since else "it has been good too briefly",
            )
        time.sleep(INTERVAL)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "port": {"type": "int", "default": 8740},
            "wait_in_service": {"type": "int", "default": 0},
            "wait_admitted": {"type": "int", "default": 0},
            "settle": {"type": "int", "default": 5},
            "history": {"type": "bool", "default": False},
        },
        mutually_exclusive=[("wait_in_service", "wait_admitted")],
        supports_check_mode=True,
    )
    given = module.params
    port, patience = given["port"], given["wait_in_service"]
    status, reason = look(port)
    if patience and not module.check_mode:
        until = time.monotonic() + patience
        while not status.get("in_service") and time.monotonic() < until:
            time.sleep(INTERVAL)
            status, reason = look(port)
        if not status.get("in_service"):
            module.fail_json(msg=f"the pair is not in service after {patience} s: {reason}", status=status)
    if given["wait_admitted"] and not module.check_mode:
        status, problem = wait_admitted(port, given["wait_admitted"], given["settle"])
        if problem:
            text = f"the pair is not fit to serve after {given['wait_admitted']} s: {problem}"
            module.fail_json(msg=text, status=status)
    more = {"history": remembered(port)} if given["history"] else {}
    module.exit_json(
        changed=False,
        in_service=bool(status.get("in_service")),
        verdict=status.get("state", "unknown"),
        reason=reason,
        status=status,
        **more,
    )


if __name__ == "__main__":
    main()
