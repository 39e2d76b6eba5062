"""Bring the measured tables of pages to what a result file has.

Usage: measured [FILE.json]   (build/results/data.json)

A table stands between ``<!-- measured: CASES | FIGURES -->`` and ``<!-- measured: end -->``. CASES are names as in the
file, where ``*`` stands for anything; FIGURES are the columns. A case that is not in the file, or did not pass, is an
error, and no page is touched. The file itself is kept in docs/measured/, as what the pages are from.
"""

from __future__ import annotations

import fnmatch
import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "docs" / "measured"
BLOCK = re.compile(r"(<!-- measured: (?P<cases>[^|>]+)\|(?P<figures>[^>]+)-->\n).*?(<!-- measured: end -->)", re.DOTALL)


class Unproven(Exception):
    """A page names what was not shown."""


def chosen(cases: list[dict[str, Any]], patterns: list[str]) -> list[dict[str, Any]]:
    """The cases that the patterns name, in their order."""
    found: list[dict[str, Any]] = []
    for pattern in patterns:
        mine = [case for case in cases if fnmatch.fnmatchcase(case["case"], pattern) and case not in found]
        if not mine:
            raise Unproven(f"{pattern}: no such case in the file")
        found += mine
    failed = [case["case"] for case in found if not case["passed"]]
    if failed:
        raise Unproven(f"not passed: {', '.join(failed)}")
    return found


def cell(case: dict[str, Any], figure: str) -> str:
    """A figure, with its limit where it has one that is not zero."""
    if figure not in case["figures"]:
        return ""
    limit = case["limits"].get(figure, 0)
    return f"{case['figures'][figure]:,.10g}" + (f" (at most {limit:,.10g})" if limit else "")


def table(document: dict[str, Any], patterns: list[str], figures: list[str]) -> str:
    """Markdown."""
    rows = [["case", *figures]] + [["---"] * (1 + len(figures))]
    for case in chosen(document["cases"], patterns):
        rows.append([f"`{case['case']}`", *(cell(case, figure) for figure in figures)])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([f"On {document['machine']}:", "", *lines, ""])


def page(text: str, document: dict[str, Any]) -> str:
    """A page with its tables as the file has them."""

    def made(block: re.Match[str]) -> str:
        return block[1] + "\n" + table(document, block["cases"].split(), block["figures"].split()) + "\n" + block[4]

    return BLOCK.sub(made, text)


def main() -> int:
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "results" / "data.json"
    text = source.read_text(encoding="utf-8")
    document = json.loads(text)
    pages = {path: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
    try:
        new = {path: page(old, document) for path, old in pages.items()}
    except Unproven as error:
        print(f"measured: {error}", file=sys.stderr)
        return 1
    KEPT.mkdir(exist_ok=True)
    kept = KEPT / source.name
    pages[kept], new[kept] = kept.read_text(encoding="utf-8") if kept.exists() else "", text
    for path, now in new.items():
        if now != pages[path]:
            path.write_text(now, encoding="utf-8")
            print(f"measured: {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
