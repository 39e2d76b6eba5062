#!/usr/bin/python
# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: devnet_genesis
short_description: Make the genesis of a lab chain once, and bring it to hosts
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - A proof-of-stake chain begins with files that every node must hold alike, and that hold the moment of its beginning.
    This makes them once, on one host, and brings them to others as one text of some kilobytes.
  - A genesis that exists is kept, whatever the time. Other parameters than those it was made with are refused.
  - The directory appears by one rename, so that a run that is killed leaves a whole genesis or none. A directory in
    which a file is missing or altered counts as none.
  - For labs and staging only. Keys of accounts and validators follow from what anyone can read here.
requirements:
  - C(prysmctl) on the host that makes the genesis
options:
  path:
    description: Directory of the genesis.
    type: path
    required: true
  state:
    description:
      - V(read) says what the host holds, and changes nothing.
      - V(created) makes the genesis if there is none, and returns it as RV(bundle).
      - V(placed) writes the genesis in O(bundle), unless the host holds it.
    type: str
    choices: [read, created, placed]
    default: read
  parameters:
    description: What the chain is made from. Needed with O(state=created); with the others, what is there must fit.
    type: dict
    suboptions:
      name:
        description: Name of the chain.
        type: str
        required: true
      chain_id:
        description: Chain id and network id.
        type: int
        required: true
      slot_seconds:
        description: Seconds of a slot.
        type: int
        required: true
      slots_per_epoch:
        description: Slots of an epoch.
        type: int
        required: true
      validators:
        description: Number of validators, whose keys are Prysm's interop keys from 0 on.
        type: int
        required: true
      gas_limit:
        description: Gas limit of the first block.
        type: int
        required: true
      accounts:
        description: Number of accounts with money.
        type: int
        required: true
      account_seed:
        description: The private key of account N is the Keccak-256 hash of SEED/N.
        type: str
        required: true
      account_balance_ether:
        description: What each of them has.
        type: int
        required: true
  prysmctl:
    description: The program that computes the genesis state. Needed with O(state=created) where there is none yet.
    type: path
  delay:
    description: Seconds between making the genesis and the chain's beginning.
    type: int
    default: 30
  bundle:
    description: RV(bundle) of another host. Empty in check mode, when nothing was made.
    type: str
attributes:
  check_mode:
    support: full
    description: Says what would be made or placed.
  diff_mode:
    support: none
    description: The files are binary.
  platform:
    support: full
    platforms: posix
    description: Needs Python on the host.
seealso:
  - plugin: chainops.infra.devnet_source
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Make the genesis
  chainops.infra.devnet_genesis:
    path: /etc/ethereum/devnet
    state: created
    parameters:
      name: devnet
      chain_id: 32382
      slot_seconds: 2
      slots_per_epoch: 6
      validators: 16
      gas_limit: 60000000
      accounts: 50
      account_seed: chainops load
      account_balance_ether: 1000000
    prysmctl: /opt/chainops/prysmctl/current/prysmctl
  register: devnet
  run_once: true

- name: Bring it to all hosts
  chainops.infra.devnet_genesis:
    path: /etc/ethereum/devnet
    state: placed
    bundle: "{{ devnet.bundle }}"
"""

RETURN = r"""
present:
  description: Whether the host held a whole genesis before.
  returned: success
  type: bool
digest:
  description: SHA-256 over all files, the same on every host of a chain. Null if there is none.
  returned: success
  type: str
genesis_time:
  description: The chain's beginning, in seconds since 1970. Null if there is none.
  returned: success
  type: int
accounts:
  description: Addresses with money.
  returned: success
  type: list
  elements: str
bundle:
  description: All files as one text.
  returned: with O(state=created), except in check mode when there is none
  type: str
