# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a run that was killed leaves behind, so that the next one can finish it.

An entry is written before the first file is replaced. While its state is C(replacing) the change as a whole has not
been accepted, and the next run takes it back. Once the state is C(commands) the files are good and the commands of
C(on_change) are due. The entry is removed when they have run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import json
import os
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

from .stage import remove_stages, sync_directory

REPLACING = "replacing"
COMMANDS = "commands"
LOCK_SECONDS = 120


class Busy(Exception):
    """Another run has held the lock for too long."""


@dataclasses.dataclass
class Entry:
    state: str
    paths: list[str]
    # Steps that take the change back, in the order in which the change makes them; see undo().
    undo: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    stages: list[str] = dataclasses.field(default_factory=list)
    file: Path | None = None

    def accept(self) -> None:
        """From here on there is no way back, and only the commands are left."""
        self.state, self.undo, self.stages = COMMANDS, [], []


def state_directory() -> Path:
    """Where entries live: root's in /var/lib, anybody else's below the home directory."""
    if os.environ.get("CHAINOPS_STATE"):
        return Path(os.environ["CHAINOPS_STATE"], "templates")
    base = Path("/var/lib") if os.geteuid() == 0 else Path.home() / ".local/state"
    return base / "chainops/templates"


class Journal:
    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """One run at a time on a host: two would see each other's half."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(self.directory / "lock", "a") as handle:
            deadline = time.monotonic() + LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise Busy(f"another templates task has run on this host for {LOCK_SECONDS} s") from None
                    time.sleep(0.2)
            yield

    def entries(self) -> list[Entry]:
        """The oldest first. They are written by rename, so none can be half there."""
        found = []
        for path in sorted(self.directory.glob("*.json")):
            found.append(Entry(**json.loads(path.read_text()), file=path))
        return found

    def write(self, entry: Entry) -> None:
        file = entry.file or self.directory / f"{time.time_ns()}.json"
        data = {"state": entry.state, "paths": entry.paths, "undo": entry.undo, "stages": entry.stages}
        temporary = file.with_suffix(".new")
        with open(temporary, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as handle:
            json.dump(data, handle)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(file)
        sync_directory(self.directory)
        entry.file = file

    def remove(self, entry: Entry) -> None:
        if entry.file:
            entry.file.unlink(missing_ok=True)


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
    path = Path(step["path"])
    if step["kind"] == "saved":
        # Not there: the change had not come this far. Still the same file: the rename does nothing, as it should.
        saved = Path(step["saved"])
        if saved.is_symlink() or saved.exists():
            saved.rename(path)
            sync_directory(path.parent)
    elif step["kind"] == "made":
        path.unlink(missing_ok=True)
    elif step["kind"] == "directory":
        try:
            path.rmdir()
        except FileNotFoundError:
            pass
        except OSError as error:
            # somebody else has put something there in the meantime
            if error.errno != errno.ENOTEMPTY:
                raise
    elif step["kind"] == "attributes":
        with contextlib.suppress(FileNotFoundError):
            os.chown(path, step["uid"], step["gid"])
            path.chmod(step["mode"])
