# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Accounts that hold money from a lab chain's genesis on: made from a seed, so that load tests know their keys.

They are worth nothing. Anyone who reads this can make their keys.
"""

from __future__ import annotations

from ..chain import secp256k1
from .keccak import keccak256


def private_key(seed: str, index: int) -> bytes:
    return keccak256(f"{seed}/{index}".encode())


def address(key: bytes) -> str:
    """The address of a private key, in lower case."""
    return "0x" + keccak256(secp256k1.uncompressed(secp256k1.public_point(key)))[-20:].hex()


def addresses(seed: str, count: int) -> list[str]:
    """The first addresses of a seed; a longer list begins with the shorter one."""
    return [address(private_key(seed, index)) for index in range(count)]
