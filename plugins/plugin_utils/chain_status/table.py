# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The report in a terminal: one line for each pair, in columns, and what is wrong below it."""

from __future__ import annotations

from .model import Pair

HEADINGS = (
    "PAIR",
    "ROLE",
    "REGION",
    "SERVICE",
    "VERDICT",
    "HEAD",
    "AGE",
    "BEHIND",
    "PEERS",
    "EXECUTION",
    "CONSENSUS",
    "FREE",
)
_RIGHT = {"HEAD", "AGE", "BEHIND", "PEERS", "FREE"}


def cell(value: object) -> str:
    """One line of printable text: what a client says of itself must not move the cursor."""
    text = "-" if value is None or value == "" else str(value)
    return "".join(c if c.isprintable() else "?" for c in text)


def row(pair: Pair) -> list[str]:
    known = [disk.free_bytes for disk in pair.disks if disk.free_bytes is not None]
    return [
        cell(value)
        for value in (
            pair.name,
            pair.role,
            pair.region,
            pair.service,
            pair.state if pair.asked else None,
            pair.head,
            None if pair.age_seconds is None else f"{pair.age_seconds:.1f} s",
            pair.lag_blocks,
            "/".join(cell(peers) for peers in pair.peers) if pair.asked else None,
            pair.versions[0],
            pair.versions[1],
            f"{min(known) / 1e9:.1f} GB" if known else None,
        )
    ]


def table(pairs: list[Pair]) -> list[str]:
    """Lines of equal columns."""
    rows = [list(HEADINGS), *(row(pair) for pair in pairs)]
    widths = [max(len(line[column]) for line in rows) for column in range(len(HEADINGS))]
    lines = []
    for number, line in enumerate(rows):
        padded = [
            text.rjust(width) if heading in _RIGHT else text.ljust(width)
            for text, width, heading in zip(line, widths, HEADINGS, strict=True)
        ]
        lines.append("  ".join(padded).rstrip())
        if number and pairs[number - 1].reason:
            lines.append(f"    {cell(pairs[number - 1].reason)}")
    lines.append(summary(pairs))
    return lines


def summary(pairs: list[Pair]) -> str:
    """How many of those that are to serve do."""
    serving = [pair for pair in pairs if pair.role != "reference"] or pairs
    up = [pair for pair in serving if pair.in_service]
    silent = [pair.name for pair in pairs if not pair.asked]
    text = f"{len(up)} of {len(serving)} pairs in service"
    return text + (f"; not reached: {', '.join(cell(name) for name in silent)}" if silent else "")
