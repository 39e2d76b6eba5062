# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What `release` does: the steps of an installation, a rollback and a removal, over the parts beside this file."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from . import download, openpgp, unpack
from .errors import ReleaseError
from .store import Store

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]*")
_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass
class Wanted:
    """The module's options, checked."""

    name: str
    version: str | None
    root: Path
    url: str = ""
    checksum: str = ""
    signature_url: str | None = None
    signing_key: str | None = None
    fingerprint: str | None = None
    archive: str = "auto"
    binaries: list[str] = field(default_factory=list)
    keep: int = 2
    ca_path: str | None = None
    timeout: int = 900
    gpgv: str | None = None
    keys: bytes = b""

    def check(self, state: str) -> None:
        """Raise ReleaseError for what can be seen to be wrong before anything is asked or written."""
        if not self.root.is_absolute():
            raise ReleaseError(f"root: must be an absolute path, found {self.root}")
        for option, value in (("name", self.name), ("version", self.version)):
            if value is not None and (not _NAME.fullmatch(value) or value == "current"):
                raise ReleaseError(
                    f"{option}: {value!r} cannot be a directory's name: letters, digits and . _ + ~ - only"
                )
        if state == "present":
            self._check_source()
            self._check_signature()

    def _check_source(self) -> None:
        download.check_url(self.url, "url")
        self.checksum = self.checksum.lower()
        if not _CHECKSUM.fullmatch(self.checksum):
            raise ReleaseError(f"checksum: must be sha256:<64 hex digits>, found {self.checksum!r}")
        if self.keep < 1:
            raise ReleaseError(f"keep: at least 1, the version in use, found {self.keep}")
        names = [PurePosixPath(path).name for path in self.binaries]
        if not names or "" in names or len(set(names)) < len(names):
            raise ReleaseError(f"binaries: one path or more, with different file names, found {self.binaries}")
        if any(PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts for path in self.binaries):
            raise ReleaseError(f"binaries: paths inside the archive, found {self.binaries}")
        self.archive = unpack.kind_of(self.url, self.archive)
        if self.archive == "none" and len(names) > 1:
            raise ReleaseError(f"binaries: a file that is no archive holds one, found {self.binaries}")

    def _check_signature(self) -> None:
        if not self.signature_url:
            return
        download.check_url(self.signature_url, "signature_url")
        self.keys, self.fingerprint = openpgp.pinned_key(self.signing_key or "", self.fingerprint or "")

    def pin(self) -> dict[str, Any]:
        """What a version must have been installed with to count as this one."""
        signer = {"signer": self.fingerprint} if self.signature_url else {}
        return {"checksum": self.checksum, "sources": [str(PurePosixPath(path)) for path in self.binaries], **signer}


@dataclass
class Outcome:
    """What was done, or would be done in check mode."""

    action: str
    version: str | None
    before: str | None
    previous: str | None
    message: str
    removed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return self.action != "none"


def _fetch_and_place(store: Store, wanted: Wanted, version: str) -> None:
    """Download, verify, unpack, put in place. Nothing outside the staging directory changes before the last line."""
    if wanted.signature_url and not wanted.gpgv:
        raise ReleaseError("signature: gpgv is not installed on this host: apt-get install gpgv")
    with store.staging() as staging:
        file = staging / "download"
        got = download.fetch(wanted.url, file, ca_path=wanted.ca_path, timeout=wanted.timeout)
        if f"sha256:{got.sha256}" != wanted.checksum:
            found = f"{download.redacted(wanted.url)} is sha256:{got.sha256} ({got.size} bytes)"
            raise ReleaseError(f"checksum: {found}, wanted is {wanted.checksum}")
        if wanted.signature_url and wanted.gpgv:
            signature = staging / "signature"
            download.fetch(wanted.signature_url, signature, ca_path=wanted.ca_path, timeout=60, limit=1 << 16)
            openpgp.verify(wanted.gpgv, wanted.keys, wanted.fingerprint or "", signature=signature, data=file)
        prepared = staging / "version"
        prepared.mkdir()
        files = unpack.unpack(file, wanted.archive, wanted.binaries, prepared)
        store.place(prepared, version, files, {"url": download.redacted(wanted.url), **wanted.pin()})


