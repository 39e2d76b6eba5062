# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a node is in service, over time: what one round found becomes a decision only when it lasts.

Pure: the time is a parameter. In: assessments, one a round. Out: a Verdict.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .health import FATAL, FLAW, HOLD, NOTE, STALL, Assessment, Finding, state_of
from .policy import REFUSE, Policy


@dataclass(frozen=True, slots=True)
class Verdict:
    """``reasons`` are what has been confirmed, the gravest first; ``suspects`` what was seen but may pass."""

    state: str
    admitted: bool
    since: float  # when the node was admitted or ejected
    reasons: tuple[Finding, ...]
    suspects: tuple[Finding, ...]
    obstacle: str  # why a node that is out does not come back
    changed: bool = False  # this round admitted or ejected it

    @property
    def reason(self) -> str:
        """One line for a log or a load balancer: what speaks most against the node."""
        if self.reasons and (self.admitted or self.reasons[0].weight in (FATAL, STALL, HOLD)):
            return self.reasons[0].text
        return "" if self.admitted else self.obstacle


_GRAVITY = {FATAL: 0, STALL: 1, HOLD: 2, FLAW: 3, NOTE: 4}


@dataclass(slots=True)
class _Streak:
    since: float
    rounds: int = 0


@dataclass(slots=True)
class Admission:
    """The state machine. A new one is out of service; ``restore`` takes over what an earlier process had decided."""

    policy: Policy
    admitted: bool = False
    since: float = 0.0
    _streaks: dict[str, _Streak] = field(default_factory=dict)
    _fatal_rounds: int = 0
    _stall_rounds: int = 0
    _good_rounds: int = 0
    _reason_out: str = "it has not been looked at yet"
    _first: bool = True

    def restore(self, since: float) -> None:
        """Take a node as admitted that was so a moment ago. The first round then has no benefit of the doubt."""
        self.admitted = True
        self.since = since
        self._first = True

    def step(self, assessment: Assessment, now: float, drained: bool = False) -> Verdict:
        """``now`` is of a clock that never goes back; in seconds.

        A drained node is out of service already, so it has no benefit of the doubt: what would keep it from being
        admitted takes the admission away, and lifting the drain puts nothing into service that is not good to serve.
        """
        present: dict[str, Finding] = {}
        for finding in assessment.findings:
            # several disks or references may say the same: the gravest speaks for its code
            known = present.get(finding.code)
            if known is None or _GRAVITY[finding.weight] < _GRAVITY[known.weight]:
                present[finding.code] = finding
        for code in [code for code in self._streaks if code not in present]:
            del self._streaks[code]
        findings = [self._with_time(finding, now) for finding in present.values()]

        self._fatal_rounds = self._fatal_rounds + 1 if any(f.weight == FATAL for f in findings) else 0
        self._stall_rounds = self._stall_rounds + 1 if any(f.weight == STALL for f in findings) else 0
        self._good_rounds = self._good_rounds + 1 if assessment.admissible else 0
        needed = 1 if self._first else self.policy.repeats
        self._first = False

        confirmed, suspects = [], []
        for finding in sorted(findings, key=lambda finding: _GRAVITY[finding.weight]):
            lasted = self._streaks[finding.code].rounds >= needed
            if lasted or (finding.weight == FATAL and self._fatal_rounds >= needed):
                confirmed.append(finding)
            else:
                suspects.append(finding)

        before = self.admitted
        if drained:
            self.admitted = self._good_rounds >= self.policy.admit_after
        elif self.admitted:
            refused = self.policy.on_stall == REFUSE and self._stall_rounds >= needed
            if self._fatal_rounds >= needed or refused:
                self.admitted = False
        elif self._good_rounds >= self.policy.admit_after:
            self.admitted = True
        changed = before != self.admitted
        if changed:
            self.since = now
        return Verdict(
            state=state_of(confirmed),
            admitted=self.admitted,
            since=self.since,
            reasons=tuple(confirmed),
            suspects=tuple(suspects),
            obstacle="" if self.admitted else self._obstacle(assessment),
            changed=changed,
        )

    def undecided(self) -> bool:
        """Whether the next round should come at once, because it may eject."""
        stall_rounds = self._stall_rounds if self.policy.on_stall == REFUSE else 0
        return self.admitted and 0 < max(self._fatal_rounds, stall_rounds) < self.policy.repeats

    def _with_time(self, finding: Finding, now: float) -> Finding:
        """A finding that has lasted for its ``fatal_after`` is fatal."""
        streak = self._streaks.setdefault(finding.code, _Streak(now))
        streak.rounds += 1
        lasted = now - streak.since
        if finding.fatal_after is not None and lasted >= finding.fatal_after:
            return finding._replace(weight=FATAL, text=f"{finding.text}; for {lasted:.0f} s by now")
        return finding

    def _obstacle(self, assessment: Assessment) -> str:
        if assessment.obstacle:
            return assessment.obstacle
        return f"good for {self._good_rounds} of {self.policy.admit_after} rounds that are needed to come back"
