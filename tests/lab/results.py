"""The project's result files: one form for every suite, merged case by case.

``{"suite", "machine", "full_length", "cases": [case]}``, where a case is as the class below says.

A run adds its cases to those of the same product; the cases of another are dropped, since a figure says nothing about
code that did not give it. The product is what reaches the hosts of the case: another store's role is no part of it.
Documents and tests may change between two cases: each says the commit that it ran at.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "build" / "results"
PRODUCT = ("plugins", "playbooks", "inventories/lab")


@dataclass
class Case:
    """One case's outcome. ``limits`` names the most each figure may be, ``roles`` what it depends on (none: all)."""

    case: str
    passed: bool = False
    figures: dict[str, float] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)
    note: str = ""
    roles: list[str] = field(default_factory=list)
    product: str = ""
    commit: str = ""

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


def product(roles: Iterable[str] = ()) -> str:
    """A digest of all that reaches the hosts, in the working tree; of these roles only, where some are named."""
    places = [f"roles/{role}" for role in sorted(roles)] or ["roles"]
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *PRODUCT, *places],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    digest = hashlib.sha256()
    for name in sorted(filter(None, listed.stdout.split("\0"))):
        path = ROOT / name
        if path.is_file() and path.suffix != ".md":
            digest.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def machine() -> str:
    """What the figures were measured on: cores, memory, kernel."""
    gibibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {gibibytes:.0f} GiB, Linux {platform.release()}"


def load(suite: str) -> dict[str, Case]:
    """The cases on record for this suite that this product gave, by name."""
    path = RESULTS / f"{suite}.json"
    if not path.exists():
        return {}
    cases = [Case(**case) for case in json.loads(path.read_text(encoding="utf-8"))["cases"]]
    now = {roles: product(roles) for roles in {tuple(case.roles) for case in cases}}
    return {case.case: case for case in cases if case.product == now[tuple(case.roles)]}


def save(suite: str, cases: Iterable[Case], full_length: bool) -> Path:
    """Merge these cases into the suite's file and return its path."""
    merged = load(suite) | {case.case: replace(case, product=product(case.roles), commit=commit()) for case in cases}
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{suite}.json"
    document = {
        "suite": suite,
        "machine": machine(),
        "full_length": full_length,
        "cases": [asdict(merged[name]) for name in sorted(merged)],
    }
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    partial.rename(path)
    return path
