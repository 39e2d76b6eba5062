# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files that must be whole: written beside their place, brought to the disk, and renamed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def put(path: Path, text: str, mode: int, group: int = -1) -> None:
    """Replace a file whole; it never exists with a wider mode than it is to have."""
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), mode)
            if group >= 0:
                os.fchown(file.fileno(), -1, group)
            os.fsync(file.fileno())
        Path(beside).replace(path)
        sync(path.parent)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def link(path: Path, target: str) -> bool:
    """Make a symbolic link, or turn it to another target, by a rename; whether that was needed."""
    if path.is_symlink() and str(path.readlink()) == target:
        return False
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    beside.symlink_to(target)
    beside.replace(path)
    sync(path.parent)
    return True


def sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
