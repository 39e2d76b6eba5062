"""What was offered, what came of it, and what a store must still have of it. Pure: no input or output, no clock.

A row has one fate:

- ``acknowledged``: the store said that it is kept as its policy promises. It must be found at the end.
- ``indeterminate``: the store was asked to keep it and gave no whole answer, or took its promise back with a warning.
  It may be found or not.
- ``refused``: the store said no, or was never asked. It must not be found.
- ``offered``: no outcome is on record, since the prover itself was ended. As good as indeterminate.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

OFFERED, ACKNOWLEDGED, INDETERMINATE, REFUSED = "offered", "acknowledged", "indeterminate", "refused"
FATES = (ACKNOWLEDGED, INDETERMINATE, REFUSED)
# A gap between acknowledgements that is shorter counts as the pace of the load, not as an outage (seconds).
GAP_S = 1.0


@dataclass(slots=True)
class Row:
    """One numbered row. Times are seconds of the monotonic clock."""

    number: int
    offered: float
    fate: str = OFFERED
    ended: float | None = None
    """When the outcome was known."""
    written: float | None = None
    """When the store had answered to the write itself; before `ended` where a promise is asked for separately."""
    server: str = ""
    """The server that took it."""
    generation: str = ""
    """The reign it was written in: a timeline of PostgreSQL, a replication id of Redis."""
    note: str = ""
    """Why it is not acknowledged."""


@dataclass
class Ledger:
    """The rows of one run, by number."""

    started: float = 0.0
    ended: float = 0.0
    rows: dict[int, Row] = field(default_factory=dict)

    def offer(self, number: int, at: float) -> Row:
        """Write a row down before the store is asked."""
        if number in self.rows:
            raise ValueError(f"row {number} is offered twice")
        row = self.rows[number] = Row(number, at)
        return row

    def settle(
        self,
        number: int,
        fate: str,
        at: float,
        *,
        written: float | None = None,
        server: str = "",
        generation: str = "",
        note: str = "",
    ) -> None:
        """Write a row's outcome down, once."""
        if fate not in FATES:
            raise ValueError(f"{fate} is no fate of a row: {', '.join(FATES)}")
        row = self.rows[number]
        if row.fate != OFFERED:
            raise ValueError(f"row {number} is {row.fate} already")
        row.fate, row.ended, row.written = fate, at, written
        row.server, row.generation, row.note = server, generation, note

    def of(self, fate: str) -> list[Row]:
        """The rows of a fate, in the order in which their outcome was known."""
        return sorted((row for row in self.rows.values() if row.fate == fate), key=lambda row: row.ended or row.offered)

    def reasons(self) -> dict[str, int]:
        """Why rows were not acknowledged, and how often."""
        notes = Counter(f"{row.fate}: {row.note}" for row in self.rows.values() if row.fate != ACKNOWLEDGED)
        return dict(notes.most_common(20))


@dataclass
class Verdict:
    """A ledger compared with what was found."""

    lost: list[Row]
    """Acknowledged, and not there."""
    misjudged: list[Row]
    """Refused, and there all the same: the store went on with what it had refused, or the prover was wrong."""
    foreign: list[int]
    """There, and never offered."""
    old_primary: list[Row]
    """Acknowledged in an old reign after the first acknowledgement of a newer one."""
    twins: list[Row]
    """Acknowledged by another server than the one that had begun the same reign."""
    figures: dict[str, float]

    def red(self) -> list[str]:
        """What must not be, each as a sentence; empty where all is well."""
        found = []
        for rows, words in (
            (self.lost, "acknowledged rows are lost"),
            (self.misjudged, "refused rows are there"),
            (self.old_primary, "rows were acknowledged by an old primary after the new one's first acknowledgement"),
            (self.twins, "rows were acknowledged by a second server of the same reign"),
        ):
            if rows:
                found.append(f"{len(rows)} {words}, the first is {_show(rows[0])}")
        if self.foreign:
            found.append(f"{len(self.foreign)} rows are there that were never offered, the first is {self.foreign[0]}")
        return found


def _show(row: Row) -> str:
    return f"{row.number} (offered {row.offered:.3f}, ended {row.ended or 0:.3f}, {row.server} {row.generation})"


