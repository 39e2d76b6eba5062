# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The sampling loop: rounds of samples, one verdict each, put where the server finds it."""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..chain.admission import Admission, Verdict
from ..chain.crew import Crew, Job
from ..chain.health import Assessment, heights_to_compare, judge
from ..chain.sampler import ConsensusProbe, ExecutionProbe, ReferenceProbe, Stillness
from ..chain.samples import Clock, ConsensusSample, Disk, ExecutionSample, PairSample, ReferenceSample
from .clock import kernel_clock
from .config import Config, DiskLimit
from .state import AdmissionFile

# seconds between two rounds at least, and until the next one while it may eject
SHORTEST, RECHECK = 0.05, 0.2
# seconds for which a reading of the clock is good
CLOCK_EVERY = 10.0


def log(message: str, level: int = 6) -> None:
    """A line for the journal; 3 is an error, 4 a warning, 6 information."""
    sys.stderr.write(f"<{level}>{message}\n")
    sys.stderr.flush()


def log_mistake(name: str, error: Exception) -> None:
    log(f"sampling {name} failed: {''.join(traceback.format_exception(error))}", 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One finished round, and what has been counted so far. Never changed after it was made."""

    at: float  # of the monotonic clock
    wall: float
    since_wall: float  # when the node was last admitted or ejected
    duration: float
    verdict: Verdict
    assessment: Assessment
    pair: PairSample
    references: tuple[ReferenceSample, ...]
    rounds: int
    changes: Mapping[str, int] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)


class Loop:
    """Rounds, until told to stop. ``snapshot`` is the last one; ``drained`` tells whether an operator keeps it out."""

    def __init__(self, config: Config, drained: Callable[[], bool] = lambda: False) -> None:
        self.config = config
        self._drained = drained
        self.snapshot: Snapshot | None = None
        self.admission = Admission(config.policy)
        self._admission_file = AdmissionFile(config.run_dir)
        self._since_wall = time.time()
        if self._admission_file.admitted_recently():
            self.admission.restore(time.monotonic())
            log("the node was in service a moment ago and stays so unless its first sample is bad")
        self._execution = ExecutionProbe(config.execution_url, ca_path=config.ca_path)
        self._consensus = ConsensusProbe(config.consensus_url, ca_path=config.ca_path)
        self._references = [
            ReferenceProbe(
                reference.name,
                reference.execution_url,
                reference.consensus_url,
                finality_every=config.policy.slot_seconds,
                ca_path=config.ca_path,
            )
            for reference in config.references
        ]
        jobs: dict[str, Job] = {
            "execution": self._execution.sample,
            "consensus": lambda _heights, deadline: self._consensus.sample(deadline),
        }
        jobs.update({f"reference {probe.name}": probe.sample for probe in self._references})
        self._crew = Crew(jobs, log_mistake)
        self._heights: tuple[int, ...] = ()
        self._stillness = Stillness()
        self._clock, self._clock_due = Clock(), 0.0
        self._rounds = 0
        self._changes: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()

    def run(self, stop: threading.Event, alive: Callable[[], None]) -> None:
        """``alive`` is called after every round."""
        while not stop.is_set():
            start = time.monotonic()
            self.round()
            alive()
            stop.wait(max(SHORTEST, self._next_start(start) - time.monotonic()))
        self._crew.stop()

    def _next_start(self, start: float) -> float:
        """An interval after the last; at once where the next round may eject; and when the head becomes too old."""
        if self.admission.undecided():
            return start + RECHECK
        due = start + self.config.interval
        latest = self.snapshot.pair.execution.latest if self.snapshot else None
        if self.admission.admitted and latest:
            left = latest.timestamp + self.config.policy.max_age_seconds - time.time()
            if left > 0:
                due = min(due, time.monotonic() + left + 0.01)
        return due

    def round(self) -> Snapshot:
        start = time.monotonic()
        answers = self._crew.round(self._heights, start + self.config.timeout)
        execution = answers.get("execution") or ExecutionSample(error=self._late(self._execution))
        consensus = answers.get("consensus") or ConsensusSample(error=self._late(self._consensus))
        references = tuple(
            answers.get(f"reference {probe.name}")
            or ReferenceSample(name=probe.name, execution=ExecutionSample(error=self._late(probe.name)))
            for probe in self._references
        )
        now = time.monotonic()
        pair = PairSample(
            now=time.time(),
            execution=execution,
            consensus=consensus,
            disks=tuple(read_disk(disk) for disk in self.config.disks),
            clock=self._read_clock(now),
            still_seconds=self._stillness.seconds(execution.latest, now),
        )
        assessment = judge(pair, references, self.config.policy, self.config.identity)
        before = self.snapshot.verdict if self.snapshot else None
        verdict = self.admission.step(assessment, now, self._drained())
        self._heights = heights_to_compare(execution, references)
        self._count(verdict, pair, references)
        self._tell(before, verdict)
        self._admission_file.note(verdict.admitted)
        self.snapshot = Snapshot(
            at=now,
            wall=pair.now,
            since_wall=self._since_wall,
            duration=now - start,
            verdict=verdict,
            assessment=assessment,
            pair=pair,
            references=references,
            rounds=self._rounds,
            changes=dict(self._changes),
            failures=dict(self._failures),
        )
        return self.snapshot

    def _late(self, whom: object) -> str:
        return f"{whom}: no answer within {self.config.timeout:g} s, and the request still hangs"

    def _read_clock(self, now: float) -> Clock:
        if self.config.clock == "kernel" and now >= self._clock_due:
            self._clock, self._clock_due = kernel_clock(), now + CLOCK_EVERY
        return self._clock

    def _count(self, verdict: Verdict, pair: PairSample, references: tuple[ReferenceSample, ...]) -> None:
        self._rounds += 1
        if verdict.changed:
            self._since_wall = pair.now
            self._changes["admitted" if verdict.admitted else verdict.state] += 1
        failed = {"execution": pair.execution.error, "consensus": pair.consensus.error}
        failed.update({f"reference {r.name}": r.execution.error for r in references})
        self._failures.update({name: 1 for name, error in failed.items() if error})

    def _tell(self, before: Verdict | None, verdict: Verdict) -> None:
        """Changes go to the journal, each once."""
        if verdict.changed:
            if verdict.admitted:
                log("admitted: the node is good to serve")
            else:
                log(f"ejected: {verdict.state}: {verdict.reason}", 4)
        elif before is None or before.state != verdict.state:
            said = verdict.reasons[0].text if verdict.reasons else "nothing is wrong"
            log(f"{verdict.state}: {said}", 6 if verdict.state == "healthy" else 4)
        elif not verdict.admitted and [f.code for f in before.reasons] != [f.code for f in verdict.reasons]:
            log(f"still out: {verdict.state}: {verdict.reason}", 4)


def read_disk(limit: DiskLimit) -> Disk:
    try:
        found = os.statvfs(limit.path)
    except OSError as error:
        return Disk(limit.path, None, limit.min_free_bytes, error.strerror or str(error))
    return Disk(limit.path, found.f_bavail * found.f_frsize, limit.min_free_bytes)
