# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The host's side of `mirror_files`: which files of a served directory are not as wanted, and how new ones get in.

A record of what was put there (.mirror_files.json: path to SHA-256, size, time, inode) spares a run in which nothing
changed from reading every byte again, and tells our files from those that somebody else put beside them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from pathlib import Path, PurePosixPath
from typing import Any

RECORD = ".mirror_files.json"
INCOMING = ".incoming-"
RESERVE = 64_000_000  # bytes that stay free, for everybody else on the disk


class MirrorError(Exception):
    """A sentence for the person at the other end."""


def check_path(path: str) -> None:
    """Raise MirrorError for a path that leads out of the directory or is hidden from clients."""
    parts = PurePosixPath(path).parts
    if not parts or PurePosixPath(path).is_absolute() or any(part.startswith(".") for part in parts):
        raise MirrorError(f"{path!r}: must be a relative path without .. and without names that begin with a dot")


def sha256(path: Path) -> str:
    """SHA-256 of a file, in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


class Served:
    """A directory that is served to hosts."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.record: dict[str, dict[str, Any]] = {}
        with contextlib.suppress(OSError, ValueError, AttributeError):
            self.record = json.loads((directory / RECORD).read_text()).get("files") or {}

    def _identity(self, path: str) -> dict[str, int] | None:
        target = self.directory / path
        if target.is_symlink() or not target.is_file():
            return None
        state = target.stat()
        return {"size": state.st_size, "mtime_ns": state.st_mtime_ns, "inode": state.st_ino}

    def _holds(self, path: str, wanted: str) -> bool:
        """Whether the file is there with these bytes; what is found is recorded."""
        identity = self._identity(path)
        if identity is None:
            return False
        known = self.record.get(path, {})
        if any(known.get(key) != value for key, value in identity.items()):
            known = {**identity, "sha256": sha256(self.directory / path)}
        if known["sha256"] != wanted:
            return False
        self.record[path] = known
        return True

    def plan(self, wanted: dict[str, str], sizes: dict[str, int]) -> tuple[list[str], list[str]]:
        """(paths to bring, paths to remove). Raises MirrorError if what is to be brought does not fit."""
        for path in wanted:
            check_path(path)
        ours = set(self.record)
        missing = [path for path, value in wanted.items() if not self._holds(path, value)]
        surplus = sorted(path for path in ours - set(wanted) if self._identity(path))
        need = sum(sizes[path] for path in missing)
        place = next(place for place in (self.directory, *self.directory.parents) if place.exists())
        free = shutil.disk_usage(place).free
        if missing and need + RESERVE > free:
            text = f"{need / 1e6:.0f} MB to upload and {RESERVE / 1e6:.0f} MB to keep free"
            raise MirrorError(f"not enough room in {place}: {text}, {free / 1e6:.0f} MB are free")
        return missing, surplus

    def accept(self, path: str, temporary: Path, wanted: str) -> None:
        """Take an uploaded file in: copied, hashed, synced, and put in its place by a rename."""
        check_path(path)
        target = self.directory / path
        self._make_directories(target.parent)
        beside = target.with_name(f"{INCOMING}{target.name}")
        digest = hashlib.sha256()
        try:
            with temporary.open("rb") as source, beside.open("wb") as handle:
                while chunk := source.read(1 << 20):
                    digest.update(chunk)
                    handle.write(chunk)
                handle.flush()
                os.fchmod(handle.fileno(), 0o644)
                os.fsync(handle.fileno())
            if digest.hexdigest() != wanted:
                raise MirrorError(f"{path}: arrived with SHA-256 {digest.hexdigest()}, wanted is {wanted}")
            if target.is_dir() and not target.is_symlink():
                raise MirrorError(f"{target} is a directory where a file belongs: move it away")
            beside.replace(target)
            temporary.unlink()
        finally:
            beside.unlink(missing_ok=True)
        self.record[path] = {**(self._identity(path) or {}), "sha256": wanted}

    def _make_directories(self, directory: Path) -> None:
        """Directories that clients may enter, whatever the umask is."""
        for place in reversed([directory, *directory.parents]):
            if not place.exists():
                place.mkdir()
                place.chmod(0o755)

    def remove(self, paths: list[str]) -> None:
        """Remove files that were ours, and directories that are empty then."""
        for path in paths:
            check_path(path)
            target = self.directory / path
            target.unlink(missing_ok=True)
            self.record.pop(path, None)
            with contextlib.suppress(OSError):
                for place in target.parents:
                    if place == self.directory:
                        break
                    place.rmdir()

    def save(self, wanted: dict[str, str]) -> None:
        """Write the record of what is ours, if it is another one than before."""
        files = {path: entry for path, entry in sorted(self.record.items()) if path in wanted or self._identity(path)}
        text = json.dumps({"format": 1, "files": files}, indent=1) + "\n"
        target = self.directory / RECORD
        if target.exists() and target.read_text() == text:
            return
        self._make_directories(self.directory)
        beside = self.directory / f"{RECORD}.new"
        beside.write_text(text)
        beside.replace(target)
