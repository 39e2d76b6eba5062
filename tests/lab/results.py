"""The project's result files: one form for every suite, merged case by case.

``{"suite", "commit", "machine", "full_length", "cases": [{"case", "passed", "figures", "limits", "note"}]}``

A run adds its cases to those of the same commit; the cases of another commit are dropped, since a
figure says nothing about code that did not give it.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "build" / "results"


@dataclass
class Case:
    """One case's outcome. ``limits`` names the most each figure may be."""

    case: str
    passed: bool = False
    figures: dict[str, float] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)
    note: str = ""

    def over_limit(self) -> list[str]:
        """The figures over their limit, or missing, each as a sentence."""
        problems = []
        for name, limit in self.limits.items():
            if name not in self.figures:
                problems.append(f"{name} was not measured (limit {limit:g})")
            elif self.figures[name] > limit:
                problems.append(f"{name} is {self.figures[name]:g}, over its limit of {limit:g}")
        return problems


def commit() -> str:
    """The commit under test, with ``-dirty`` where tracked files differ from it."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or "unknown"


def machine() -> str:
    """What the figures were measured on: cores, memory, kernel."""
    gibibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {gibibytes:.0f} GiB, Linux {platform.release()}"


def load(suite: str) -> dict[str, Case]:
    """The cases on record for this suite and this commit, by name."""
    path = RESULTS / f"{suite}.json"
    if not path.exists():
        return {}
    document = json.loads(path.read_text(encoding="utf-8"))
    if document["commit"] != commit():
        return {}
    return {case["case"]: Case(**case) for case in document["cases"]}


def save(suite: str, cases: Iterable[Case], full_length: bool) -> Path:
    """Merge these cases into the suite's file and return its path."""
    merged = load(suite) | {case.case: case for case in cases}
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{suite}.json"
    document = {
        "suite": suite,
        "commit": commit(),
        "machine": machine(),
        "full_length": full_length,
        "cases": [asdict(merged[name]) for name in sorted(merged)],
    }
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    partial.rename(path)
    return path