def _record(store: Store, leaving: str | None, entering: str) -> dict[str, Any]:
    """The history to keep when `entering` becomes current: `leaving` is what a rollback goes back to, if it can."""
    known = store.history()
    usable = leaving if leaving != entering and leaving in store.versions() else known["previous"]
    return {"previous": usable if usable != entering else None, "rolled_back_from": None}


def _prune(store: Store, keep: int, change: bool) -> list[str]:
    surplus = store.surplus(keep)
    for version in surplus if change else []:
        store.discard(version)
    return surplus


def present(wanted: Wanted, *, check_mode: bool) -> Outcome:
    """Bring the version onto the host and make it the current one."""
    store, version = Store(wanted.root, wanted.name), wanted.version or ""

    def act(change: bool) -> Outcome:
        before, history = store.current(), store.history()
        faults = store.faults(version, wanted.pin())
        if not faults and before == version:
            removed = _prune(store, wanted.keep, change)
            action, text = ("pruned", f"removed {', '.join(removed)}") if removed else ("none", "as it was verified")
            return Outcome(action, version, before, history["previous"], f"{version} is installed: {text}", removed)
        there = (store.base / version).is_dir()
        action = "switched" if not faults else "repaired" if there else "installed"
        why = "; ".join(faults) or f"{version} was on disk"
        if change and faults:
            _fetch_and_place(store, wanted, version)
        if change and before != version:
            store.switch(version, _record(store, before, version))
        removed = _prune(store, wanted.keep, True) if change else []
        previous = before if before != version else history["previous"]
        return Outcome(action, version, before, previous, f"{version} {action}: {why}", removed, faults)

    if check_mode:
        return act(False)
    with store.locked():
        return act(True)


def rolled_back(wanted: Wanted, *, check_mode: bool) -> Outcome:
    """Make an earlier version that is on disk the current one, without any download."""
    store = Store(wanted.root, wanted.name)

    def act(change: bool) -> Outcome:
        before, history = store.current(), store.history()
        target, gone = wanted.version, history["rolled_back_from"]
        if target is None:
            if gone and before != gone:
                return Outcome("none", before, before, None, f"already rolled back from {gone} to {before}")
            target = history["previous"]
        if target is None:
            have = ", ".join(store.versions()) or "nothing"
            raise ReleaseError(f"rollback: no earlier version of {wanted.name} is known here; on disk: {have}")
        if target == before:
            return Outcome("none", before, before, history["previous"], f"{target} is current")
        if faults := store.faults(target):
            stays = f"{before or 'nothing'} stays current; install it with state=present"
            raise ReleaseError(f"rollback: {'; '.join(faults)}: {stays}")
        if change:
            store.switch(target, {"previous": target, "rolled_back_from": before})
        return Outcome("rolled_back", target, before, before, f"rolled back from {before} to {target}")

    if check_mode:
        return act(False)
    if not store.base.is_dir():
        raise ReleaseError(f"rollback: {wanted.name} is not installed in {wanted.root}")
    with store.locked():
        return act(True)


def absent(wanted: Wanted, *, check_mode: bool) -> Outcome:
    """Remove one version, or all of them and the directory."""
    store, version = Store(wanted.root, wanted.name), wanted.version
    if not store.base.is_dir():
        if version is None and store.trash.exists() and not check_mode:  # a removal was killed half-way
            store.remove_all()
            return Outcome("removed", None, None, None, f"{wanted.name}: the rest of it removed")
        return Outcome("none", None, None, None, f"{wanted.name} is not installed")

    def act(change: bool) -> Outcome:
        before, previous = store.current(), store.history()["previous"]
        if version is None:
            removed = store.versions()
            if change:
                store.remove_all()
            return Outcome("removed", None, before, None, f"{wanted.name} removed", removed)
        if version == before:
            raise ReleaseError(f"absent: {version} is the current version of {wanted.name}: switch or roll back first")
        if not (store.base / version).is_dir():
            return Outcome("none", before, before, previous, f"{version} is not installed")
        if change:
            store.discard(version)
        return Outcome("removed", before, before, previous, f"{version} removed", [version])

    if check_mode:
        return act(False)
    with store.locked():
        return act(True)
