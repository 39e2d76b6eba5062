# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What was seen of a pair and of its references in one round of sampling. Plain values: they hold no connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from .beacon import Checkpoint, Payload, Syncing
from .jsonrpc import Block


class Progress(NamedTuple):
    """eth_syncing where it is not false."""

    current: int
    highest: int

    @property
    def behind(self) -> int:
        """Blocks still to come; 0 while the client has all blocks and only builds its indices."""
        return max(0, self.highest - self.current)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionSample:
    """``error`` is why the client gave no usable answer; everything else is then missing."""

    error: str | None = None
    timed_out: bool = False  # that is its error: asking again would take as long again
    chain_id: int | None = None
    genesis_hash: str | None = None
    syncing: Progress | None = None
    latest: Block | None = None
    safe: Block | None = None
    finalized: Block | None = None
    hashes: Mapping[int, str] = field(default_factory=dict)  # of its blocks at the heights it was asked for
    peers: int | None = None
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsensusSample:
    error: str | None = None
    timed_out: bool = False
    syncing: Syncing | None = None
    payload: Payload | None = None  # of its head
    finalized: Checkpoint | None = None
    finalized_payload: Payload | None = None
    peers: int | None = None
    version: str = ""


class Disk(NamedTuple):
    path: str
    free_bytes: int | None  # None: could not be read
    min_free_bytes: int
    problem: str = ""


class Clock(NamedTuple):
    """What the host says of its own clock; ``synchronised`` is None where nobody asked, or could (``problem``)."""

    synchronised: bool | None = None
    error_seconds: float | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSample:
    now: float  # of the host's clock, seconds since 1970, when the last answer had come
    execution: ExecutionSample
    consensus: ConsensusSample
    disks: tuple[Disk, ...] = ()
    clock: Clock = Clock()
    still_seconds: float = 0.0  # for how long the head has been the same


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceSample:
    name: str
    execution: ExecutionSample
    consensus: ConsensusSample | None = None  # None: only its execution client is known

    @property
    def finalized_number(self) -> int | None:
        """Height of the last block it holds to be final, taken from its consensus client where there is one."""
        consensus = self.consensus
        if consensus is not None and not consensus.error:
            return consensus.finalized_payload.number if consensus.finalized_payload else None
        return self.execution.finalized.number if self.execution.finalized else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The chain that a pair must be on; None is learned from the references."""

    chain_id: int | None = None
    genesis_hash: str | None = None


ANY_CHAIN = Identity()
