# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What every part of `release` raises: a sentence for the person who reads it at night."""

from __future__ import annotations

import errno
import os
from pathlib import Path


class ReleaseError(Exception):
    """Nothing on the host was changed; the text says what was wrong and what to do."""


class PassingFault(ReleaseError):
    """A fault of the network or the server that the next attempt may not meet."""


def free_bytes(directory: Path) -> int:
    """Bytes that may still be written below a directory (or where it would be made)."""
    numbers = os.statvfs(next(place for place in (directory, *directory.parents) if place.exists()))
    return numbers.f_bavail * numbers.f_frsize


def megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def require_space(directory: Path, size: int, what: str) -> None:
    """Refuse to begin what cannot end: `size` bytes below `directory`, and 16 MB beside them for everybody else."""
    free = free_bytes(directory)
    if size + 16_000_000 > free:
        need = f"{what} needs {megabytes(size)} and 16 MB of reserve"
        raise ReleaseError(f"not enough room in {directory}: {need}, {megabytes(free)} are free")


def disk_error(error: OSError, directory: Path, what: str) -> ReleaseError:
    """The message for a write that failed."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        left = megabytes(free_bytes(directory))
        return ReleaseError(f"the disk of {directory} became full while writing {what} ({left} free)")
    return ReleaseError(f"cannot write {what} in {directory}: {error.strerror or error}")
