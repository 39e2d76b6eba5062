# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Places beside the files that are replaced: for new ones until all are good, for old ones until all is done."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import typing as t
from collections.abc import Iterable
from pathlib import Path

STAGE_PREFIX = ".chainops-stage-"


class Stages:
    """One directory for each directory that holds a change; on the same filesystem, as a rename does not leave one."""

    def __init__(self) -> None:
        self._by_folder: dict[Path, Path] = {}

    @property
    def paths(self) -> list[str]:
        return [str(path) for path in self._by_folder.values()]

    def new(self, path: Path) -> Path:
        """Where the new file waits. It has its final name there, which validators may look at."""
        return self._of(path.parent) / "new" / path.name

    def old(self, path: Path) -> Path:
        return self._of(path.parent) / "old" / path.name

    def _of(self, folder: Path) -> Path:
        if folder not in self._by_folder:
            # A directory that this bundle makes is not there yet; it will be on the filesystem of the next one above.
            above = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
            stage = Path(tempfile.mkdtemp(prefix=STAGE_PREFIX, dir=above))
            self._by_folder[folder] = stage
            for place in (stage / "new", stage / "old"):
                place.mkdir()
            # A validator may run as another user; the names are random, and the files have their own modes.
            for place in (stage, stage / "new", stage / "old"):
                place.chmod(0o711)
        return self._by_folder[folder]


def remove_stages(stages: Iterable[str]) -> None:
    for stage in stages:
        # most are gone already; what remains is found as stale by the next run
        shutil.rmtree(stage, ignore_errors=True)


def remove_stale_stages(folders: Iterable[Path], known: set[str]) -> None:
    """Stages that no entry of the journal knows: their run was killed before it replaced anything."""
    for folder in folders:
        with contextlib.suppress(OSError):
            found = [str(path) for path in folder.iterdir() if path.name.startswith(STAGE_PREFIX)]
            remove_stages(path for path in found if path not in known and not Path(path).is_symlink())


def write_file(path: Path, content: bytes, uid: int, gid: int, mode: int) -> None:
    """A new file, on the disk and with its owner and mode before anybody else can open it."""
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags | os.O_EXCL, 0o600)) as handle:
        handle.write(content)
        handle.flush()
        os.fchown(handle.fileno(), uid, gid)
        os.fchmod(handle.fileno(), mode)
        os.fsync(handle.fileno())


def keep_old(path: Path, saved: Path) -> None:
    """The file that is replaced stays at hand under another name."""
    try:
        os.link(path, saved, follow_symlinks=False)
    except OSError:
        # a filesystem without hard links
        shutil.copy2(path, saved, follow_symlinks=False)
        status = path.lstat()
        os.chown(saved, status.st_uid, status.st_gid, follow_symlinks=False)
        if not saved.is_symlink():
            saved.chmod(status.st_mode & 0o7777)


def sync_directory(path: Path) -> None:
    """Names are on the disk when this returns."""
    descriptor: t.Final = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
