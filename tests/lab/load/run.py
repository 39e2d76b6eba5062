"""A load in a process of its own, so that a test's work does not delay it: started, stopped, and its result read.

with Load(["http://10.87.1.100:8545"], rate=200, trace=path) as load:
    load.wait_started()
    ... break something ...
load.figures["failed"]
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from . import record as records
from .record import Record

ROOT = Path(__file__).resolve().parents[3]


class Load:
    """`python -m tests.lab.load run` as a context: the load runs inside the block and is judged at its end."""

    def __init__(self, urls: list[str], trace: Path, rate: float = 200.0, arguments: list[str] | None = None) -> None:
        self.trace = trace
        self.result: dict[str, Any] = {}
        self._argv = [sys.executable, "-m", "tests.lab.load", "run", *urls, "--rate", str(rate), "--trace", str(trace)]
        self._argv += arguments or []
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Load:
        self.trace.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            self._argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
        )
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

    def wait_started(self, timeout: float = 60.0) -> None:
        """Return once the first answers are there: what happens from here on happens under load."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            if self.trace.exists() and self.trace.stat().st_size > 0:
                return
            if self._process is not None and self._process.poll() is not None:
                raise RuntimeError(f"the load ended before it began: {self._process.communicate()[1][-2000:]}")
            time.sleep(0.05)
        raise RuntimeError(f"the load had no answer in {timeout:g} s")

    def stop(self, timeout: float = 180.0) -> dict[str, Any]:
        """End the load, wait for receipts, and return {figures, errors}."""
        if self._process is None:
            return self.result
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        output, complaints = self._process.communicate(timeout=timeout)
        if self._process.returncode != 0:
            raise RuntimeError(f"the load generator failed: {complaints[-2000:]}")
        self._process = None
        self.result = json.loads(output)
        return self.result

    @property
    def figures(self) -> dict[str, float]:
        return self.result["figures"]

    def records(self) -> list[Record]:
        """Everything so far; during the load a quarter of a second behind."""
        return list(records.read(self.trace))
