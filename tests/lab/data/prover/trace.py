"""A ledger on disk, one JSON object a line: a row is on record before the store is asked, its outcome as soon as known.

What a killed prover leaves is a whole ledger, but for a last line that was cut off.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from .ledger import Ledger


class Trace:
    """Keeps a ledger in memory and on disk at once; for many threads."""

    def __init__(self, path: Path, head: dict[str, Any], started: float) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="utf-8", buffering=1)
        self._lock = threading.Lock()
        self.ledger = Ledger(started=started)
        self._put({"head": head, "started": started})

    def offer(self, number: int, at: float) -> None:
        with self._lock:
            self.ledger.offer(number, at)
            self._put({"n": number, "offered": at})

    def settle(self, number: int, fate: str, at: float, **more: Any) -> None:
        with self._lock:
            self.ledger.settle(number, fate, at, **more)
            kept = {name: value for name, value in more.items() if value not in ("", None)}
            self._put({"n": number, "fate": fate, "at": at, **kept})

    def close(self, ended: float) -> None:
        with self._lock:
            self.ledger.ended = ended
            self._put({"ended": ended})
            self._file.close()

    def _put(self, entry: dict[str, Any]) -> None:
        self._file.write(json.dumps(entry) + "\n")


class Reader:
    """Follows a trace that is being written, line by line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self.head: dict[str, Any] = {}
        self.ledger = Ledger()

    def advance(self) -> Ledger:
        """The ledger with all whole lines that there are by now."""
        if not self._path.exists():
            return self.ledger
        with self._path.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                self._take(json.loads(line))
        return self.ledger

    def _take(self, entry: dict[str, Any]) -> None:
        ledger = self.ledger
        if "head" in entry:
            self.head, ledger.started = entry["head"], entry["started"]
        elif "ended" in entry:
            ledger.ended = entry["ended"]
        elif "offered" in entry:
            ledger.offer(entry["n"], entry["offered"])
            ledger.ended = entry["offered"]
        else:
            number, fate, at = entry.pop("n"), entry.pop("fate"), entry.pop("at")
            ledger.settle(number, fate, at, **entry)
            ledger.ended = at


def read(path: Path) -> tuple[dict[str, Any], Ledger]:
    """(what the run was made with, its ledger) of a trace file."""
    reader = Reader(path)
    reader.advance()
    return reader.head, reader.ledger
