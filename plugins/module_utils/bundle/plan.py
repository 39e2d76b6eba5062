# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a bundle would change on this host, and what stands in its way. Reads only."""

from __future__ import annotations

import dataclasses
import fnmatch
import grp
import os
import pwd
import stat
import typing as t
from pathlib import Path

from .model import Bundle, Directory, File, Owned
from .stage import STAGE_PREFIX


@dataclasses.dataclass(frozen=True)
class Attributes:
    uid: int
    gid: int
    mode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Attributes:
        return cls(status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))

    def __str__(self) -> str:
        return f"{user_name(self.uid)}:{group_name(self.gid)} {self.mode:04o}"


@dataclasses.dataclass(frozen=True)
class Change:
    """One thing to do to one path: kind is directory (make it), file, attributes or absent."""

    kind: str
    path: Path
    after: Attributes | None = None  # None: nothing afterwards, or an owner who does not exist yet
    before: Attributes | None = None  # None: nothing at the path, or a link
    file: File | None = None
    old: bytes | None = None
    about_directory: bool = False


@dataclasses.dataclass
class Plan:
    changes: list[Change] = dataclasses.field(default_factory=list)
    # What must be corrected, and what an earlier task, or a command of it, may still bring.
    errors: list[str] = dataclasses.field(default_factory=list)
    missing: list[str] = dataclasses.field(default_factory=list)


def user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def plan(bundle: Bundle) -> Plan:
    return Planner(bundle).plan


class Planner:
    def __init__(self, bundle: Bundle) -> None:
        self.plan = Plan()
        self.made: set[Path] = set()
        for directory in bundle.directories:
            self._directory(directory)
        for file in bundle.files:
            self._file(file)
        keep = {Path(file.path) for file in bundle.files}
        for path in bundle.absent:
            self._absent(Path(path))
        for purge in bundle.purge:
            for stray in stray_files(Path(purge.path), purge.patterns, keep):
                self._absent(stray)

    def _directory(self, entry: Directory) -> None:
        path, wanted = Path(entry.path), self._wanted(entry)
        try:
            # a link to a directory serves as one
            status = path.stat()
        except FileNotFoundError:
            if path.is_symlink():
                self._error(f"directory {path} is a link to {path.readlink()}, which does not exist")
                return
            self._parent(path)
            self.made.add(path)
            self.plan.changes.append(Change("directory", path, wanted, about_directory=True))
            return
        except NotADirectoryError:
            self._error(f"directory {path}: a part of this path is a file")
            return
        if not stat.S_ISDIR(status.st_mode):
            self._error(f"directory {path}: there is a {kind_name(status.st_mode)} of this name")
        elif wanted != Attributes.of(status):
            self.plan.changes.append(
                Change("attributes", path, wanted, Attributes.of(status), about_directory=True),
            )

    def _file(self, file: File) -> None:
        path = Path(file.path)
        try:
            status = lstat(path)
        except NotADirectoryError:
            self._error(f"dest {path}: a part of this path is a file")
            return
        if status and stat.S_ISLNK(status.st_mode) and file.symlink != "replace":
            if file.symlink == "refuse":
                self._error(
                    f"dest {path} is a symbolic link to {path.readlink()}: write to the target, or set symlink to "
                    "follow or replace"
                )
                return
            path = path.resolve()
            status = lstat(path)
        if status and not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
            what = kind_name(status.st_mode)
            self._error(f"dest {path} is an existing {what}; it must be the path of a file")
            return
        wanted = self._wanted(file)
        if status is None:
            self._parent(path)
        if status is None or stat.S_ISLNK(status.st_mode):
            self.plan.changes.append(Change("file", path, wanted, None, file))
            return
        before, old = Attributes.of(status), path.read_bytes()
        if old != file.content:
            self.plan.changes.append(Change("file", path, wanted, before, file, old))
        elif wanted != before:
            self.plan.changes.append(Change("attributes", path, wanted, before))

    def _absent(self, path: Path) -> None:
        try:
            status = lstat(path)
        except NotADirectoryError:
            return
        if status is None:
            return
        if path.is_mount():
            self._error(f"absent {path} is a mount point")
            return
        self.plan.changes.append(Change("absent", path, None, Attributes.of(status)))

    def _parent(self, path: Path) -> None:
        if path.parent not in self.made and not path.parent.is_dir():
            self.plan.missing.append(
                f"{path}: its directory {path.parent} does not exist; list it under directories, or let an earlier "
                "templates task create it by tmpfiles.d"
            )

    def _wanted(self, entry: Owned) -> Attributes | None:
        uid = self._id(entry.path, "owner", entry.owner, lambda name: pwd.getpwnam(name).pw_uid, os.geteuid)
        gid = self._id(entry.path, "group", entry.group, lambda name: grp.getgrnam(name).gr_gid, os.getegid)
        return None if uid is None or gid is None else Attributes(uid, gid, entry.mode)

    def _id(
        self, path: str, what: str, name: str | None, look_up: t.Callable[[str], int], own: t.Callable[[], int]
    ) -> int | None:
        if name is None:
            return own()
        if name.isdigit():
            return int(name)
        try:
            return look_up(name)
        except KeyError:
            self.plan.missing.append(
                f"{path}: {what} = {name}: there is no {'user' if what == 'owner' else 'group'} of this name on this "
                "host; let an earlier templates task create it by sysusers.d and systemd-sysusers"
            )
            return None

    def _error(self, text: str) -> None:
        self.plan.errors.append(text)


def stray_files(top: Path, patterns: tuple[str, ...], keep: set[Path]) -> list[Path]:
    """Files below top that match and are not to be kept; links are not followed."""
    strays = []
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if not name.startswith(STAGE_PREFIX))
        for name in sorted(names):
            path = Path(folder, name)
            if path not in keep and any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
                strays.append(path)
    return strays


def lstat(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def kind_name(mode: int) -> str:
    for test, name in (
        (stat.S_ISDIR, "directory"),
        (stat.S_ISREG, "file"),
        (stat.S_ISLNK, "symbolic link"),
        (stat.S_ISSOCK, "socket"),
        (stat.S_ISFIFO, "named pipe"),
    ):
        if test(mode):
            return name
    return "device"
