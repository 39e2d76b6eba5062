# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bring a bundle onto the host: validate everything, replace by rename, take all of it back if the whole is refused."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import stat
import tempfile
import time

from . import commands
from .journal import COMMANDS, REPLACING, Entry, Journal, remove_stages, sync_directory, take_back
from .model import STAGE_PREFIX, Bundle, File
from .plan import Attributes, Change, Plan


class Refused(Exception):
    """The bundle was not applied; the host is as it was."""


class Application:
    def __init__(self, bundle: Bundle, plan: Plan, journal: Journal) -> None:
        self.bundle = bundle
        self.plan = plan
        self.journal = journal
        self.backups: dict[str, str] = {}
        self.stages: dict[str, str] = {}
        self.staged: dict[str, str] = {}

    def replace(self) -> Entry:
        """Everything up to on_change; the entry returned says that those commands are due."""
        try:
            self._stage()
        except BaseException:
            remove_stages(list(self.stages.values()))
            raise
        entry = Entry(REPLACING, sorted(self.bundle.paths), self._undo_steps(), list(self.stages.values()))
        self.journal.write(entry)
        try:
            for change in self.plan.changes:
                self._make(change)
            for folder in {os.path.dirname(change.path) for change in self.plan.changes}:
                if os.path.isdir(folder):
                    sync_directory(folder)
            for argv in self.bundle.validate_bundle:
                commands.run(argv, self.bundle.mask)
        except BaseException as error:
            self._put_back(entry, error)
            raise
        entry.state, entry.undo, entry.stages = COMMANDS, [], []
        self.journal.write(entry)
        remove_stages(list(self.stages.values()))
        return entry

    def _put_back(self, entry: Entry, error: BaseException) -> None:
        failures = take_back(entry)
        if failures:
            # The entry stays: the next run tries again.
            raise Refused(f"{describe(error)}\nand not everything could be put back: {'; '.join(failures)}") from None
        self.journal.remove(entry)
        for backup in self.backups.values():
            with contextlib.suppress(OSError):
                os.unlink(backup)
        if isinstance(error, (commands.CommandFailed, OSError)):
            raise Refused(f"{describe(error)}\nEvery file was put back as it was.") from None

    def _stage(self) -> None:
        """Write every new file beside its place, with its final name, owner and mode, and have it validated."""
        refusals = []
        for change in self.plan.changes:
            # a place for the new file, for the old one, or for what is removed
            if change.kind in ("file", "absent"):
                stage = self._stage_for(change.path)
                if change.file is not None and change.after is not None:
                    self.staged[change.path] = path = os.path.join(stage, "new", os.path.basename(change.path))
                    write_file(path, change.file.content, change.after)
                    try:
                        validate(change.file, path)
                    except commands.CommandFailed as error:
                        refusals.append(f"{change.path}: {error}")
        if refusals:
            raise Refused("\n".join(refusals) + "\nNothing was changed.")

    def _stage_for(self, path: str) -> str:
        """A directory on the same filesystem, in the nearest directory that exists."""
        parent = os.path.dirname(path)
        while not os.path.isdir(parent):
            parent = os.path.dirname(parent)
        # a parent that is made by this bundle has no stage of its own, so names could meet: one for each directory
        key = os.path.dirname(path)
        if key not in self.stages:
            self.stages[key] = stage = tempfile.mkdtemp(prefix=STAGE_PREFIX, dir=parent)
            # A validator may run as another user; the files in it have their own modes.
            os.chmod(stage, 0o711)  # noqa: S103
            for name in ("new", "old"):
                os.mkdir(os.path.join(stage, name), 0o711)
        return self.stages[key]

    def _saved(self, path: str) -> str:
        return os.path.join(self.stages[os.path.dirname(path)], "old", os.path.basename(path))

    def _undo_steps(self) -> list[dict[str, object]]:
        steps: list[dict[str, object]] = []
        for change in self.plan.changes:
            before = change.before
            if change.kind == "directory":
                steps.append({"kind": "directory", "path": change.path})
            elif change.kind == "attributes" and before:
                steps.append(
                    {
                        "kind": "attributes",
                        "path": change.path,
                        "uid": before.uid,
                        "gid": before.gid,
                        "mode": before.mode,
                    }
                )
            elif change.kind == "absent" or os.path.lexists(change.path):
                steps.append({"kind": "saved", "path": change.path, "saved": self._saved(change.path)})
            else:
                steps.append({"kind": "created", "path": change.path})
        return steps

    def _make(self, change: Change) -> None:
        path, after = change.path, change.after
        if change.kind == "absent":
            os.rename(path, self._saved(path))
        elif change.kind == "file":
            if os.path.lexists(path):
                keep_old(path, self._saved(path))
                if change.file is not None and change.file.backup and not os.path.islink(path):
                    self.backups[path] = make_backup(path)
            os.rename(self.staged[path], path)
        elif after is not None:
            if change.kind == "directory":
                os.mkdir(path, 0o700)
            os.chown(path, after.uid, after.gid)
            os.chmod(path, after.mode)


