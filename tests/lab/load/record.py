"""What is kept of every request, and the figures that are made of it."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Record:
    """One request, from its start to its answer. Times are seconds of the wall clock."""

    at: float
    """When it was started."""
    kind: str
    """The method, or `batch`."""
    seconds: float = 0.0
    """From its start to the end of its answer, retries at other addresses included."""
    ok: bool = False
    error: str = ""
    """Why it failed; also `already known` and `nonce too low`, which are no failures."""
    begun: bool = False
    """A failure after the answer had begun, which no balancer can repeat."""
    status: int = 0
    attempts: int = 1
    """Addresses tried."""
    node: str = ""
    balancer: str = ""
    head: int | None = None
    """The block number that the answer gave as the latest."""
    age: float | None = None
    """Age of that block when the answer came, where its timestamp is known."""
    regressed: bool = False
    """The head is lower than one that another answer had given before this request was started."""

    @property
    def ended(self) -> float:
        return self.at + self.seconds


def read(path: Path) -> Iterator[Record]:
    """The records of a trace file; a last line that was cut off is left out."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):
                yield Record(**json.loads(line))


def line(record: Record) -> str:
    return json.dumps({name: value for name, value in asdict(record).items() if value not in ("", None)}) + "\n"


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least this share of all values does not exceed."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def figures(records: Iterable[Record]) -> dict[str, float]:
    """Figures over records, under the names that the project's result files use."""
    kept = list(records)
    latencies = [record.seconds for record in kept]
    answered = [record for record in kept if record.ok]
    failed = [record for record in kept if not record.ok]
    ages = [record.age for record in answered if record.age is not None]
    found: dict[str, float] = {
        "requests": len(kept),
        "failed": sum(not record.begun for record in failed),
        "cut_off": sum(record.begun for record in failed),
        "retried_elsewhere": sum(record.attempts > 1 for record in kept),
        "slowest_s": round(max(latencies, default=0.0), 3),
        "median_s": round(percentile(latencies, 0.5), 4) if latencies else 0.0,
        "p99_s": round(percentile(latencies, 0.99), 4) if latencies else 0.0,
        "oldest_answer_s": round(max(ages, default=0.0), 3),
        "head_regressions": sum(record.regressed for record in answered),
        "already_known": sum(record.error in ("already known", "nonce too low") for record in answered),
        "longest_gap_s": round(longest_gap(answered), 3),
    }
    return found


def longest_gap(answered: list[Record]) -> float:
    """The longest time in which not one request was answered."""
    times = sorted(record.ended for record in answered)
    return max((later - earlier for earlier, later in zip(times, times[1:], strict=False)), default=0.0)


def errors(records: Iterable[Record]) -> dict[str, int]:
    """The reasons of failures and how often each came."""
    return dict(Counter(record.error for record in records if not record.ok).most_common(20))


def last_answer_from(
    records: Iterable[Record], node: str, after: float = 0.0, before: float = math.inf
) -> float | None:
    """When the last answer came from a node, of the requests started in a span of time. None when there was none."""
    of_node = (record.ended for record in records if record.ok and record.node == node and after <= record.at < before)
    return max(of_node, default=None)


def first_answer_from(records: Iterable[Record], node: str, after: float = 0.0) -> float | None:
    """When the first request was started that a node answered, after a time."""
    return min(
        (record.at for record in records if record.ok and record.node == node and record.at >= after), default=None
    )


def between(records: Iterable[Record], start: float, end: float) -> list[Record]:
    """The records of requests started in a span of time."""
    return [record for record in records if start <= record.at < end]


def summary(records: Iterable[Record], more: dict[str, Any] | None = None) -> dict[str, Any]:
    kept = list(records)
    return {"figures": figures(kept) | (more or {}), "errors": errors(kept)}
