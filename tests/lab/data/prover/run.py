"""A prover in a process of its own, so that a test's work does not delay it: started, stopped, judged.

with Prover(store, trace) as prover:
    prover.wait_started()
    ... break something ...
prover.judge().red()
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from types import TracebackType

from .engine import Pace
from .ledger import ACKNOWLEDGED, Ledger, Row, Verdict
from .stores import Store
from .trace import Reader

ROOT = Path(__file__).resolve().parents[4]


class Prover:
    """`python -m tests.lab.data.prover run` as a context: it writes inside the block."""

    def __init__(self, store: Store, trace: Path, pace: Pace | None = None) -> None:
        self.store = store
        self.trace = trace
        self.pace = pace or Pace()
        self._process: subprocess.Popen[str] | None = None
        self._reader = Reader(trace)

    def __enter__(self) -> Prover:
        self.trace.parent.mkdir(parents=True, exist_ok=True)
        self.trace.unlink(missing_ok=True)
        self._reader = Reader(self.trace)
        argv = [sys.executable, "-m", "tests.lab.data.prover", "run", str(self.trace)]
        self._process = subprocess.Popen(
            argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._process.stdin
        json.dump({"store": self.store.head(), "pace": vars(self.pace)}, self._process.stdin)
        self._process.stdin.close()
        self._process.stdin = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._process is None:
            return
        if kind is not None:
            self._process.kill()
            self._process.communicate()
            return
        self.stop()

    def wait_started(self, timeout: float = 90.0) -> None:
        """Return once a row is acknowledged: what happens from here on happens under load."""
        self.wait_acknowledged(time.monotonic() - timeout, timeout)

    def wait_acknowledged(self, after: float, timeout: float) -> float:
        """The moment of the first acknowledgement of a row offered after a moment; AssertionError if none comes."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            ended = [row.ended for row in self._offered_after(after) if row.fate == ACKNOWLEDGED and row.ended]
            if ended:
                return min(ended)
            if self._process is not None and self._process.poll() is not None:
                raise RuntimeError(f"the prover ended by itself: {self._process.communicate()[1][-2000:]}")
            time.sleep(0.2)
        raise AssertionError(f"no row was acknowledged in {timeout:g} s: {self.ledger().reasons()}")

    def _offered_after(self, moment: float) -> Iterator[Row]:
        return takewhile(lambda row: row.offered > moment, reversed(self.ledger().rows.values()))

    def stop(self, timeout: float = 60.0) -> None:
        """End the load."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        _output, complaints = self._process.communicate(timeout=timeout)
        code = self._process.returncode
        self._process = None
        if code != 0:
            raise RuntimeError(f"the prover failed: {complaints[-2000:]}")

    def ledger(self) -> Ledger:
        """Everything so far."""
        return self._reader.advance()

    def judge(self, patience: float = 120.0) -> Verdict:
        """What is there now against what was acknowledged."""
        return self.store.judge(self.ledger(), patience)