"""

import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.chainops.infra.plugins.module_utils.devnet import accounts, directory, genesis


def compute(parameters: genesis.Parameters, genesis_time: int, addresses: list[str], prysmctl: str) -> dict[str, bytes]:
    """The files of a chain that begins at this moment; the same input gives the same bytes."""
    config = genesis.beacon_config(parameters).encode()
    with tempfile.TemporaryDirectory(prefix="devnet-") as name:
        work = Path(name)
        (work / "config.yml").write_bytes(config)
        (work / "in.json").write_text(json.dumps(genesis.execution_genesis(parameters, addresses)), encoding="utf-8")
        argv = [prysmctl, "testnet", "generate-genesis", "--fork", "electra"]
        argv += ["--num-validators", str(parameters.validators), "--genesis-time", str(genesis_time)]
        argv += ["--chain-config-file", "config.yml", "--output-ssz", "genesis.ssz"]
        argv += ["--geth-genesis-json-in", "in.json", "--geth-genesis-json-out", "genesis.json"]
        try:
            ran = subprocess.run(argv, cwd=work, capture_output=True, text=True, timeout=300, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise directory.Conflict(f"{prysmctl} did not run: {error}") from None
        if ran.returncode:
            raise directory.Conflict(f"{prysmctl} made no genesis (status {ran.returncode}): {ran.stderr[-800:]}")
        return {
            "genesis.json": (work / "genesis.json").read_bytes(),
            "genesis.ssz": (work / "genesis.ssz").read_bytes(),
            "config.yml": config,
            "config.yaml": config,
            "deposit_contract_block.txt": b"0\n",
            "boot_enr.yaml": b"[]\n",
            "bootstrap_nodes.yaml": b"[]\n",
        }


def answer(summary: dict[str, Any] | None, present: bool, changed: bool) -> dict[str, Any]:
    known = summary or {}
    return {
        "changed": changed,
        "present": present,
        "digest": known.get("digest"),
        "genesis_time": known.get("genesis_time"),
        "accounts": known.get("accounts", []),
    }


def created(path: Path, parameters: genesis.Parameters, module: AnsibleModule) -> dict[str, Any]:
    summary = directory.read_summary(path)
    if summary:
        return {**answer(summary, True, False), "bundle": directory.pack(directory.read_files(path) or {}, summary)}
    if module.check_mode:
        return answer(None, False, True)
    addresses = accounts.addresses(parameters.account_seed, parameters.accounts)
    genesis_time = int(time.time()) + module.params["delay"]
    files = compute(parameters, genesis_time, addresses, module.params["prysmctl"])
    summary = directory.summarise(parameters, genesis_time, addresses, files)
    directory.place(path, files, summary)
    return {**answer(summary, False, True), "bundle": directory.pack(files, summary)}


def placed(path: Path, bundle: str | None, check_mode: bool) -> dict[str, Any]:
    here = directory.read_summary(path)
    if not bundle:
        if not check_mode:
            raise directory.Conflict("state = placed needs a bundle")
        return answer(here, bool(here), not here)
    files, summary = directory.unpack(bundle)
    if here and here["digest"] != summary["digest"]:
        raise directory.Conflict(
            f"{path} holds the genesis of another chain ({here['digest'][:12]}, begun at {here['genesis_time']}) than "
            f"the one brought ({summary['digest'][:12]}, {summary['genesis_time']}). Remove {path} and the clients' "
            "data on the hosts that are to join"
        )
    if not here and not check_mode:
        directory.place(path, files, summary)
    return answer(summary, bool(here), not here)


def run(module: AnsibleModule) -> dict[str, Any]:
    path, state = Path(module.params["path"]), module.params["state"]
    wanted = genesis.Parameters(**module.params["parameters"]) if module.params["parameters"] else None
    here = directory.read_summary(path)
    if here and wanted:
        directory.refuse_other_parameters(path, here, wanted)
    if state == "read":
        return answer(here, bool(here), False)
    if state == "created":
        if not wanted:
            raise directory.Conflict("state = created needs parameters")
        return created(path, wanted, module)
    return placed(path, module.params["bundle"], module.check_mode)


def main() -> None:
    whole, text = {"type": "int", "required": True}, {"type": "str", "required": True}
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["read", "created", "placed"], "default": "read"},
            "parameters": {
                "type": "dict",
                "options": {
                    "name": text,
                    "chain_id": whole,
                    "slot_seconds": whole,
                    "slots_per_epoch": whole,
                    "validators": whole,
                    "gas_limit": whole,
                    "accounts": whole,
                    "account_seed": {**text, "no_log": False},
                    "account_balance_ether": whole,
                },
            },
            "prysmctl": {"type": "path"},
            "delay": {"type": "int", "default": 30},
            "bundle": {"type": "str"},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module))
    except (directory.Conflict, OSError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
