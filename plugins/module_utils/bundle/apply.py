# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bring a bundle onto the host: validate everything, replace by rename, take all of it back if the whole is refused."""

from __future__ import annotations

import contextlib
import os
import shlex
import tempfile
import time
import typing as t
from pathlib import Path

from . import commands
from .journal import REPLACING, Entry, Journal, take_back
from .model import Bundle, File
from .plan import Change, Plan
from .stage import Stages, keep_old, remove_stages, sync_directory, write_file


class Refused(Exception):
    """The bundle was not applied; the text says why, and what state the host is in."""


class Application:
    def __init__(self, bundle: Bundle, plan: Plan, journal: Journal) -> None:
        self.bundle = bundle
        self.changes = plan.changes
        self.journal = journal
        self.stages = Stages()
        self.backups: dict[str, str] = {}

    def replace(self) -> Entry:
        """Everything up to on_change; the entry returned says that those commands are due."""
        try:
            self._stage()
        except BaseException:
            remove_stages(self.stages.paths)
            raise
        entry = Entry(REPLACING, sorted(self.bundle.paths), [self._undo_step(each) for each in self.changes])
        entry.stages = self.stages.paths
        self.journal.write(entry)
        try:
            for change in self.changes:
                self._make(change)
            for folder in {change.path.parent for change in self.changes}:
                sync_directory(folder)
            for argv in self.bundle.validate_bundle:
                commands.run(argv, self.bundle.mask)
        except (commands.CommandFailed, OSError) as error:
            raise self._put_back(entry, describe(error)) from None
        entry.accept()
        self.journal.write(entry)
        remove_stages(self.stages.paths)
        return entry

    def _put_back(self, entry: Entry, why: str) -> Refused:
        failures = take_back(entry)
        if failures:
            # the entry stays, so that the next run tries again
            return Refused(f"{why}\nNot everything could be put back as it was: {'; '.join(failures)}")
        self.journal.remove(entry)
        for backup in self.backups.values():
            with contextlib.suppress(OSError):
                Path(backup).unlink()
        return Refused(f"{why}\nEvery file was put back as it was.")

    def _stage(self) -> None:
        """Write every new file beside its place, with its final name, owner and mode, and have it validated."""
        refusals = []
        for change in self.changes:
            if not change.file or not change.after:
                continue
            after, path = change.after, self.stages.new(change.path)
            try:
                write_file(path, change.file.content, after.uid, after.gid, after.mode)
                validate(change.file, path)
            except OSError as error:
                refusals.append(f"{change.path}: {error.strerror}")
            except commands.CommandFailed as error:
                refusals.append(f"{change.path}: {error}")
        if refusals:
            raise Refused("\n".join([*refusals, "Nothing was changed."]))

    def _undo_step(self, change: Change) -> dict[str, t.Any]:
        path, before = str(change.path), change.before
        if change.kind == "directory":
            return {"kind": "directory", "path": path}
        if change.kind == "attributes" and before:
            return {"kind": "attributes", "path": path, "uid": before.uid, "gid": before.gid, "mode": before.mode}
        if change.kind == "absent" or os.path.lexists(change.path):
            return {"kind": "saved", "path": path, "saved": str(self.stages.old(change.path))}
        return {"kind": "made", "path": path}

    def _make(self, change: Change) -> None:
        path, after = change.path, change.after
        if change.kind == "absent":
            path.rename(self.stages.old(path))
        elif change.file:
            if os.path.lexists(path):
                keep_old(path, self.stages.old(path))
                if change.file.backup and not path.is_symlink():
                    self.backups[str(path)] = make_backup(path)
            self.stages.new(path).rename(path)
        elif after:
            if change.kind == "directory":
                path.mkdir(0o700)
            os.chown(path, after.uid, after.gid)
            path.chmod(after.mode)


def validate(file: File, path: Path) -> None:
    if file.validate:
        argv = [word.replace("%s", str(path)) for word in shlex.split(file.validate)]
        commands.run(argv, hide=file.secret)


def rehearse(bundle: Bundle, plan: Plan) -> list[str]:
    """What the validators say in check mode; the files are written to a private directory, not beside their places.

    Nothing here is an error, as what a validator needs may be brought by tasks that check mode left out.
    """
    remarks = []
    # in memory where possible: one of them may be secret
    private = "/run" if os.access("/run", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="chainops-check-", dir=private) as stage:
        for number, change in enumerate(plan.changes):
            if not change.file or not change.file.validate:
                continue
            folder = Path(stage, str(number))
            folder.mkdir()
            path = folder / change.path.name
            write_file(path, change.file.content, os.geteuid(), os.getegid(), 0o600)
            try:
                validate(change.file, path)
            except commands.CommandFailed as error:
                remarks.append(f"{change.path}: {error}")
    if plan.changes:
        for argv in (*bundle.validate_bundle, *bundle.on_change):
            if not commands.exists(argv):
                remarks.append(f"{shlex.join(argv)}: there is no command {argv[0]} on this host")
    return remarks


def make_backup(path: Path) -> str:
    """Named as ansible's own modules name it."""
    backup = f"{path}.{os.getpid()}.{time.strftime('%Y-%m-%d@%H:%M:%S~')}"
    keep_old(path, Path(backup))
    return backup


def describe(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or 'writing'}: {error.strerror}"
    return str(error)
