# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The report in a terminal: a block for each store, in columns, what is stale or wrong marked and said below."""

from __future__ import annotations

from .block import Block, Cell
from .report import Report


def printable(text: str) -> str:
    """One line: what a service says of itself must not move the cursor."""
    return "".join(c if c.isprintable() else "?" for c in text)


def shown(cell: Cell) -> str:
    return printable(cell.text or "-") + (" !" if cell.tone == "bad" else "")


def lines_of(block: Block) -> list[str]:
    rows = [list(block.headings), *([shown(cell) for cell in row] for row in block.rows)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(block.headings))]
    lines = [block.title.upper() + (f": {printable(block.summary)}" if block.summary else "")]
    for row in rows:
        padded = [
            text.rjust(width) if heading in block.right else text.ljust(width)
            for text, width, heading in zip(row, widths, block.headings, strict=True)
        ]
        lines.append("  ".join(["", *padded]).rstrip())
    return lines + [f"    ! {printable(note)}" for note in block.notes]


def table(report: Report) -> list[str]:
    if not report.blocks:
        return ["data layer: no host of it was asked"]
    lines: list[str] = []
    for block in report.blocks:
        lines += [*lines_of(block), ""]
    lines += [f"{printable(name)}: {printable(why)}" for name, why in report.silent.items()]
    return [*lines, f"data layer: {printable(report.verdict)}"]
