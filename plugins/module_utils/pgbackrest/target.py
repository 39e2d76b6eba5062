# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""To which point a cluster is restored, and into which directory."""

from __future__ import annotations

import datetime
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import info
from .command import Pgbackrest, PgbackrestError, identity

TYPES = ("latest", "immediate", "time", "lsn", "name", "xid")
LSN = re.compile(r"[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,62}")
LABEL = re.compile(r"\d{8}-\d{6}F(_\d{8}-\d{6}[DI])?")
# With an offset: a moment without one would be that of whichever time zone the host happens to have.
TIME = re.compile(r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:\d{2}(\.\d{1,6})?([+-]\d{2}(:?\d{2})?|Z)")


@dataclass(frozen=True)
class Target:
    """A point in the history of a cluster."""

    kind: str
    value: str = ""
    exclusive: bool = False
    timeline: str = "latest"
    backup: str = ""

    def check(self) -> None:
        """ValueError says what does not fit."""
        if self.kind not in TYPES:
            raise ValueError(f"type = {self.kind}: must be one of {', '.join(TYPES)}")
        if self.kind in ("latest", "immediate"):
            if self.value:
                raise ValueError(f"target = {self.value}: type = {self.kind} has none")
        elif not self.value:
            raise ValueError(f"type = {self.kind} needs a target")
        if self.exclusive and self.kind not in ("time", "lsn", "xid"):
            raise ValueError(f"exclusive = true does not fit type = {self.kind}; it is for time, lsn and xid")
        if self.backup and not LABEL.fullmatch(self.backup):
            raise ValueError(f"backup = {self.backup}: must be a label, as in 20260104-010002F_20260105-010003D")
        if not re.fullmatch(r"latest|current|[1-9]\d{0,8}", self.timeline):
            raise ValueError(f"timeline = {self.timeline}: must be latest, current or a number")
        self._check_value()

    def _check_value(self) -> None:
        if self.kind == "lsn" and not LSN.fullmatch(self.value):
            raise ValueError(f"target = {self.value}: must be an LSN, as in 0/3000148")
        if self.kind == "xid" and not re.fullmatch(r"[1-9]\d{0,9}", self.value):
            raise ValueError(f"target = {self.value}: must be a transaction's number")
        if self.kind == "name" and not NAME.fullmatch(self.value):
            raise ValueError(f"target = {self.value}: must be a restore point's name: letters, digits, . _ : -")
        if self.kind == "time":
            if not TIME.fullmatch(self.value):
                raise ValueError(
                    f"target = {self.value}: must be a moment with its offset, as in 2026-01-05 02:10:00+00"
                )
            try:
                datetime.datetime.strptime(self.value[:19].replace("T", " "), "%Y-%m-%d %H:%M:%S")
            except ValueError:
                raise ValueError(f"target = {self.value}: there is no such moment") from None

    @property
    def options(self) -> list[str]:
        """The options of `pgbackrest restore`. Promoted at the target, since a paused cluster takes no write."""
        backup = [f"--set={self.backup}"] if self.backup else []
        timeline = [f"--target-timeline={self.timeline}"] if self.kind != "immediate" else []
        if self.kind == "latest":
            return [*backup, *timeline]
        value = [f"--target={self.value}"] if self.value else []
        exclusive = ["--target-exclusive"] if self.exclusive else []
        return [f"--type={self.kind}", *value, *exclusive, "--target-action=promote", *timeline, *backup]


def postmaster(data_dir: Path) -> int:
    """The process that the pid file names; 0 for none."""
    try:
        return int((data_dir / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return 0


def in_use(data_dir: Path) -> bool:
    """Whether a postmaster runs in this directory, as far as its pid file says."""
    pid = postmaster(data_dir)
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return pid > 0


def unmovable(data_dir: Path) -> str:
    """Why a directory cannot be kept by renaming it; empty if it can."""
    if not os.path.lexists(data_dir):
        return ""
    if data_dir.is_symlink() or not data_dir.is_dir():
        return f"{data_dir} is no directory of its own, so that it cannot be kept by renaming it"
    if os.path.ismount(data_dir):
        return f"{data_dir} is a mount point, so that it cannot be kept by renaming it; use one below it"
    return ""


def set_aside(data_dir: Path, when: float | None = None, kind: str = "before-restore") -> str:
    """Rename a directory that holds anything, and say its new name; empty where there was nothing to keep."""
    trouble = unmovable(data_dir)
    if trouble:
        raise PgbackrestError(trouble)
    if not data_dir.exists():
        return ""
    if not any(data_dir.iterdir()):
        data_dir.rmdir()
        return ""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(when if when is not None else time.time()))
    kept = data_dir.with_name(f"{data_dir.name}.{kind}-{stamp}")
    if kept.exists():
        raise PgbackrestError(f"{kept} is there already; wait a second")
    data_dir.rename(kept)
    return str(kept)


def restore(
    pgbackrest: Pgbackrest,
    target: Target,
    data_dir: Path,
    number: int,
    options: list[str],
    *,
    begun: Callable[[str], None] = lambda _kept: None,
    kind: str = "before-restore",
) -> str:
    """Restore into a directory that was put aside before; returns where the old one is, which ``begun`` is told too."""
    if in_use(data_dir):
        raise PgbackrestError(f"PostgreSQL runs in {data_dir}: stop it first; nothing was touched")
    # A repository that does not answer must be known before the old directory is put aside.
    info.read(pgbackrest, number).must_be_good()
    owner = data_dir.parent
    if not owner.is_dir():
        raise PgbackrestError(f"{owner} is not there; make it, owned by PostgreSQL's user")
    kept = set_aside(data_dir, kind=kind)
    data_dir.mkdir(mode=0o700)
    who = identity(pgbackrest.user)
    if who:
        os.chown(data_dir, who["user"], who["group"])
    begun(kept)
    try:
        pgbackrest.must("restore", f"--repo={number}", f"--pg1-path={data_dir}", *options, *target.options)
    except PgbackrestError as error:
        where = f"; the old data directory is {kept}" if kept else ""
        raise PgbackrestError(f"{error}{where}") from None
    return kept
