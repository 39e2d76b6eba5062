# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The directory of one release name on a host:

    <root>/<name>/<version>/<binary>        mode 0755
    <root>/<name>/<version>/.release.json   what was verified at installation: the pin, the signer, the files' sums
    <root>/<name>/current -> <version>      what services run
    <root>/<name>/.history.json             the version before, for a rollback

Every step is one rename in one file system, after its data has been synced, so that a kill between any two of them
leaves either the old or the new state, and rubbish with names of its own, which the next run sweeps away.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from .errors import ReleaseError, disk_error
from .unpack import Executable

MANIFEST = ".release.json"
_HISTORY = ".history.json"
_CURRENT = "current"
_RUBBISH = (".staging-", ".trash-", ".new-")
_LOCK_WAIT = 300  # seconds; an install of 100 MB over a slow line is through by then


def _sync(directory: Path) -> None:
    """Make the names in a directory survive a power cut."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


class Store:
    """All versions of one release name."""

    def __init__(self, root: Path, name: str):
        self.base = root / name

    # --- reading

    def current(self) -> str | None:
        """The version that services run; None if there is none, a path if the link leads elsewhere."""
        link = self.base / _CURRENT
        if link.is_symlink():
            target = link.readlink()
            return target.name if (self.base / target).parent == self.base else str(target)
        if link.exists():
            raise ReleaseError(f"{link} is no symbolic link: move it away, it was not made by this module")
        return None

    def manifest(self, version: str) -> dict:
        """What was written when a version was installed; empty if there is nothing to be read."""
        try:
            found = json.loads((self.base / version / MANIFEST).read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def versions(self) -> list[str]:
        """Installed versions, the newest installation first."""
        if not self.base.is_dir():
            return []
        found = [path for path in self.base.iterdir() if not path.is_symlink() and not path.name.startswith(".")]
        found = [path for path in found if (path / MANIFEST).is_file()]
        return [path.name for path in sorted(found, key=lambda path: (path / MANIFEST).stat().st_mtime, reverse=True)]

    def faults(self, version: str, pin: dict | None = None) -> list[str]:
        """Why a version is not the one wanted, in words; empty if it is there, untouched and came with this pin."""
        directory = self.base / version
        if directory.is_symlink() or not directory.is_dir():
            return [f"{version} is not installed"]
        manifest = self.manifest(version)
        if not isinstance(manifest.get("binaries"), dict) or not manifest["binaries"]:
            return [f"{version} has no manifest"]
        for key, value in (pin or {}).items():
            if manifest.get(key) != value:
                return [f"{version} was installed with {key} {manifest.get(key)}, wanted is {value}"]
        found = []
        for name, wanted in manifest["binaries"].items():
            path = directory / name
            try:
                state = path.lstat()
                if not stat.S_ISREG(state.st_mode):
                    found.append(f"{path} is no plain file")
                elif stat.S_IMODE(state.st_mode) != 0o755 or state.st_uid != os.geteuid():
                    found.append(f"{path} has mode {stat.S_IMODE(state.st_mode):04o} and owner {state.st_uid}")
                elif state.st_size != wanted["size"] or _sha256(path) != wanted["sha256"]:
                    found.append(f"{path} is not what was installed (its SHA-256 differs)")
            except FileNotFoundError:
                found.append(f"{path} is missing")
        return found

    def history(self) -> dict:
        """{"previous": version or None, "rolled_back_from": version or None}"""
        try:
            found = json.loads((self.base / _HISTORY).read_text())
        except (OSError, ValueError):
            found = {}
        return {"previous": found.get("previous"), "rolled_back_from": found.get("rolled_back_from")}

    # --- changing

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Make the directory and be the only one in it; sweep what killed runs left."""
        try:
            self.base.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.base / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise disk_error(error, self.base, "the release directory") from None
        try:
            deadline = time.monotonic() + _LOCK_WAIT
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        text = (
                            f"{self.base}: another run has been at work here for {_LOCK_WAIT} s: let it end or kill it"
                        )
                        raise ReleaseError(text) from None
                    time.sleep(0.2)
            self._sweep()
            yield
        finally:
            os.close(handle)

    def _sweep(self) -> None:
        for path in self.base.iterdir():
            if path.name.startswith(_RUBBISH):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """A directory in the same file system to prepare a version in; gone afterwards, whatever happens."""
        directory = Path(tempfile.mkdtemp(prefix=".staging-", dir=self.base))
        try:
            yield directory
        finally:
            # the outcome of the installation is what counts; the next run sweeps what remains
            shutil.rmtree(directory, ignore_errors=True)

    def _replace_file(self, path: Path, text: str) -> None:
        beside = self.base / f".new-{path.name.lstrip('.')}"
        with beside.open("w") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        beside.replace(path)
        _sync(path.parent)

    def place(self, prepared: Path, version: str, files: list[Executable], origin: dict) -> None:
        """Make a prepared directory (only the executables in it) the one of a version.

        A version that is there already is repaired file by file, each by a rename, so that what `current` points to is
        never without its executables.
        """
        sums = {file.name: {"sha256": file.sha256, "size": file.size} for file in files}
        text = (
            json.dumps({"format": 1, "version": version, **origin, "binaries": sums}, indent=1, sort_keys=True) + "\n"
        )
        target = self.base / version
        try:
            if target.is_dir() and not target.is_symlink():
                for file in files:
                    (prepared / file.name).replace(target / file.name)
                _sync(target)
                self._replace_file(target / MANIFEST, text)
                return
            if target.is_symlink() or target.exists():
                raise ReleaseError(f"{target} is no directory: move it away, it was not made by this module")
            with (prepared / MANIFEST).open("w") as handle:
                handle.write(text)
                handle.flush()
                os.fsync(handle.fileno())
            prepared.chmod(0o755)
            _sync(prepared)
            prepared.rename(target)
            _sync(self.base)
        except OSError as error:
            raise disk_error(error, self.base, f"version {version}") from None

    def switch(self, version: str, history: dict) -> None:
        """Point `current` to a version. The history goes first: killed in between, the next run does both again."""
        try:
            self._replace_file(self.base / _HISTORY, json.dumps(history, sort_keys=True) + "\n")
            link = self.base / ".new-current"
            link.unlink(missing_ok=True)
            link.symlink_to(version)
            link.replace(self.base / _CURRENT)
            _sync(self.base)
        except OSError as error:
            raise disk_error(error, self.base, "the link to the current version") from None

    def discard(self, version: str) -> None:
        """Remove one version: out of sight by one rename, then its files."""
        trash = self.base / f".trash-{version}"
        (self.base / version).rename(trash)
        shutil.rmtree(trash)

    def surplus(self, keep: int) -> list[str]:
        """All but `keep` versions: current and previous stay first, then what was installed last."""
        installed = self.versions()
        order = dict.fromkeys([self.current(), self.history()["previous"], *installed])
        return [version for version in order if version in installed][max(keep, 1) :]

    @property
    def trash(self) -> Path:
        """Where the whole directory goes on its way out."""
        return self.base.with_name(f".trash-{self.base.name}")

    def remove_all(self) -> None:
        """Remove every version and the directory itself, by one rename and then its files."""
        if self.trash.exists():
            shutil.rmtree(self.trash)
        if self.base.exists():
            self.base.rename(self.trash)
            shutil.rmtree(self.trash)
