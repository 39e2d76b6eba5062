# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Genesis of a lab chain: the input of prysmctl and the configuration of the beacon chain.

All forks up to Electra and Prague are active from the first block. prysmctl fills in the times that follow from the
moment of genesis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# The contracts that Prague's rules call in every block; without their code no payload is valid ("empty system
# contract"). Their code is that of the EIPs, as `geth --dev dumpgenesis` (1.17.8) prints it.
CONTRACTS = {
    # beacon roots, EIP-4788
    "0x000f3df6d732807ef1319fb7b8bb8522d0beac02": (
        "3373fffffffffffffffffffffffffffffffffffffffe14604d57602036146024575f5ffd5b5f35801560495762001fff8106"
        "90815414603c575f5ffd5b62001fff01545f5260205ff35b5f5ffd5b62001fff42064281555f359062001fff015500"
    ),
    # block hashes, EIP-2935
    "0x0000f90827f1c53a10cb7a02335b175320002935": (
        "3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff814303"
        "11604257611fff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500"
    ),
    # withdrawal requests, EIP-7002
    "0x00000961ef480eb55e80d19ad83579a64c007002": (
        "3373fffffffffffffffffffffffffffffffffffffffe1460cb5760115f54807fffffffffffffffffffffffffffffffffffff"
        "ffffffffffffffffffffffffffff146101f457600182026001905f5b5f821115606857810190830284830290049160010191"
        "90604d565b909390049250505036603814608857366101f457346101f4575f5260205ff35b34106101f45760015460010160"
        "0155600354806003026004013381556001015f35815560010160203590553360601b5f5260385f601437604c5fa060010160"
        "0355005b6003546002548082038060101160df575060105b5f5b8181146101835782810160030260040181604c0281546060"
        "1b8152601401816001015481526020019060020154807fffffffffffffffffffffffffffffffff0000000000000000000000"
        "0000000000168252906010019060401c908160381c81600701538160301c81600601538160281c81600501538160201c8160"
        "0401538160181c81600301538160101c81600201538160081c81600101535360010160e1565b910180921461019557906002"
        "556101a0565b90505f6002555f6003555b5f54807fffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
        "ffffff14156101cd57505f5b6001546002828201116101e25750505f6101e8565b01600290035b5f555f600155604c025ff3"
        "5b5f5ffd"
    ),
    # consolidation requests, EIP-7251
    "0x0000bbddc7ce488642fb579f8b00f3a590007251": (
        "3373fffffffffffffffffffffffffffffffffffffffe1460d35760115f54807fffffffffffffffffffffffffffffffffffff"
        "ffffffffffffffffffffffffffff1461019a57600182026001905f5b5f821115606857810190830284830290049160010191"
        "90604d565b9093900492505050366060146088573661019a573461019a575f5260205ff35b341061019a5760015460010160"
        "0155600354806004026004013381556001015f358155600101602035815560010160403590553360601b5f5260605f601437"
        "60745fa0600101600355005b6003546002548082038060021160e7575060025b5f5b81811461012957828101600402600401"
        "81607402815460601b815260140181600101548152602001816002015481526020019060030154905260010160e9565b9101"
        "80921461013b5790600255610146565b90505f6002555f6003555b5f54807fffffffffffffffffffffffffffffffffffffff"
        "ffffffffffffffffffffffffff141561017357505f5b6001546001828201116101885750505f61018e565b01600190035b5f"
        "555f6001556074025ff35b5f5ffd"
    ),
    # deployment at addresses known beforehand (CREATE2 factory), which tools expect
    "0x4e59b44847b379578588920ca78fbf26c0b4956c": (
        "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015"
        "156039578182fd5b8082525050506014600cf3"
    ),
}

ZERO_ADDRESS = "0x" + "0" * 40
DEPOSIT_CONTRACT = "0x" + "42" * 20
FAR_FUTURE = 2**64 - 1
# Any value that no public network has.
FORK_VERSION_BASE = 0x20000089
# geth's forks that are named by a block; later ones have a time
BLOCK_FORKS = (
    "homestead",
    "eip150",
    "eip155",
    "eip158",
    "byzantium",
    "constantinople",
    "petersburg",
    "istanbul",
    "berlin",
    "london",
)
FORKS = ("GENESIS", "ALTAIR", "BELLATRIX", "CAPELLA", "DENEB", "ELECTRA", "FULU")


@dataclass(frozen=True)
class Parameters:
    """What a lab chain is made from. A chain that exists cannot be given others."""

    name: str
    chain_id: int
    slot_seconds: int
    slots_per_epoch: int
    validators: int
    gas_limit: int
    accounts: int
    account_seed: str
    account_balance_ether: int


def execution_genesis(parameters: Parameters, addresses: list[str]) -> dict[str, Any]:
    """geth's genesis, before prysmctl sets the times of its forks."""
    balance = hex(parameters.account_balance_ether * 10**18)
    alloc: dict[str, Any] = {
        address: {"balance": "0x0", "nonce": "0x1", "code": "0x" + code} for address, code in CONTRACTS.items()
    }
    alloc |= {address: {"balance": balance} for address in addresses}
    return {
        "config": {
            "chainId": parameters.chain_id,
            **{f"{name}Block": 0 for name in BLOCK_FORKS},
            "shanghaiTime": 0,
            "cancunTime": 0,
            "pragueTime": 0,
            "terminalTotalDifficulty": 0,
            "depositContractAddress": DEPOSIT_CONTRACT,
            "blobSchedule": {
                "cancun": {"target": 3, "max": 6, "baseFeeUpdateFraction": 3338477},
                "prague": {"target": 6, "max": 9, "baseFeeUpdateFraction": 5007716},
            },
        },
        "nonce": "0x0",
        "timestamp": "0x0",
        "extraData": "0x",
        "gasLimit": hex(parameters.gas_limit),
        "difficulty": "0x0",
        "coinbase": ZERO_ADDRESS,
        "mixHash": "0x" + "0" * 64,
        "alloc": alloc,
    }


def beacon_config(parameters: Parameters) -> str:
    """config.yml. Values that are not here are mainnet's."""
    lines = [
        "PRESET_BASE: mainnet",
        f"CONFIG_NAME: {parameters.name}",
        f"MIN_GENESIS_ACTIVE_VALIDATOR_COUNT: {parameters.validators}",
        "MIN_GENESIS_TIME: 0",
        "GENESIS_DELAY: 0",
    ]
    for number, fork in enumerate(FORKS):
        if fork != "GENESIS":
            lines.append(f"{fork}_FORK_EPOCH: {FAR_FUTURE if fork == 'FULU' else 0}")
        lines.append(f"{fork}_FORK_VERSION: 0x{FORK_VERSION_BASE + number:08x}")
    lines += [
        "TERMINAL_TOTAL_DIFFICULTY: 0",
        f"SECONDS_PER_SLOT: {parameters.slot_seconds}",
        f"SLOTS_PER_EPOCH: {parameters.slots_per_epoch}",
        # In slots of 2 s every block counts as late in Prysm (a third of a slot, in whole seconds, is 0), so that on a
        # busy machine proposers orphan each other's blocks. This keeps them from it.
        "REORG_MAX_EPOCHS_SINCE_FINALIZATION: 0",
        f"DEPOSIT_CHAIN_ID: {parameters.chain_id}",
        f"DEPOSIT_NETWORK_ID: {parameters.chain_id}",
        f"DEPOSIT_CONTRACT_ADDRESS: {DEPOSIT_CONTRACT}",
    ]
    return "\n".join(lines) + "\n"
