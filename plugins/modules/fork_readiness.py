#!/usr/bin/python
# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: fork_readiness
short_description: Whether execution clients know the same forks of their chain
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Asks each client by C(eth_config) (EIP-7910; geth has it from 1.16 on) which fork it is at and which comes next, and
    compares the fork's id, its activation time, the chain's id and the blob schedule.
  - Clients that differ will not stay on one chain, so that is a failure.
  - A client without C(eth_config) cannot be compared. It is named in RV(notes) and, but for the O(subject), is no
    failure.
options:
  pairs:
    description: The clients to ask, all at once.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Unique name, for the result and for messages.
        type: str
        required: true
      execution_url:
        description: JSON-RPC of the client, C(http://) or C(https://), without user and password.
        type: str
        required: true
  subject:
    description:
      - Name of the client that has just been upgraded. Only differences that concern it are failures then.
      - It must be at the same fork as the others, and must know the next fork as each other that knows of one does. It
        may know of one that they have yet to learn of.
    type: str
  wait_timeout:
    description:
      - Seconds in which a difference may go away. At a fork itself two clients differ for a moment.
    type: float
    default: 0
  timeout:
    description: Seconds that all answers may take.
    type: float
    default: 5
  ca_path:
    description: File with the certificate authorities for C(https://). Without it, those of the system.
    type: path
attributes:
  check_mode:
    description: It never changes anything. It waits in check mode too.
    support: full
  diff_mode:
    description: It never changes anything.
    support: none
seealso:
  - module: chainops.infra.chain_health_info
"""

EXAMPLES = r"""
- name: Compare the forks that all pairs know
  chainops.infra.fork_readiness:
    pairs:
      - {name: eth-a, execution_url: "http://10.87.1.11:8545"}
      - {name: eth-b, execution_url: "http://10.87.2.11:8545"}

- name: See that the pair just upgraded knows what the others do
  chainops.infra.fork_readiness:
    subject: eth-b
    pairs:
      - {name: eth-a, execution_url: "http://10.87.1.11:8545"}
      - {name: eth-b, execution_url: "http://10.87.2.11:8545"}
    wait_timeout: 30
"""

RETURN = r"""
pairs:
  description: What each client knows, in the order given.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the client.
      type: str
    current:
      description: The fork it is at (C(fork_id), C(activation_time), C(chain_id), C(blob_schedule)), or null.
      type: dict
    next:
      description: The fork that comes next, or null if none is planned in its configuration.
      type: dict
    error:
      description: Why it could not be asked; empty if it was.
      type: str
conflicts:
  description: One sentence for each difference.
  returned: always
  type: list
  elements: str
notes:
  description: Clients that cannot be compared, and those that a planned fork would leave behind.
  returned: always
  type: list
  elements: str
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.chainops.infra.plugins.module_utils import forks

INTERVAL = 1.0


def problems(given: dict[str, Any]) -> list[str]:
    names = [pair["name"] for pair in given["pairs"]]
    found = [f"two pairs are named {name}" for name in sorted(set(names)) if names.count(name) > 1]
    if given["subject"] and given["subject"] not in names:
        found.append(f"subject is {given['subject']}, which is none of the pairs: {', '.join(names)}")
    if given["timeout"] <= 0:
        found.append(f"timeout is {given['timeout']!r}, it must be more than 0 seconds")
    return found


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "pairs": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "execution_url": {"type": "str", "required": True},
                },
            },
            "subject": {"type": "str"},
            "wait_timeout": {"type": "float", "default": 0},
            "timeout": {"type": "float", "default": 5},
            "ca_path": {"type": "path"},
        },
        supports_check_mode=True,
    )
    given = module.params
    mistakes = problems(given)
    if mistakes:
        module.fail_json(msg="; ".join(mistakes))
    until = time.monotonic() + given["wait_timeout"]
    while True:
        known = forks.ask_all(given["pairs"], given["ca_path"], given["timeout"])
        conflicts = forks.conflicts(known, given["subject"] or "")
        if not conflicts or time.monotonic() >= until:
            break
        time.sleep(INTERVAL)
    notes = forks.warnings(known, time.time())
    for note in notes:
        module.warn(note)
    result = {"pairs": [each.as_dict() for each in known], "conflicts": conflicts, "notes": notes}
    if conflicts:
        module.fail_json(msg=f"the clients do not know the same forks: {'; '.join(conflicts)}", **result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
