# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a run that was killed leaves behind, so that the next one can finish it.

An entry is written before the first file is replaced. While its state is C(replacing) the change as a whole has not
been accepted, and the next run takes it back; once the state is C(commands) the files are good and the commands of
C(on_change) are due. It is removed when they have run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
import time
import typing as t
from collections.abc import Iterator

REPLACING = "replacing"
COMMANDS = "commands"
LOCK_SECONDS = 120


class Busy(Exception):
    """Another run has held the lock for too long."""


@dataclasses.dataclass
class Entry:
    state: str
    paths: list[str]
    # Steps that take the change back, in the order the change makes them; see undo().
    undo: list[dict[str, t.Any]]
    stages: list[str]
    file: str = ""


def state_directory() -> str:
    """Where entries live: root's in /var/lib, anybody else's below the home directory."""
    if os.environ.get("CHAINOPS_STATE"):
        return os.path.join(os.environ["CHAINOPS_STATE"], "templates")
    if os.geteuid() == 0:
        return "/var/lib/chainops/templates"
    return os.path.join(os.path.expanduser("~"), ".local/state/chainops/templates")


class Journal:
    def __init__(self, directory: str) -> None:
        self.directory = directory

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """One run at a time on a host: two would see each other's half."""
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        with open(os.path.join(self.directory, "lock"), "a") as handle:
            deadline = time.monotonic() + LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise Busy(
                            f"another templates task has been running on this host for {LOCK_SECONDS} s"
                        ) from None
                    time.sleep(0.2)
            yield

    def entries(self) -> list[Entry]:
        """The oldest first. An unreadable entry cannot be (it is written by rename), so it is an error."""
        try:
            names = sorted(name for name in os.listdir(self.directory) if name.endswith(".json"))
        except FileNotFoundError:
            return []
        found = []
        for name in names:
            path = os.path.join(self.directory, name)
            with open(path) as handle:
                found.append(Entry(**json.load(handle), file=path))
        return found

    def write(self, entry: Entry) -> None:
        if not entry.file:
            entry.file = os.path.join(self.directory, f"{time.time_ns()}.json")
        data = dataclasses.asdict(entry)
        del data["file"]
        temporary = entry.file + ".new"
        with open(temporary, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as handle:
            json.dump(data, handle)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, entry.file)
        sync_directory(self.directory)

    def remove(self, entry: Entry) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(entry.file)


def sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def take_back(entry: Entry) -> list[str]:
    """Undo what was done of a change, as far as it came; returns what could not be undone."""
    failures = []
    for step in reversed(entry.undo):
        try:
            undo(step)
        except OSError as error:
            failures.append(f"{step['path']}: {error.strerror}")
    if not failures:
        remove_stages(entry.stages)
    return failures


def undo(step: dict[str, t.Any]) -> None:
    path = step["path"]
    if step["kind"] == "saved":
        # Not there: the change had not come this far. Still the same file: the rename does nothing, as it should.
        if os.path.lexists(step["saved"]):
            os.rename(step["saved"], path)
            sync_directory(os.path.dirname(path))
    elif step["kind"] == "created":
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    elif step["kind"] == "directory":
        # not empty: somebody else uses it by now
        with contextlib.suppress(FileNotFoundError, OSError):
            os.rmdir(path)
    elif step["kind"] == "attributes":
        with contextlib.suppress(FileNotFoundError):
            os.chown(path, step["uid"], step["gid"])
            os.chmod(path, step["mode"])


def remove_stages(stages: list[str]) -> None:
    for stage in stages:
        shutil.rmtree(stage, ignore_errors=True)