def compare(ledger: Ledger, found: Iterable[int], ordered: bool = False) -> Verdict:
    """Judge a ledger by the numbers that were found. ``ordered``: a later generation has a greater name."""
    there = set(found)
    acknowledged = ledger.of(ACKNOWLEDGED)
    verdict = Verdict(
        lost=[row for row in acknowledged if row.number not in there],
        misjudged=[row for row in ledger.of(REFUSED) if row.number in there],
        foreign=sorted(there - ledger.rows.keys()),
        old_primary=after_the_next(acknowledged, ordered),
        twins=twins(acknowledged),
        figures={},
    )
    verdict.figures = {
        "offered": len(ledger.rows),
        "acknowledged": len(acknowledged),
        "indeterminate": len(ledger.of(INDETERMINATE)) + len(ledger.of(OFFERED)),
        "refused": len(ledger.of(REFUSED)),
        "lost": len(verdict.lost),
        "misjudged": len(verdict.misjudged),
        "foreign": len(verdict.foreign),
        "old_primary": len(verdict.old_primary) + len(verdict.twins),
        "reigns": len({row.generation for row in acknowledged}),
        **pace(ledger),
    }
    return verdict


def after_the_next(acknowledged: list[Row], ordered: bool = False) -> list[Row]:
    """Rows of a generation that was over, since a newer one had acknowledged before. Rows come in order of time."""
    first: dict[str, float] = {}
    for row in acknowledged:
        first.setdefault(row.generation, row.ended or 0.0)
    order = sorted(first) if ordered else sorted(first, key=lambda generation: first[generation])
    over: dict[str, float] = {}
    """When the earliest of all newer generations began."""
    for place, generation in enumerate(order):
        newer = [first[later] for later in order[place + 1 :]]
        if newer:
            over[generation] = min(newer)
    return [row for row in acknowledged if row.generation in over and (row.ended or 0.0) > over[row.generation]]


def twins(acknowledged: list[Row]) -> list[Row]:
    """Rows by another server than the first of their generation: no reign is shared."""
    first: dict[str, str] = {}
    return [row for row in acknowledged if first.setdefault(row.generation, row.server) != row.server]


def gaps(times: Iterable[float], started: float, ended: float) -> list[tuple[float, float]]:
    """The gaps (from, to) between these moments, those before the first and after the last included."""
    moments = [started, *sorted(time for time in times if started <= time <= ended), ended]
    return list(zip(moments, moments[1:], strict=False))


def pace(ledger: Ledger) -> dict[str, float]:
    """Outage: the longest gap between acknowledgements. Availability: the share of time outside gaps over GAP_S."""
    span = ledger.ended - ledger.started
    acknowledged = [row.ended or 0.0 for row in ledger.of(ACKNOWLEDGED)]
    written = [row.written for row in ledger.rows.values() if row.written is not None]
    lengths = [end - start for start, end in gaps(acknowledged, ledger.started, ledger.ended)]
    long = sum(length for length in lengths if length > GAP_S)
    writing = [end - start for start, end in gaps(written or acknowledged, ledger.started, ledger.ended)]
    return {
        "seconds": round(span, 3),
        "outage_s": round(max(lengths, default=0.0), 3),
        "write_outage_s": round(max(writing, default=0.0), 3),
        "availability": round(1 - long / span, 4) if span > 0 else 0.0,
    }


def outage_around(ledger: Ledger, at: float) -> float:
    """The gap between acknowledgements that a moment lies in or that begins next after it."""
    acknowledged = [row.ended or 0.0 for row in ledger.of(ACKNOWLEDGED)]
    return max((e - s for s, e in gaps(acknowledged, ledger.started, ledger.ended) if e > at), default=0.0)


def acknowledged_between(ledger: Ledger, start: float, end: float) -> int:
    """Rows acknowledged in a span of time."""
    return sum(start <= (row.ended or 0.0) < end for row in ledger.of(ACKNOWLEDGED))


def together(runs: list[dict[str, float]]) -> dict[str, float]:
    """The figures of several runs as one: sums of rows, the median and the worst outage, the least availability."""
    if not runs:
        raise ValueError("no run to sum up")
    summed = ("offered", "acknowledged", "indeterminate", "refused", "lost", "misjudged", "foreign", "old_primary")
    found: dict[str, float] = {"runs": len(runs)}
    found |= {name: sum(run[name] for run in runs) for name in summed}
    found["outage_s"] = round(statistics.median(run["outage_s"] for run in runs), 3)
    found["worst_outage_s"] = max(run["outage_s"] for run in runs)
    found["availability"] = min(run["availability"] for run in runs)
    found["runs_with_loss"] = sum(run["lost"] > 0 for run in runs)
    return found
