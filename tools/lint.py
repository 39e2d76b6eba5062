"""Everything that can be said about the files without running them; every linter runs even if one fails.

Usage: lint
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import steps
from collection_copy import tracked_files

SHELL = ("bash", "sh")


def interpreter(path: Path) -> str:
    """The program of a script's first line ("bash", "python3", "" for none)."""
    with open(steps.ROOT / path, "rb") as file:
        first = file.readline(200)
    return Path(first.decode(errors="replace").split()[-1]).name if first.startswith(b"#!") else ""


def lint_steps() -> list[steps.Step]:
    """The linters, the slowest first."""
    found = [Path(name) for name in tracked_files()]
    without_suffix = [path for path in found if not path.suffix]
    python = [path for path in without_suffix if interpreter(path).startswith("python")]
    shell = [path for path in found if path.suffix == ".sh" or (not path.suffix and interpreter(path) in SHELL)]
    result = [
        steps.Step("ansible-lint", ["ansible-lint", "--strict", "--nocolor", "--offline", "-q"]),
        steps.Step("mypy", ["mypy", "--no-error-summary"]),
        steps.Step("yamllint", ["yamllint", "--strict", "."]),
        steps.Step("docs", ["tools/docs", "--check"]),
        steps.Step("ruff check", ["ruff", "check", "--quiet", "--output-format=concise", ".", *python]),
        steps.Step("ruff format", ["ruff", "format", "--check", "--quiet", "--diff", ".", *python]),
    ]
    # shellcheck is in no Python registry: it is used where the machine has it.
    if shell and shutil.which("shellcheck"):
        result.append(steps.Step("shellcheck", ["shellcheck", *shell]))
    return result


def main() -> int:
    if sys.argv[1:]:
        print(__doc__, file=sys.stderr)
        return 2
    return steps.run_all("lint", lint_steps(), parallel=min(4, os.cpu_count() or 1))


if __name__ == "__main__":
    sys.exit(main())
