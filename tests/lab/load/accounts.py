"""Senders of transactions: accounts made from a seed, so that a genesis can hold their money before the first run.

They are worth nothing: anyone who reads this can make their keys. Lab and staging chains only.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils import keccak

SEED = "chainops load"
COUNT = 50

GAS = 21_000
FEE = 100 * 10**9
TIP = 10**9


def accounts(count: int = COUNT, seed: str = SEED) -> list[LocalAccount]:
    """The first accounts of a seed; a longer list begins with the shorter one."""
    return [Account.from_key(keccak(text=f"{seed}/{index}")) for index in range(count)]


@dataclass
class Transaction:
    """A signed transaction and what became of it."""

    sender: str
    nonce: int
    raw: str
    hash: str
    accepted: bool = False


@dataclass
class Sender:
    """One account, its next nonce and everything that it has sent."""

    account: LocalAccount
    chain_id: int
    nonce: int
    sent: list[Transaction] = field(default_factory=list)

    def sign(self) -> Transaction:
        """Sign the next transfer of 1 wei to itself (3.7 ms in pure Python: do it ahead of time)."""
        signed = self.account.sign_transaction(
            {
                "type": 2,
                "chainId": self.chain_id,
                "nonce": self.nonce,
                "gas": GAS,
                "maxFeePerGas": FEE,
                "maxPriorityFeePerGas": TIP,
                "to": self.account.address,
                "value": 1,
            }
        )
        transaction = Transaction(
            sender=self.account.address,
            nonce=self.nonce,
            raw="0x" + signed.raw_transaction.hex(),
            hash="0x" + signed.hash.hex(),
        )
        self.nonce += 1
        return transaction
