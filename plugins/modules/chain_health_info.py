#!/usr/bin/python
# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: chain_health_info
short_description: Whether pairs of execution and consensus clients are healthy, and why not
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Looks at any number of pairs at once, compares them with references, and returns a verdict for each. It is the same
    verdict that the health daemon of the role C(chain_health) gives to load balancers.
  - With O(wait_for) or O(wait_in_service) it is a gate, which fails unless all pairs get there in time.
  - A look takes at most O(timeout) seconds, however many endpoints hang.
  - Where something speaks against a pair it is looked at twice within that time, because samples race with blocks. Ages
    are measured with the clock of the host that the module runs on.
extends_documentation_fragment: [chainops.infra.chain_health]
options:
  pairs:
    description:
      - The pairs to look at.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - Unique name, for the result and for messages.
        type: str
        required: true
      execution_url:
        description:
          - JSON-RPC of the execution client, C(http://) or C(https://), without user and password.
        type: str
        required: true
      consensus_url:
        description:
          - Beacon API of the consensus client.
        type: str
        required: true
      status_url:
        description:
          - Status of the health daemon beside the pair, such as V(http://10.87.1.11:8740/status). Its answer is
            returned too.
        type: str
  timeout:
    description:
      - Seconds that a look at all pairs and references may take.
    type: float
    default: 5
  wait_for:
    description:
      - States of which each pair must have one. Without it, one look is taken.
      - V(healthy) and V(degraded) are the states in which a pair serves.
    type: list
    elements: str
    choices: [healthy, degraded, syncing, stale, chain_stalled, forked, unknown, unfit]
    default: []
  wait_admissible:
    description:
      - Wait until nothing speaks against each pair being put into service, which is stricter than a state. Its head
        must be as close as policy asks of a node that comes back.
    type: bool
    default: false
  wait_in_service:
    description:
      - Wait until the health daemon of each pair says that it is in service (V(true)) or out of it (V(false)). All
        pairs need O(pairs[].status_url).
    type: bool
  wait_timeout:
    description:
      - Seconds that all pairs together have to get there.
    type: float
    default: 300
  interval:
    description:
      - Seconds from one look to the next while waiting.
    type: float
    default: 2
attributes:
  check_mode:
    support: full
    description: It never changes anything. A gate waits in check mode too.
  diff_mode:
    support: none
    description: It never changes anything.
  platform:
    support: full
    platforms: posix
    description: Runs wherever the clients can be reached, such as the control node.
seealso:
  - module: chainops.infra.node_peers
"""

EXAMPLES = r"""
- name: Look at a pair, and at another as its reference
  delegate_to: localhost
  chainops.infra.chain_health_info:
    pairs:
      - name: eth-a
        execution_url: http://10.87.1.11:8545
        consensus_url: http://10.87.1.11:3500
    references:
      - name: eth-c
        execution_url: http://10.87.3.11:8545
        consensus_url: http://10.87.3.11:3500
    policy: {slot_seconds: 12, max_age_slots: 5}
  register: look

- name: Show what is wrong
  ansible.builtin.debug:
    msg: "{{ look.pairs | items2dict(key_name='name', value_name='reasons') }}"

- name: Go on only when the pair has caught up, within ten minutes
  chainops.infra.chain_health_info:
    pairs:
      - name: this pair
        execution_url: http://127.0.0.1:8545
        consensus_url: http://127.0.0.1:3500
    references:
      - name: eth-c
        execution_url: http://10.87.3.11:8545
    wait_for: [healthy, degraded]
    wait_admissible: true
    wait_timeout: 600

- name: Be sure that load balancers have been told to leave the pair alone
  chainops.infra.chain_health_info:
    pairs:
      - name: this pair
        execution_url: http://127.0.0.1:8545
        consensus_url: http://127.0.0.1:3500
        status_url: http://127.0.0.1:8740/status
    wait_in_service: false
    wait_timeout: 10
"""

RETURN = r"""
pairs:
  description: What the last look saw, in the order given.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the pair.
      type: str
    state:
      description: V(healthy), V(degraded), V(syncing), V(stale), V(chain_stalled), V(forked), V(unknown) or V(unfit).
      type: str
    admissible:
      description: Whether nothing speaks against putting the pair into service.
      type: bool
    obstacle:
      description: What does, if anything.
      type: str
    reasons:
      description: Findings with C(code), C(weight) (fatal, stall, hold, flaw, note) and C(text).
      type: list
      elements: dict
    head:
      description: C(number), C(hash), C(timestamp) and C(age_seconds) of the execution client's head, or null.
      type: dict
    lag_blocks:
      description: Blocks behind the references; null if none answers.
      type: int
    finalized_block:
      description: Height of the last final block as the consensus client knows it, or null.
      type: int
    execution:
      description: C(error), C(version), C(peers), C(chain_id) and C(genesis_hash) of the execution client.
      type: dict
    consensus:
      description: C(error), C(version) and C(peers) of the consensus client.
      type: dict
    daemon:
      description: The health daemon's own status with C(error), or null if it was not asked.
      type: dict
  sample:
    - name: eth-a
      state: stale
      admissible: false
      obstacle: head 812 is 61.2 s old, policy allows 60 s; it has not changed for 61.0 s
      reasons:
        - code: stale
          weight: fatal
          text: head 812 is 61.2 s old, policy allows 60 s; it has not changed for 61.0 s
      head: {number: 812, hash: "0x12ab", timestamp: 1795620000, age_seconds: 61.2}
      lag_blocks: 5
      finalized_block: 768
      execution: {error: null, version: Geth/v1.17.8, peers: 25, chain_id: 1, genesis_hash: "0xd4e5"}
      consensus: {error: null, version: Prysm/v6.0.4, peers: 70}
      daemon: null
references:
  description: C(name), C(error), C(version), C(head_block) and C(finalized_block) of each reference.
  returned: always
  type: list
  elements: dict
looks:
  description: How often all pairs were looked at.
  returned: always
  type: int
elapsed_seconds:
  description: How long it took.
  returned: always
  type: float
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.chainops.infra.plugins.module_utils.chain.arguments import identity_of, policy_of, shared_spec
from ansible_collections.chainops.infra.plugins.module_utils.chain.health import STATES
from ansible_collections.chainops.infra.plugins.module_utils.chain.sampler import ReferenceProbe
from ansible_collections.chainops.infra.plugins.module_utils.chain.samples import ReferenceSample
from ansible_collections.chainops.infra.plugins.module_utils.chain.survey import Pair, Survey, View


def spec() -> dict[str, Any]:
    return {
        **shared_spec(),
        "pairs": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {
                "name": {"type": "str", "required": True},
                "execution_url": {"type": "str", "required": True},
                "consensus_url": {"type": "str", "required": True},
                "status_url": {"type": "str"},
            },
        },
        "timeout": {"type": "float", "default": 5},
        "wait_for": {"type": "list", "elements": "str", "choices": list(STATES), "default": []},
        "wait_admissible": {"type": "bool", "default": False},
        "wait_in_service": {"type": "bool"},
        "wait_timeout": {"type": "float", "default": 300},
        "interval": {"type": "float", "default": 2},
    }


def shortcomings(view: View, params: dict[str, Any]) -> str:
    """What the gate still misses of a pair; empty when it may pass."""
    reasons = [finding.text for finding in view.assessment.findings if finding.weight != "note"]
    if params["wait_for"] and view.state not in params["wait_for"]:
        return f"{view.name} is {view.state}: {'; '.join(reasons) or 'nothing is wrong'}"
    if params["wait_admissible"] and not view.assessment.admissible:
        return f"{view.name} is {view.state}, but not ready for service: {view.assessment.obstacle}"
    wanted, daemon = params["wait_in_service"], view.daemon or {}
    if wanted is not None and daemon.get("in_service") is not wanted:
        told = (
            daemon.get("error") or f"{'in' if daemon.get('in_service') else 'out of'} service: {daemon.get('reason')}"
        )
        return f"{view.name}, health daemon: {told}"
    return ""


def as_result(view: View) -> dict[str, Any]:
    execution, consensus = view.sample.execution, view.sample.consensus
    head, age = execution.latest, view.assessment.age_seconds
    final = consensus.finalized_payload
    return {
        "name": view.name,
        "state": view.state,
        "admissible": view.assessment.admissible,
        "obstacle": view.assessment.obstacle,
        "reasons": [{"code": f.code, "weight": f.weight, "text": f.text} for f in view.assessment.findings],
        "head": None if head is None or age is None else {**head._asdict(), "age_seconds": round(age, 3)},
        "lag_blocks": view.assessment.lag_blocks,
        "finalized_block": final.number if final else None,
        "execution": {
            "error": execution.error,
            "version": execution.version,
            "peers": execution.peers,
            "chain_id": execution.chain_id,
            "genesis_hash": execution.genesis_hash,
        },
        "consensus": {"error": consensus.error, "version": consensus.version, "peers": consensus.peers},
        "daemon": dict(view.daemon) if view.daemon else None,
    }


def reference_result(sample: ReferenceSample) -> dict[str, Any]:
    return {
        "name": sample.name,
        "error": sample.execution.error,
        "version": sample.execution.version,
        "head_block": sample.execution.latest.number if sample.execution.latest else None,
        "finalized_block": sample.finalized_number,
    }


def prepare(params: dict[str, Any]) -> Survey:
    """The survey; ValueError for what does not fit."""
    for what in ("pairs", "references"):
        names = [entry["name"] for entry in params[what]]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{what}: the name {twice[0]} is given twice; names must be unique")
    for name in ("timeout", "wait_timeout", "interval"):
        if not params[name] > 0:
            raise ValueError(f"{name} is {params[name]!r}, it must be more than 0 seconds")
    if params["wait_in_service"] is not None:
        without = [pair["name"] for pair in params["pairs"] if not pair["status_url"]]
        if without:
            raise ValueError(f"wait_in_service needs a status_url of every pair; there is none of {', '.join(without)}")
    policy = policy_of(params)
    ca_path = params["ca_path"]
    pairs = []
    for entry in params["pairs"]:
        try:
            urls = entry["execution_url"], entry["consensus_url"], entry["status_url"]
            pairs.append(Pair(entry["name"], *urls, ca_path))
        except ValueError as error:
            raise ValueError(f"pair {entry['name']}: {error}") from None
    references = []
    for entry in params["references"]:
        try:
            references.append(
                ReferenceProbe(
                    entry["name"],
                    entry["execution_url"],
                    entry["consensus_url"],
                    finality_every=policy.slot_seconds,
                    ca_path=ca_path,
                )
            )
        except ValueError as error:
            raise ValueError(f"reference {entry['name']}: {error}") from None
    return Survey(pairs, references, policy, identity_of(params))


def main() -> None:
    module = AnsibleModule(argument_spec=spec(), supports_check_mode=True)
    params = module.params
    try:
        survey = prepare(params)
    except (ValueError, OSError) as error:
        module.fail_json(msg=str(error))
    gate = bool(params["wait_for"] or params["wait_admissible"] or params["wait_in_service"] is not None)
    start = time.monotonic()
    looks = 0
    while True:
        began = time.monotonic()
        views = survey.look(params["timeout"])
        looks += 1
        missing = [text for view in views if (text := shortcomings(view, params))] if gate else []
        now = time.monotonic()
        next_look = max(now, began + params["interval"])
        if survey.mistakes or not missing or next_look - start >= params["wait_timeout"]:
            break
        time.sleep(next_look - now)
    result = {
        "pairs": [as_result(view) for view in views],
        "references": [reference_result(sample) for sample in survey.reference_samples],
        "looks": looks,
        "elapsed_seconds": round(time.monotonic() - start, 3),
    }
    if survey.mistakes:
        module.fail_json(msg=f"a mistake in this module: {survey.mistakes[0]}", **result)
    if missing:
        waited = f"after {result['elapsed_seconds']:.0f} s and {looks} looks"
        module.fail_json(
            msg=f"{waited}, {len(missing)} of {len(views)} pairs are not there: {'; '.join(missing)}", **result
        )
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
