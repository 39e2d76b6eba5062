# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Samples of a small chain for tests of the verdict: who sees which block, at which moment."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from ansible_collections.chainops.infra.plugins.module_utils.chain.beacon import Checkpoint, Payload, Syncing
from ansible_collections.chainops.infra.plugins.module_utils.chain.jsonrpc import Block
from ansible_collections.chainops.infra.plugins.module_utils.chain.policy import Policy
from ansible_collections.chainops.infra.plugins.module_utils.chain.samples import (
    ConsensusSample,
    ExecutionSample,
    PairSample,
    ReferenceSample,
)

SLOT = 12
EPOCH = 32
GENESIS_TIME = 1_700_000_000
CHAIN_ID = 32382
POLICY = Policy(slot_seconds=SLOT, slots_per_epoch=EPOCH)


def block_hash(number: int, fork: str = "main") -> str:
    return "0x" + hashlib.sha256(f"{fork} {number}".encode()).hexdigest()


def block(number: int, fork: str = "main") -> Block:
    """Block n is the block of slot n."""
    return Block(number, block_hash(number, fork), GENESIS_TIME + number * SLOT)


def time_of(slot: float) -> float:
    return GENESIS_TIME + slot * SLOT


def final_at(slot: float) -> int:
    """The block that is final at a slot, on a chain that finalises: the start of the epoch before the last."""
    return max(0, int(slot) // EPOCH - 2) * EPOCH


def execution(
    head: int, *, now_slot: float | None = None, fork: str = "main", forked_from: int = 0, **changes: Any
) -> ExecutionSample:
    """An execution client whose head is ``head``; from ``forked_from`` on its blocks are those of ``fork``."""
    final = final_at(head if now_slot is None else min(head, now_slot))

    def mine(number: int) -> Block:
        return block(number, fork if number >= forked_from else "main")

    hashes = {height: mine(height).hash for height in changes.pop("heights", (head - 1, final)) if 0 <= height <= head}
    values: dict[str, Any] = {
        "chain_id": CHAIN_ID,
        "genesis_hash": block_hash(0),
        "latest": mine(head),
        "safe": mine(final),
        "finalized": mine(final),
        "hashes": hashes,
        "peers": 8,
        "version": "Geth/test",
    }
    return ExecutionSample(**(values | changes))


def consensus(head: int, *, now_slot: float | None = None, fork: str = "main", **changes: Any) -> ConsensusSample:
    now_slot = head if now_slot is None else now_slot
    final = final_at(head)
    values: dict[str, Any] = {
        "syncing": Syncing(head, int(now_slot) - head, False, False, False),
        "payload": Payload((block_hash(head, fork),), head),
        "finalized": Checkpoint(final // EPOCH, block_hash(final, "beacon")) if final else None,
        "finalized_payload": Payload((block_hash(final),), final) if final else None,
        "peers": 8,
        "version": "Prysm/test",
    }
    return ConsensusSample(**(values | changes))


def pair(head: int, now_slot: float, **changes: Any) -> PairSample:
    """A sound pair whose head is ``head`` at ``now_slot``."""
    values: dict[str, Any] = {
        "now": time_of(now_slot),
        "execution": execution(head),
        "consensus": consensus(head, now_slot=now_slot),
        "still_seconds": max(0.0, (now_slot - head) * SLOT),
    }
    return PairSample(**(values | changes))


def reference(name: str, head: int, now_slot: float | None = None, **changes: Any) -> ReferenceSample:
    values: dict[str, Any] = {
        "name": name,
        "execution": execution(head),
        "consensus": consensus(head, now_slot=now_slot),
    }
    return ReferenceSample(**(values | changes))


def forked_reference(name: str, head: int, fork: str, forked_from: int, heights: tuple[int, ...]) -> ReferenceSample:
    return reference(name, head, execution=execution(head, fork=fork, forked_from=forked_from, heights=heights))


def silent(name: str) -> ReferenceSample:
    error = f"POST http://{name}:8545: connection refused: nothing listens there"
    return ReferenceSample(name=name, execution=ExecutionSample(error=error), consensus=ConsensusSample(error=error))


def with_execution(sample: PairSample, **changes: Any) -> PairSample:
    return replace(sample, execution=replace(sample.execution, **changes))


def with_consensus(sample: PairSample, **changes: Any) -> PairSample:
    return replace(sample, consensus=replace(sample.consensus, **changes))
