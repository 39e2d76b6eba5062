# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Take executables out of a release file. Only those named are ever written, each to a place chosen here.

So no member of an archive can reach another path; an archive that tries is refused all the same, since it is not what
anybody released.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import platform
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from .errors import ReleaseError, disk_error, require_space

_TAR = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")
# e_machine of the ELF header, by what uname says
_MACHINES = {"x86_64": 62, "aarch64": 183, "riscv64": 243, "ppc64le": 21, "s390x": 22, "armv7l": 40, "i686": 3}
_READ_ERRORS = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError)


@dataclass
class Executable:
    """One file of an installed release."""

    name: str
    sha256: str
    size: int


@dataclass
class _Member:
    """What both kinds of archive know about an entry."""

    path: str
    size: int
    kind: str  # file, directory, link, special
    mode: int
    entry: tarfile.TarInfo | zipfile.ZipInfo


def kind_of(url: str, archive: str) -> str:
    """tar, zip or none; "auto" goes by the end of the address."""
    if archive != "auto":
        return archive
    path = url.split("?", 1)[0].lower()
    if path.endswith(_TAR):
        return "tar"
    return "zip" if path.endswith(".zip") else "none"


def _tar_members(tar: tarfile.TarFile) -> Iterator[_Member]:
    for entry in tar:
        link = entry.islnk() or entry.issym()
        kind = "file" if entry.isreg() else "directory" if entry.isdir() else "link" if link else "special"
        yield _Member(entry.name, entry.size, kind, entry.mode, entry)


def _zip_members(archive: zipfile.ZipFile) -> Iterator[_Member]:
    for entry in archive.infolist():
        mode = entry.external_attr >> 16  # 0 where the archive was not made on a Unix
        plain = stat.S_IFMT(mode) in {0, stat.S_IFREG}
        kind = "directory" if entry.is_dir() else "file" if plain else "link" if stat.S_ISLNK(mode) else "special"
        yield _Member(entry.filename, entry.file_size, kind, mode & 0o7777, entry)


def _check(member: _Member) -> None:
    path = PurePosixPath(member.path)
    if path.is_absolute() or ".." in path.parts or "\0" in member.path or "\\" in member.path:
        raise ReleaseError(f"archive: the member {member.path!r} reaches out of the archive: not what a release holds")
    if member.kind == "special":
        raise ReleaseError(f"archive: the member {member.path!r} is a device or pipe: not what a release holds")
    if member.kind == "file" and member.mode & (stat.S_ISUID | stat.S_ISGID):
        raise ReleaseError(f"archive: the member {member.path!r} is setuid or setgid: not what a release holds")


def _copy(source: IO[bytes], target: Path, size: int) -> Executable:
    """Write one executable and hash it."""
    require_space(target.parent, size, target.name)
    digest, written = hashlib.sha256(), 0
    try:
        with target.open("xb") as handle:
            while chunk := source.read(1 << 18):
                digest.update(chunk)
                written += len(chunk)
                handle.write(chunk)
            handle.flush()
            os.fchmod(handle.fileno(), 0o755)
            os.fsync(handle.fileno())
    except OSError as error:
        raise disk_error(error, target.parent, target.name) from None
    if written != size:
        raise ReleaseError(f"archive: {target.name} is {written} bytes where {size} were announced")
    return Executable(target.name, digest.hexdigest(), written)


def _pick(members: Iterator[_Member], read, wanted: list[str], target: Path) -> list[Executable]:
    """Check every member, write those that are wanted."""
    names = {str(PurePosixPath(path)): PurePosixPath(path).name for path in wanted}
    found: dict[str, Executable] = {}
    seen = []
    for member in members:
        _check(member)
        path = str(PurePosixPath(member.path))
        if member.kind == "file":
            seen.append(path)
        if path not in names:
            continue
        if member.kind != "file" or path in found:
            what = "there twice" if path in found else f"a {member.kind}, not a file"
            raise ReleaseError(f"archive: the binary {path} is {what}")
        with read(member.entry) as source:
            found[path] = _copy(source, target / names[path], member.size)
    if missing := [path for path in names if path not in found]:
        inside = ", ".join(seen[:8]) + (", …" if len(seen) > 8 else "")
        raise ReleaseError(f"archive: holds no {', '.join(missing)}; it holds {inside or 'no file'}")
    return [found[path] for path in names]


def check_machine(path: Path) -> None:
    """Raise ReleaseError unless the file is a script or an executable for this machine."""
    with path.open("rb") as handle:
        head = handle.read(20)
    if head[:2] == b"#!":
        return
    if head[:4] != b"\x7fELF" or len(head) < 20:
        raise ReleaseError(f"{path.name}: neither an ELF executable nor a script: wrong url, binaries or archive?")
    machine = int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
    wanted = _MACHINES.get(platform.machine())
    if wanted is not None and machine != wanted:
        name = next((name for name, number in _MACHINES.items() if number == machine), f"machine {machine}")
        raise ReleaseError(f"{path.name}: built for {name}, this host is {platform.machine()}")


def unpack(source: Path, kind: str, binaries: list[str], target: Path) -> list[Executable]:
    """Put the executables of a release file into a directory, each under its own name, mode 0755, synced to disk."""
    try:
        if kind == "tar":
            with tarfile.open(source, "r:*") as tar:
                files = _pick(_tar_members(tar), tar.extractfile, binaries, target)
        elif kind == "zip":
            with zipfile.ZipFile(source) as archive:
                files = _pick(_zip_members(archive), archive.open, binaries, target)
        else:
            with source.open("rb") as handle:
                files = [_copy(handle, target / PurePosixPath(binaries[0]).name, source.stat().st_size)]
    except _READ_ERRORS as error:
        # what is wrong with the archive is said, and not what is wrong with the disk; the next run sweeps
        shutil.rmtree(target, ignore_errors=True)
        raise ReleaseError(f"archive: not a readable {kind} file: {error}") from None
    for file in files:
        check_machine(target / file.name)
    return files
