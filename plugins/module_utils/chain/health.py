# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What "healthy" means for an execution client with its consensus client: the one place where it is decided.

Pure: samples in, findings out, without I/O and without a clock. One round proves little, because samples race with
blocks; what findings become over time is decided in admission.py.

A finding's weight:
- fatal: the node must not be asked, once the finding has been seen often enough;
- stall: the whole chain stands still, policy decides;
- hold: not enough is known to admit the node, and not enough is wrong to eject it, unless it lasts ``fatal_after``
  seconds;
- flaw: the node serves, but somebody should look;
- note: worth a line in the status, changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .jsonrpc import Block
from .policy import REFUSE, Policy
from .samples import ANY_CHAIN, ExecutionSample, Identity, PairSample, ReferenceSample

HEALTHY, DEGRADED, SYNCING, STALE = "healthy", "degraded", "syncing", "stale"
CHAIN_STALLED, FORKED, UNKNOWN, UNFIT = "chain_stalled", "forked", "unknown", "unfit"
STATES = (HEALTHY, DEGRADED, SYNCING, STALE, CHAIN_STALLED, FORKED, UNKNOWN, UNFIT)

FATAL, STALL, HOLD, FLAW, NOTE = "fatal", "stall", "hold", "flaw", "note"

# two references that agree outvote one node; one alone may lie
QUORUM = 2


class Finding(NamedTuple):
    code: str
    weight: str
    state: str
    text: str
    fatal_after: float | None = None


@dataclass(frozen=True, slots=True)
class Assessment:
    """One round. ``obstacle`` is why a node that is out stays out although nothing is wrong with it; empty: nothing."""

    findings: tuple[Finding, ...]
    obstacle: str = ""
    age_seconds: float | None = None
    lag_blocks: int | None = None
    references_usable: int = 0

    @property
    def admissible(self) -> bool:
        return not self.obstacle


def state_of(findings: Iterable[Finding]) -> str:
    """The state that findings amount to, the gravest first."""
    by_weight: dict[str, set[str]] = {}
    for finding in findings:
        by_weight.setdefault(finding.weight, set()).add(finding.state)
    for state in (UNFIT, FORKED, SYNCING, STALE):
        if state in by_weight.get(FATAL, ()):
            return state
    if STALL in by_weight:
        return CHAIN_STALLED
    if HOLD in by_weight:
        return SYNCING if SYNCING in by_weight[HOLD] else UNKNOWN
    return DEGRADED if FLAW in by_weight else HEALTHY


def heights_to_compare(pair: ExecutionSample, references: Sequence[ReferenceSample]) -> tuple[int, ...]:
    """Heights at which the next round asks everybody for a hash: near the head, and the last that the references hold
    to be final. Chosen a round ahead, so that everybody is asked for the same in one request."""
    if pair.error or pair.latest is None:
        return ()
    heads = [r.execution.latest.number for r in references if r.execution.latest]
    final = [r.finalized_number for r in references if r.finalized_number is not None]
    candidates = [lower_median(numbers) for numbers in (heads, final) if numbers]
    return tuple(sorted({min(pair.latest.number, number) for number in candidates}))