def validate(file: File, path: str) -> None:
    if file.validate:
        argv = [word.replace("%s", path) for word in shlex.split(file.validate)]
        commands.run(argv, hide=file.secret)


def rehearse(bundle: Bundle, plan: Plan) -> list[str]:
    """What the validators say in check mode; the files are written to a private directory, not beside their places.

    Nothing here is an error, as what a validator needs may be brought by tasks that check mode left out.
    """
    remarks = []
    with tempfile.TemporaryDirectory(prefix="chainops-check-") as stage:
        for number, change in enumerate(plan.changes):
            if change.file is None or not change.file.validate:
                continue
            folder = os.path.join(stage, str(number))
            os.mkdir(folder)
            path = os.path.join(folder, os.path.basename(change.path))
            write_file(path, change.file.content, Attributes(os.geteuid(), os.getegid(), 0o600))
            try:
                validate(change.file, path)
            except commands.CommandFailed as error:
                remarks.append(f"{change.path}: {error}")
    for argv in (*bundle.validate_bundle, *bundle.on_change):
        if plan.changes and not commands.exists(argv):
            remarks.append(f"{shlex.join(argv)}: there is no command {argv[0]} on this host")
    return remarks


def write_file(path: str, content: bytes, attributes: Attributes) -> None:
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags | os.O_EXCL, 0o600)) as handle:
        handle.write(content)
        handle.flush()
        os.fchown(handle.fileno(), attributes.uid, attributes.gid)
        os.fchmod(handle.fileno(), attributes.mode)
        os.fsync(handle.fileno())


def keep_old(path: str, saved: str) -> None:
    """The file that is replaced stays at hand under another name, until the change as a whole is accepted."""
    try:
        os.link(path, saved, follow_symlinks=False)
    except OSError:
        # a filesystem without hard links
        shutil.copy2(path, saved, follow_symlinks=False)
        status = os.lstat(path)
        os.chown(saved, status.st_uid, status.st_gid, follow_symlinks=False)


def make_backup(path: str) -> str:
    """Named as ansible's own modules name it."""
    backup = f"{path}.{os.getpid()}.{time.strftime('%Y-%m-%d@%H:%M:%S~')}"
    keep_old(path, backup)
    return backup


def remove_stale_stages(bundle: Bundle, journal: Journal) -> None:
    """Stages that no entry knows: their run was killed before it replaced anything."""
    known = {stage for entry in journal.entries() for stage in entry.stages}
    for folder in {os.path.dirname(path) for path in bundle.paths}:
        with contextlib.suppress(OSError), os.scandir(folder) as found:
            stale = [item.path for item in found if item.name.startswith(STAGE_PREFIX) and item.path not in known]
            remove_stages([path for path in stale if stat.S_ISDIR(os.lstat(path).st_mode)])


def describe(error: BaseException) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or 'writing'}: {error.strerror}"
    return str(error) or type(error).__name__
