# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The report as a part of the site's page."""

from __future__ import annotations

from html import escape

from .block import Block, Cell
from .report import Report


def cell_of(cell: Cell, right: bool) -> str:
    text = escape(cell.text or "–")
    inner = f'<span class="{escape(cell.tone)}">{text}</span>' if cell.tone else text
    return f'<td class="number">{inner}</td>' if right else f"<td>{inner}</td>"


def section_of(block: Block) -> str:
    numbers = [heading in block.right for heading in block.headings]
    headings = "".join(
        f'<th class="{"number" if number else ""}">{escape(heading.capitalize())}</th>'
        for heading, number in zip(block.headings, numbers, strict=True)
    )
    rows = "".join(
        f"<tr>{''.join(cell_of(cell, number) for cell, number in zip(row, numbers, strict=True))}</tr>"
        for row in block.rows
    )
    notes = "".join(f'<li class="bad">{escape(note)}</li>' for note in block.notes)
    return (
        f'<section><h2>{escape(block.title)}</h2><p class="soft">{escape(block.summary)}</p>'
        + (f"<ul>{notes}</ul>" if notes else "")
        + (
            f'<div class="scroll"><table><thead><tr>{headings}</tr></thead><tbody>{rows}</tbody></table></div>'
            if rows
            else ""
        )
        + "</section>"
    )


def part(report: Report) -> str:
    """For the body of the page; nothing without blocks."""
    if not report.blocks:
        return ""
    silent = "".join(f'<p class="bad">{escape(name)}: {escape(why)}</p>' for name, why in report.silent.items())
    return (
        f'<section class="layer"><div class="head"><h1>Data layer</h1><span>{escape(report.verdict)}</span></div>'
        f"{silent}{''.join(section_of(block) for block in report.blocks)}</section>"
    )