def lower_median(numbers: Sequence[int]) -> int:
    """The middle one, of two middle ones the lower: of two references the one that claims less."""
    return sorted(numbers)[(len(numbers) - 1) // 2]


@dataclass(slots=True)
class _Judge:
    """The steps of one assessment; each adds its findings."""

    pair: PairSample
    references: Sequence[ReferenceSample]
    policy: Policy
    identity: Identity
    findings: list[Finding] = field(default_factory=list)
    usable: list[ReferenceSample] = field(default_factory=list)
    compared: bool = False

    def add(self, code: str, weight: str, state: str, text: str, fatal_after: float | None = None) -> None:
        self.findings.append(Finding(code, weight, state, text, fatal_after))

    def has(self, weight: str) -> bool:
        return any(finding.weight == weight for finding in self.findings)

    # --- the host

    def disks(self) -> None:
        for disk in self.pair.disks:
            if disk.free_bytes is None:
                self.add("disk_unread", FLAW, DEGRADED, f"free space of {disk.path} could not be read: {disk.problem}")
            elif disk.free_bytes < disk.min_free_bytes:
                self.add(
                    "disk_full",
                    FATAL,
                    UNFIT,
                    f"disk nearly full: {disk.path} has {_gigabytes(disk.free_bytes)} free, fewer than "
                    f"{_gigabytes(disk.min_free_bytes)}; the client stops or fails when it is full",
                )

    def clock(self, latest: Block) -> bool:
        """True where the host's clock can be trusted."""
        clock, limit = self.pair.clock, self.policy.max_clock_error_seconds
        if clock.problem:
            self.add("clock_unread", FLAW, DEGRADED, f"whether the clock is synchronised is not known: {clock.problem}")
        if clock.synchronised is False:
            self.add("clock_unsynchronised", HOLD, UNKNOWN, "the host's clock is not synchronised: no age can be told")
        elif clock.error_seconds is not None and clock.error_seconds > limit:
            self.add(
                "clock_unsynchronised",
                HOLD,
                UNKNOWN,
                f"the host's clock may be {clock.error_seconds:.1f} s wrong, more than {limit:g} s: no age can be told",
            )
        elif latest.timestamp - self.pair.now > limit:
            self.add(
                "clock_behind",
                HOLD,
                UNKNOWN,
                f"the head is from {latest.timestamp - self.pair.now:.1f} s in the future: the host's clock is wrong",
            )
        else:
            return True
        return False

    # --- which chain

    def chain(self) -> None:
        """Chain id and genesis against what is configured, or else against the references."""
        execution = self.pair.execution
        answering = [r for r in self.references if not r.execution.error]
        for code, what, own, wanted, theirs in (
            (
                "wrong_chain",
                "chain id",
                execution.chain_id,
                self.identity.chain_id,
                [r.execution.chain_id for r in answering],
            ),
            (
                "wrong_genesis",
                "genesis block",
                execution.genesis_hash,
                self.identity.genesis_hash,
                [r.execution.genesis_hash for r in answering],
            ),
        ):
            if wanted is not None:
                if own != wanted:
                    self.add(code, FATAL, FORKED, f"another chain: {what} {own}, expected {wanted}")
                continue
            votes = Counter(value for value in theirs if value is not None)
            if not votes or own in votes:
                continue
            value, count = votes.most_common(1)[0]
            text = f"another chain than {count} of the references: {what} {own}, theirs {value}"
            self.add(code, FATAL if count >= QUORUM else HOLD, FORKED, text)

    def pick_references(self, clock_trusted: bool) -> None:
        """References whose word counts: on this chain, not syncing, not from the future."""
        future = self.pair.now + self.policy.slot_seconds + self.policy.max_clock_error_seconds
        execution = self.pair.execution
        chain_id = self.identity.chain_id if self.identity.chain_id is not None else execution.chain_id
        genesis = self.identity.genesis_hash or execution.genesis_hash
        for reference in self.references:
            other = reference.execution
            if other.error:
                self.add("reference_silent", NOTE, HEALTHY, f"reference {reference.name}: {other.error}")
            elif other.chain_id != chain_id or other.genesis_hash != genesis:
                self.add("reference_elsewhere", NOTE, HEALTHY, f"reference {reference.name} is on another chain")
            elif other.latest is None or (other.syncing and other.syncing.behind > self.policy.max_lag_slots):
                self.add("reference_syncing", NOTE, HEALTHY, f"reference {reference.name} is still syncing")
            elif clock_trusted and other.latest.timestamp > future:
                self.add("reference_future", NOTE, HEALTHY, f"reference {reference.name} has a head from the future")
            else:
                self.usable.append(reference)
        if self.references and len(self.usable) < self.policy.min_references:
            self.add(
                "references_silent",
                HOLD,
                UNKNOWN,
                f"{len(self.usable)} of {len(self.references)} references can be asked, "
                f"{self.policy.min_references} needed: nothing to compare with",
            )

    def heads(self) -> list[Block]:
        return [r.execution.latest for r in self.usable if r.execution.latest]

    # --- how old

    def age(self, latest: Block, clock_trusted: bool) -> None:
        """Is the head too old, and if so: does the node stand still, or the chain?"""
        policy, now, heads = self.policy, self.pair.now, self.heads()
        limit = policy.max_age_seconds
        middle = lower_median([head.timestamp for head in heads]) if heads else None
        behind = lower_median([head.number for head in heads]) - latest.number if heads else 0
        age = now - latest.timestamp if clock_trusted else (middle or latest.timestamp) - latest.timestamp
        what = f"head {latest.number} is {age:.1f} s old, policy allows {limit:g} s"
        if age > limit:
            if not heads:
                what += "; no reference can be asked whether the chain goes on"
            elif clock_trusted and behind <= policy.max_lag_slots and not self._chain_moves(heads):
                self.add(
                    "chain_stalled",
                    STALL,
                    CHAIN_STALLED,
                    f"the chain stands still: head {latest.number} is {age:.1f} s old, here and at the references",
                )
                return
            else:
                ahead = max(head.number for head in heads) - latest.number
                what += f"; the references are up to {ahead} blocks ahead"
                if ahead <= 1:
                    # when a chain goes on after a stall, everybody is a moment behind the first
                    self.add("importing", HOLD, STALE, what, policy.import_seconds)
                    return
            if self._catching_up():
                self.add("syncing", FATAL, SYNCING, what)
            else:
                self.add("stale", FATAL, STALE, f"{what}; it has not changed for {self.pair.still_seconds:.1f} s")
        elif behind > policy.max_lag_slots:
            text = (
                f"head {latest.number} is {behind} blocks behind the references, policy allows {policy.max_lag_slots}"
            )
            state = SYNCING if self._catching_up() else STALE
            self.add("lagging", FATAL if len(heads) >= QUORUM else FLAW, state, text)
        else:
            self._reported_syncing()

    def _chain_moves(self, heads: Sequence[Block]) -> bool:
        """Whether references have fresh heads; half of them are enough, as one that stands still proves nothing."""
        fresh = [head for head in heads if self.pair.now - head.timestamp <= self.policy.max_age_seconds]
        return 2 * len(fresh) >= len(heads)

    def _catching_up(self) -> bool:
        """A node that says it is syncing, and moves."""
        syncing = self.pair.consensus.syncing
        consensus_syncing = syncing is not None and syncing.is_syncing
        moving = self.pair.still_seconds <= self.policy.max_age_seconds
        execution = self.pair.execution.syncing
        return (execution is not None and execution.behind > 0) or (consensus_syncing and moving)

    def _reported_syncing(self) -> None:
        """What the clients say of themselves while the head is fresh: reason enough not to admit, none to eject."""
        execution, consensus = self.pair.execution.syncing, self.pair.consensus.syncing
        if execution and execution.behind:
            text = f"the execution client says it is syncing: block {execution.current} of {execution.highest}"
            self.add("execution_syncing", HOLD, SYNCING, text)
        elif execution:
            self.add("indexing", FLAW, DEGRADED, "the execution client has all blocks and still builds its indices")
        if consensus and (consensus.is_syncing or consensus.distance > self.policy.max_age_slots):
            text = f"the consensus client says it is syncing: slot {consensus.head_slot}, {consensus.distance} to go"
            self.add("consensus_syncing", HOLD, SYNCING, text)
        elif consensus and consensus.is_optimistic:
            self.add("optimistic", HOLD, SYNCING, "the consensus client's head is not verified by the execution client")

    # --- which fork

    def forks(self) -> None:
        """Own hashes against those of the references at the same heights."""
        own = self.pair.execution.hashes
        for height in sorted(own, reverse=True):
            self._compare(height, own[height])

    def _compare(self, height: int, own: str) -> None:
        votes: dict[str, list[ReferenceSample]] = {}
        for reference in self.usable:
            if height in reference.execution.hashes:
                votes.setdefault(reference.execution.hashes[height], []).append(reference)
        self.compared = self.compared or bool(votes)
        agreeing = votes.pop(own, [])
        if not votes:
            return
        value, against = max(votes.items(), key=lambda item: len(item[1]))
        names = ", ".join(reference.name for reference in against)
        text = f"block {height} is {own} here and {value} at {names}"
        final = [r for r in against if r.finalized_number is not None and r.finalized_number >= height]
        if self._stopped_on_orphan(height):
            self.add("head_differs", HOLD, FORKED, f"{text}; a head that stands still cannot follow a reorganisation")
        elif len(final) >= QUORUM:
            self.add("finalized_differs", FATAL, FORKED, f"fork: {text}, where it is final")
        elif len(against) >= QUORUM:
            # a node that stands alone is wrong; where opinions are even, finality decides, as long as there is any
            outvoted = len(against) > 1 + len(agreeing)
            decided = outvoted or not self.finalizing()
            self.add("head_differs", HOLD, FORKED, text, self.policy.fork_seconds if decided else None)
        elif agreeing:
            self.add("reference_differs", NOTE, HEALTHY, f"{text} alone")
        else:
            self.add("head_differs", HOLD, FORKED, f"{text}; one reference alone does not decide")

    def _stopped_on_orphan(self, height: int) -> bool:
        """A node that stands still, on a block that it does not hold to be final: it leaves it when it moves again."""
        final = self.pair.execution.finalized
        return any(f.code == "stale" for f in self.findings) and (final is None or height > final.number)

    # --- finality, and the consensus client

    def finalizing(self) -> bool:
        """Whether this node sees new checkpoints become final."""
        consensus = self.pair.consensus
        if consensus.error or consensus.syncing is None or consensus.finalized is None:
            return False
        slot = consensus.syncing.head_slot + consensus.syncing.distance
        return slot // self.policy.slots_per_epoch - consensus.finalized.epoch <= self.policy.max_finality_epochs

    def finality(self, latest: Block) -> None:
        execution, consensus = self.pair.execution, self.pair.consensus
        order = [("finalized", execution.finalized), ("safe", execution.safe), ("latest", latest)]
        known = [(name, block) for name, block in order if block is not None]
        for (lower_name, lower), (upper_name, upper) in zip(known, known[1:], strict=False):
            if lower.number > upper.number:
                text = f"the execution client's {lower_name} block {lower.number} is above {upper_name} {upper.number}"
                self.add("finality_order", HOLD, UNKNOWN, text)
        if consensus.error:
            return
        final = consensus.finalized_payload
        if execution.finalized and final and final.number is not None and execution.finalized.number > final.number:
            # geth from 1.17.4 on calls head - 64 final after a start, until its consensus client tells it better
            text = (
                f"the execution client calls block {execution.finalized.number} final, the chain has finalised "
                f"{final.number}: it has not heard from its consensus client"
            )
            self.add("finalized_ahead", HOLD, UNKNOWN, text)
        if not self.finalizing() and consensus.syncing and not consensus.syncing.is_syncing:
            epoch = consensus.finalized.epoch if consensus.finalized else None
            slot = consensus.syncing.head_slot + consensus.syncing.distance
            if slot // self.policy.slots_per_epoch > self.policy.max_finality_epochs:
                since = "nothing has been finalised yet" if epoch is None else f"the last final epoch is {epoch}"
                text = f"the chain does not finalise: {since}, it is epoch {slot // self.policy.slots_per_epoch}"
                self.add("not_finalizing", FLAW, DEGRADED, text)

    def consensus(self, latest: Block) -> None:
        consensus, policy = self.pair.consensus, self.policy
        if consensus.error:
            self.add("consensus_silent", HOLD, UNKNOWN, f"consensus client: {consensus.error}")
            return
        payload = consensus.payload
        if payload and latest.hash not in payload.hashes:
            ahead = payload.number is None or payload.number > latest.number
            text = (
                f"the execution client's head is {latest.number} ({latest.hash}), its consensus client's is "
                f"{'' if payload.number is None else payload.number} ({payload.hashes[0]})"
            )
            self.add("payload_differs", HOLD, STALE if ahead else FORKED, text, policy.max_age_seconds)

    def peers(self) -> None:
        for which, count, least in (
            ("execution", self.pair.execution.peers, self.policy.min_execution_peers),
            ("consensus", self.pair.consensus.peers, self.policy.min_consensus_peers),
        ):
            if count is not None and count < least:
                self.add("few_peers", FLAW, DEGRADED, f"the {which} client has {count} peers, fewer than {least}")

    def obstacle(self, latest: Block, age: float, lag: int | None) -> str:
        """Why the node is not admitted now; empty where nothing speaks against it."""
        for finding in self.findings:
            if finding.weight in (FATAL, HOLD):
                return finding.text
        if self.has(STALL):
            if self.policy.on_stall == REFUSE:
                return "the chain stands still, and policy refuses to serve then"
        elif age > self.policy.admit_age_seconds:
            return (
                f"head {latest.number} is {age:.1f} s old, {self.policy.admit_age_seconds:g} s are needed to come back"
            )
        if lag is not None and lag > self.policy.admit_lag_slots:
            return f"{lag} blocks behind the references, {self.policy.admit_lag_slots} are needed to come back"
        if self.references and not self.compared:
            return "no block has been compared with a reference yet"
        return ""


def judge(
    pair: PairSample,
    references: Sequence[ReferenceSample],
    policy: Policy,
    identity: Identity = ANY_CHAIN,
) -> Assessment:
    """The findings of one round."""
    case = _Judge(pair, references, policy, identity)
    execution = pair.execution
    case.disks()
    if execution.error or execution.latest is None:
        text = f"execution client: {execution.error or 'it has no block'}"
        case.add("execution_silent", FATAL, UNFIT, text)
        if pair.consensus.error:
            case.add("consensus_silent", HOLD, UNKNOWN, f"consensus client: {pair.consensus.error}")
        return Assessment(tuple(case.findings), text)
    latest = execution.latest
    case.chain()
    clock_trusted = case.clock(latest)
    case.pick_references(clock_trusted)
    case.age(latest, clock_trusted)
    case.forks()
    case.consensus(latest)
    case.finality(latest)
    case.peers()
    heads = case.heads()
    lag = max(0, lower_median([head.number for head in heads]) - latest.number) if heads else None
    age = pair.now - latest.timestamp
    return Assessment(tuple(case.findings), case.obstacle(latest, age, lag), age, lag, len(case.usable))


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.2f} GB"
