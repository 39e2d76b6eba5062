# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A look at many pairs at once, which takes no longer than it is given, however many of them hang."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .crew import Crew, Job
from .health import FATAL, HOLD, Assessment, heights_to_compare, judge, state_of
from .policy import Policy
from .sampler import ConsensusProbe, ExecutionProbe, ReferenceProbe, Stillness
from .samples import ConsensusSample, ExecutionSample, Identity, PairSample, ReferenceSample
from .transport import Endpoint, EndpointError

# part of the time that the first round of a look may take; the rest is for comparing hashes and looking twice
FIRST_ROUND = 0.75


class Pair:
    """The probes of one pair. ``name`` is unique."""

    def __init__(
        self, name: str, execution_url: str, consensus_url: str, status_url: str | None, ca_path: str | None
    ) -> None:
        self.name = name
        self.execution = ExecutionProbe(execution_url, ca_path=ca_path)
        self.consensus = ConsensusProbe(consensus_url, ca_path=ca_path)
        self.status = Endpoint(status_url, ca_path=ca_path) if status_url else None
        self.stillness = Stillness()

    def read_status(self, _heights: tuple[int, ...], deadline: float) -> dict[str, Any]:
        """What the health daemon beside the pair says of it."""
        endpoint = self.status
        if endpoint is None:
            return {"error": "no status_url is given"}
        try:
            status = endpoint.json("GET", "", deadline=deadline)
        except EndpointError as error:
            return {"error": str(error)}
        if not isinstance(status, dict) or not isinstance(status.get("in_service"), bool):
            return {"error": f"{endpoint}: not the status of a health daemon: {json.dumps(status)[:80]}"}
        return {"error": None, **status}


@dataclass(frozen=True, slots=True)
class View:
    """What one look saw of one pair."""

    name: str
    state: str
    assessment: Assessment
    sample: PairSample
    daemon: Mapping[str, Any] | None  # None where no status was asked for


class Survey:
    """Keeps connections between looks. ``mistakes`` collects exceptions that should not have been."""

    def __init__(
        self, pairs: Sequence[Pair], references: Sequence[ReferenceProbe], policy: Policy, identity: Identity
    ) -> None:
        self.mistakes: list[str] = []
        self._pairs, self._references = pairs, references
        self._policy, self._identity = policy, identity
        jobs: dict[str, Job] = {f"reference {probe.name}": probe.sample for probe in references}
        for pair in pairs:
            jobs[f"execution {pair.name}"] = pair.execution.sample
            jobs[f"consensus {pair.name}"] = _without_heights(pair.consensus)
            if pair.status:
                jobs[f"status {pair.name}"] = pair.read_status
        self._crew = Crew(jobs, lambda name, error: self.mistakes.append(f"{name}: {error!r}"))
        self._heights: tuple[int, ...] = ()
        self.reference_samples: tuple[ReferenceSample, ...] = ()

    def look(self, seconds: float) -> list[View]:
        """All pairs, once. Where something speaks against a pair it is looked at again within the time, as samples
        race with blocks; and where hashes could not be compared because heights were not known yet."""
        start = time.monotonic()
        views = self._round(start + seconds * FIRST_ROUND, {}, None)
        doubtful = [view for view in views if self._again(view)]
        if not doubtful:
            return views
        again = {f"execution {view.name}" for view in doubtful}
        again |= {f"consensus {view.name}" for view in doubtful if not view.sample.consensus.timed_out}
        again |= {f"reference {sample.name}" for sample in self.reference_samples if not sample.execution.timed_out}
        return self._round(start + seconds, {view.name: view for view in views}, again)

    def _again(self, view: View) -> bool:
        if view.sample.execution.timed_out:
            return False
        uncompared = self._references and not view.assessment.admissible
        return bool(uncompared) or any(finding.weight in (FATAL, HOLD) for finding in view.assessment.findings)

    def _round(self, deadline: float, before: Mapping[str, View], only: set[str] | None) -> list[View]:
        answers = self._crew.round(self._heights, deadline, only)
        late = "no answer within the time of this look, and the request still hangs"
        if only is None:
            self.reference_samples = tuple(
                answers.get(f"reference {probe.name}")
                or ReferenceSample(
                    name=probe.name, execution=ExecutionSample(error=f"{probe.name}: {late}", timed_out=True)
                )
                for probe in self._references
            )
        else:
            self.reference_samples = tuple(
                answers.get(f"reference {sample.name}") or sample for sample in self.reference_samples
            )
        views: list[View] = []
        heights: set[int] = set()
        for pair in self._pairs:
            key = f"execution {pair.name}"
            if only is not None and key not in only:
                views.append(before[pair.name])
                continue
            execution = answers.get(key) or ExecutionSample(error=f"{pair.execution}: {late}", timed_out=True)
            consensus = answers.get(f"consensus {pair.name}")
            if consensus is None and only is not None and f"consensus {pair.name}" not in only:
                consensus = before[pair.name].sample.consensus
            if consensus is None:
                consensus = ConsensusSample(error=f"{pair.consensus}: {late}", timed_out=True)
            daemon = before[pair.name].daemon if pair.name in before else None
            if pair.status and only is None:
                daemon = answers.get(f"status {pair.name}") or {"error": f"{pair.status}: {late}"}
            sample = PairSample(
                now=time.time(),
                execution=execution,
                consensus=consensus,
                still_seconds=pair.stillness.seconds(execution.latest, time.monotonic()),
            )
            assessment = judge(sample, self.reference_samples, self._policy, self._identity)
            heights.update(heights_to_compare(execution, self.reference_samples))
            views.append(View(pair.name, state_of(assessment.findings), assessment, sample, daemon))
        self._heights = tuple(sorted(heights))
        return views


def _without_heights(probe: ConsensusProbe) -> Job:
    return lambda _heights, deadline: probe.sample(deadline)
