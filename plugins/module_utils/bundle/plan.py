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

from .model import STAGE_PREFIX, Bundle, Directory, File, Owned


@dataclasses.dataclass(frozen=True)
class Attributes:
    uid: int
    gid: int
    mode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Attributes:
        return cls(status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))

    def __str__(self) -> str:
        return f"owner: {user_name(self.uid)}\ngroup: {group_name(self.gid)}\nmode: '{self.mode:04o}'\n"


@dataclasses.dataclass(frozen=True)
class Change:
    """One thing to do to one path: kind is directory, file, attributes or absent."""

    kind: str
    path: str
    after: Attributes | None = None  # None: absent, or an owner who does not exist yet
    before: Attributes | None = None  # None: there is nothing at the path
    file: File | None = None
    old: bytes | None = None
    about_file: bool = True


@dataclasses.dataclass
class Plan:
    changes: list[Change] = dataclasses.field(default_factory=list)
    # What must be corrected, and what an earlier task or a command of it may still bring.
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
        self.created: set[str] = set()
        for directory in bundle.directories:
            self._directory(directory)
        for file in bundle.files:
            self._file(file)
        keep = {file.path for file in bundle.files}
        for path in bundle.absent:
            self._absent(path)
        for purge in bundle.purge:
            for path in stray_files(purge.path, purge.patterns, keep):
                self._absent(path)

    def _directory(self, entry: Directory) -> None:
        wanted = self._wanted(entry)
        try:
            # a link to a directory serves as one
            status = os.stat(entry.path)
        except FileNotFoundError:
            if os.path.islink(entry.path):
                self.plan.errors.append(f"directory {entry.path} is a link to something that does not exist")
                return
            self._parent(entry.path)
            self.created.add(entry.path)
            self.plan.changes.append(Change("directory", entry.path, wanted, about_file=False))
            return
        except NotADirectoryError:
            self.plan.errors.append(f"directory {entry.path}: a part of this path is a file")
            return
        if not stat.S_ISDIR(status.st_mode):
            self.plan.errors.append(f"directory {entry.path}: there is a {kind_name(status.st_mode)} of this name")
        elif wanted != Attributes.of(status):
            self.plan.changes.append(Change("attributes", entry.path, wanted, Attributes.of(status), about_file=False))

    def _file(self, file: File) -> None:
        path = file.path
        try:
            status: os.stat_result | None = os.lstat(path)
        except FileNotFoundError:
            status = None
        except NotADirectoryError:
            self.plan.errors.append(f"dest {path}: a part of this path is a file")
            return
        if status and stat.S_ISLNK(status.st_mode):
            if file.symlink == "refuse":
                self.plan.errors.append(
                    f"dest {path} is a symbolic link to {os.readlink(path)}; write to the target, or set symlink to "
                    "follow or replace"
                )
                return
            if file.symlink == "follow":
                path = os.path.realpath(path)
                status = os.lstat(path) if os.path.lexists(path) else None
        if status and stat.S_ISDIR(status.st_mode):
            self.plan.errors.append(f"dest {path} is an existing directory; it must be the path of a file")
            return
        if status and not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
            self.plan.errors.append(f"dest {path} is a {kind_name(status.st_mode)}, not a file")
            return
        wanted = self._wanted(file)
        if status is None:
            self._parent(path)
        if status is None or stat.S_ISLNK(status.st_mode):
            self.plan.changes.append(Change("file", path, wanted, None, file, None))
            return
        old = read_file(path)
        if old != file.content:
            self.plan.changes.append(Change("file", path, wanted, Attributes.of(status), file, old))
        elif wanted != Attributes.of(status):
            self.plan.changes.append(Change("attributes", path, wanted, Attributes.of(status)))

    def _absent(self, path: str) -> None:
        try:
            status = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return
        if os.path.ismount(path):
            self.plan.errors.append(f"absent {path} is a mount point")
            return
        self.plan.changes.append(Change("absent", path, None, Attributes.of(status)))

    def _parent(self, path: str) -> None:
        parent = os.path.dirname(path)
        if parent not in self.created and not os.path.isdir(parent):
            self.plan.missing.append(
                f"{path}: its directory {parent} does not exist; list it under directories, or let tmpfiles.d create it "
                "by an earlier templates task"
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
            kind = "user" if what == "owner" else "group"
            self.plan.missing.append(
                f"{path}: {what} {name}: there is no {kind} {name} on this host; an earlier templates task creates it by "
                "sysusers.d and on_change systemd-sysusers"
            )
            return None


def stray_files(top: str, patterns: tuple[str, ...], keep: set[str]) -> list[str]:
    """Files below top that match and are not to be kept; links are not followed."""
    strays = []
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if not name.startswith(STAGE_PREFIX))
        for name in sorted(names):
            path = os.path.join(folder, name)
            if path not in keep and any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
                strays.append(path)
    return strays


def read_file(path: str) -> bytes:
    with open(path, "rb") as handle:
        return handle.read()


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
