"""A copy of the collection as a fresh clone would have it: what git knows or would add, nothing else."""

from __future__ import annotations

import filecmp
import shutil
import subprocess
from pathlib import Path

import steps


def tracked_files() -> list[str]:
    """What git knows or would add, as far as it is there."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=steps.ROOT, capture_output=True, text=True, check=True).stdout
    return sorted(name for name in listed.split("\0") if name and (steps.ROOT / name).is_file())


def copy_collection(target: Path) -> None:
    """Make target the same as the checkout; files that are the same already are left alone."""
    wanted = set(tracked_files())
    target.mkdir(parents=True, exist_ok=True)
    # A repository of its own: ansible-test lists files with git, and for this checkout's git the copy is ignored.
    subprocess.run(["git", "init", "--quiet"], cwd=target, check=True)
    for path in sorted(target.rglob("*"), reverse=True):
        name = str(path.relative_to(target))
        if name == ".git" or name.startswith(".git/"):
            continue
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif name not in wanted:
            path.unlink()
    for name in sorted(wanted):
        source, copy = steps.ROOT / name, target / name
        if not copy.exists() or not filecmp.cmp(source, copy, shallow=False):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy)
