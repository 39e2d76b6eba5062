# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a report consists of: blocks with a table, a line about it, and what is wrong. Nothing here knows a store."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

MINUTE, HOUR, DAY = 60, 3600, 86400
# After so long a drill says nothing of today's copies. They are to be weekly, and may be late once.
DRILL_SECONDS = 10 * DAY


@dataclass(frozen=True)
class Cell:
    """A value, and how it looks: "" is plain, or good, fair, bad."""

    text: str = ""
    tone: str = ""


@dataclass
class Block:
    """``notes`` are findings: each is something that somebody has to look after."""

    title: str
    headings: tuple[str, ...]
    summary: str = ""
    rows: list[list[Cell]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    right: frozenset[str] = frozenset()

    def add(self, *values: Cell | str | float | None) -> None:
        self.rows.append([value if isinstance(value, Cell) else Cell(words(value)) for value in values])

    def note(self, text: str) -> None:
        """Said once, however many hosts say it."""
        text = " ".join(text.split())
        if text and text not in self.notes:
            self.notes.append(text)


def words(value: str | float | None) -> str:
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def size(count: float | None) -> str:
    """Bytes as a person says them; nothing for what is not known."""
    if count is None or count < 0:
        return ""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def span(seconds: float) -> str:
    for least, unit, name in ((2 * DAY, DAY, "d"), (2 * HOUR, HOUR, "h"), (2 * MINUTE, MINUTE, "min")):
        if seconds >= least:
            return f"{seconds / unit:.0f} {name}"
    return f"{max(seconds, 0):.0f} s"


def day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at))


def age(at: float | None, now: float, limit: float = 0) -> Cell:
    """How long ago; bad where it is longer than the limit, or never was."""
    if not at:
        return Cell("never", "bad")
    return Cell(f"{span(now - at)} ago", "bad" if limit and now - at > limit else "")


def drill(good: float | None, at: float | None, now: float) -> Cell:
    """The date of a drill and what came of it."""
    if not at:
        return Cell("never", "bad")
    if not good:
        return Cell(f"RED {day(at)}", "bad")
    return Cell(f"green {day(at)}", "bad" if now - at > DRILL_SECONDS else "good")


def stale(cell: Cell) -> bool:
    return cell.tone == "bad"
