# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What is broken at the moment, on disk: written before a fault is made, removed after it is undone."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..lab.shell import LabError, write


@dataclass
class Entry:
    """One fault in force."""

    id: int
    kind: str
    text: str
    data: dict[str, Any]
    since: float
    owner: list[int] | None  # process and its start time; None when it is to outlive the process that made it

    @property
    def abandoned(self) -> bool:
        """Whether the process that was to undo it is gone."""
        return self.owner is not None and start_time(self.owner[0]) != self.owner[1]


class Journal:
    """The journal of one lab."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "faults.json"
        self._thread = threading.RLock()
        self._depth = 0

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One process and one thread at a time; may be nested."""
        with self._thread:
            if self._depth:
                yield
                return
            try:
                handle = os.open(self.directory / "faults.lock", os.O_RDWR | os.O_CREAT, 0o600)
            except FileNotFoundError as error:
                raise LabError(f"{self.directory} is gone: the lab was taken down") from error
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                self._depth = 1
                yield
            finally:
                self._depth = 0
                os.close(handle)

    def entries(self) -> list[Entry]:
        """All faults in force, oldest first."""
        if not self.path.exists():
            return []
        return [Entry(**entry) for entry in json.loads(self.path.read_text(encoding="utf-8"))]

    def add(self, kind: str, text: str, data: dict[str, Any], owned: bool) -> Entry:
        """Note a fault that is about to be made."""
        with self.locked():
            entries = self.entries()
            number = max((entry.id for entry in entries), default=0) + 1
            owner = [os.getpid(), start_time(os.getpid())] if owned else None
            entry = Entry(number, kind, text, data, time.time(), owner)
            self._save([*entries, entry])
            return entry

    def remove(self, number: int) -> None:
        """Strike out a fault that is undone."""
        with self.locked():
            self._save([entry for entry in self.entries() if entry.id != number])

    def _save(self, entries: list[Entry]) -> None:
        write(self.path, json.dumps([asdict(entry) for entry in entries], indent=1), 0o600)


def start_time(pid: int) -> int:
    """When a process began, in clock ticks since boot: with the pid it names a process for good. 0: there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(stat.rpartition(")")[2].split()[19])
