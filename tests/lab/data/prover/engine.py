"""Offers rows at a fixed rate over some connections, whatever becomes of them, and puts every outcome on record.

A connection that has failed is opened anew at the next address when its next row is due. A row that the store does not
answer in time is given up by closing its connection from outside: asking the store to cancel would change what it does.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from .ledger import REFUSED
from .trace import Trace


@dataclass(slots=True)
class Outcome:
    """What came of one row."""

    fate: str
    note: str = ""
    written: float | None = None
    server: str = ""
    generation: str = ""
    broken: bool = False
    """The connection is of no more use."""


class Sink(Protocol):
    """One connection to a store."""

    def write(self, number: int) -> Outcome:
        """Write one row; never raises."""

    def abort(self) -> None:
        """Close the connection from another thread, so that a write in hand comes to an end."""

    def close(self) -> None:
        """Close the connection, whatever state it is in."""


class CannotConnect(Exception):
    """No connection; the message says why."""


@dataclass
class Pace:
    """How a run goes."""

    rate: float = 100.0
    """Rows a second, over all connections."""
    connections: int = 8
    timeout: float = 5.0
    """Seconds that the store has for one row."""
    duration: float | None = None
    """Seconds; None: until stopped."""


class Engine:
    """A run. ``connect`` opens a connection to one of the addresses, or raises CannotConnect."""

    def __init__(self, addresses: list[str], connect: Callable[[str], Sink], trace: Trace, pace: Pace) -> None:
        self._addresses = addresses
        self._connect = connect
        self._trace = trace
        self._pace = pace
        self._numbers = itertools.count(1)
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._in_hand: dict[int, tuple[float, Sink]] = {}

    def stop(self) -> None:
        """End the run after the rows in hand; may be called from a signal handler."""
        self._stopped.set()

    def run(self) -> None:
        """Until stopped or for the pace's duration."""
        started = time.monotonic()
        workers = [
            threading.Thread(target=self._work, args=(number, started)) for number in range(self._pace.connections)
        ]
        for worker in workers:
            worker.start()
        until = started + self._pace.duration if self._pace.duration else float("inf")
        while not self._stopped.is_set() and time.monotonic() < until:
            self._give_up_late_ones()
            self._stopped.wait(0.05)
        self._stopped.set()
        while any(worker.is_alive() for worker in workers):
            self._give_up_late_ones()
            time.sleep(0.05)
        self._trace.close(time.monotonic())

    def _give_up_late_ones(self) -> None:
        now = time.monotonic()
        with self._lock:
            for deadline, sink in self._in_hand.values():
                if now > deadline:
                    with contextlib.suppress(OSError):
                        sink.abort()

    def _work(self, index: int, started: float) -> None:
        period = self._pace.connections / self._pace.rate
        due = started + index / self._pace.rate
        address = index
        sink: Sink | None = None
        while not self._stopped.wait(max(0.0, due - time.monotonic())):
            # what could not be offered in time is left out, so that a store that is back meets no burst
            due = max(due + period, time.monotonic())
            number = next(self._numbers)
            self._trace.offer(number, time.monotonic())
            try:
                sink = sink or self._connect(self._addresses[address % len(self._addresses)])
            except CannotConnect as error:
                address += 1
                self._trace.settle(number, REFUSED, time.monotonic(), note=str(error))
                continue
            with self._lock:
                self._in_hand[index] = time.monotonic() + self._pace.timeout, sink
            outcome = sink.write(number)
            ended = time.monotonic()
            with self._lock:
                del self._in_hand[index]
            self._trace.settle(
                number,
                outcome.fate,
                ended,
                written=outcome.written,
                server=outcome.server,
                generation=outcome.generation,
                note=outcome.note,
            )
            if outcome.broken:
                sink.close()
                sink = None
                address += 1
        if sink:
            sink.close()
