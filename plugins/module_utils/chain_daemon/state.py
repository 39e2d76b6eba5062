# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Small facts that outlive the process: an operator's drain, and whether the node was admitted a moment ago."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# seconds for which an admission is taken over by the next process
ADMISSION_LASTS = 30.0


@dataclass(frozen=True, slots=True)
class Drain:
    reason: str
    who: str
    since: float  # seconds since 1970

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def _write(path: Path, value: Any) -> None:
    """Whole or not at all, and on disk when this returns."""
    temporary = path.with_suffix(".new")
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


class DrainFile:
    """The operator's wish to have the node out of service. A file that cannot be read counts as a drain: whoever
    drained a node relies on it, and an operator can lift it."""

    def __init__(self, directory: str) -> None:
        self._path = Path(directory) / "drain.json"
        self.current = self._load()

    def _load(self) -> Drain | None:
        try:
            raw = json.loads(self._path.read_text(encoding="utf-8"))
            return Drain(str(raw["reason"]), str(raw["who"]), float(raw["since"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            return Drain(f"{self._path} is unreadable: {error!r:.100}", "chain_health", time.time())

    def set(self, reason: str, who: str) -> Drain:
        """A second drain replaces reason and author, and keeps since when the node is drained."""
        since = self.current.since if self.current else time.time()
        drain = Drain(reason, who, since)
        _write(self._path, drain.as_dict())
        self.current = drain
        return drain

    def clear(self) -> bool:
        was = self.current is not None
        self._path.unlink(missing_ok=True)
        self.current = None
        return was


class AdmissionFile:
    """Lets the daemon be restarted without taking its node out of service. Lies under /run: a reboot forgets it."""

    def __init__(self, directory: str) -> None:
        self._path = Path(directory) / "admission.json"
        self._written = 0.0
        self._last: bool | None = None

    @staticmethod
    def _now() -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def admitted_recently(self) -> bool:
        try:
            raw = json.loads(self._path.read_text(encoding="utf-8"))
            return bool(raw["admitted"]) and 0 <= self._now() - float(raw["at"]) <= ADMISSION_LASTS
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def note(self, admitted: bool) -> None:
        """Remember it; cheap when nothing has changed. Being unable to is no reason to stop."""
        now = self._now()
        if admitted == self._last and now - self._written < ADMISSION_LASTS / 3:
            return
        temporary = self._path.with_suffix(".new")
        try:
            temporary.write_text(json.dumps({"admitted": admitted, "at": now}), encoding="utf-8")
            temporary.replace(self._path)
        except OSError:
            self._path.unlink(missing_ok=True)
        self._last, self._written = admitted, now
