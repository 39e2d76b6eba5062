# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The clock against its time sources, by chronyd's own account (chronyc -c tracking)."""

from __future__ import annotations

import subprocess
import time
import typing as t
from dataclasses import asdict, dataclass

TRACKING = ("chronyc", "-c", "-n", "tracking")
SOURCES = ("chronyc", "-c", "-n", "sources")
STATES = {"*": "in use", "+": "good", "-": "left out", "?": "no answer", "x": "wrong", "~": "too variable"}
COMMAND_TIMEOUT = 5
INTERVAL = 0.5
LEAP = {"Normal": "normal", "Insert second": "normal", "Delete second": "normal", "Not synchronised": "unsynchronised"}


class NoClock(Exception):
    """chronyd could not be asked; the text says why."""


@dataclass(frozen=True)
class Clock:
    """offset_seconds is how far the clock is off, without a sign; error_seconds how far that may itself be off."""

    synchronised: bool
    source: str
    stratum: int
    offset_seconds: float
    error_seconds: float

    def as_dict(self) -> dict[str, t.Any]:
        return asdict(self)

    def problem(self, limit: float) -> str:
        """Why this clock is not good enough, or ""."""
        if not self.synchronised:
            return "chronyd has not synchronised with any source yet"
        if self.offset_seconds > limit:
            return f"the clock is {self.offset_seconds:.6f} s off {self.source or 'its source'}, more than {limit:g} s"
        return ""


def parse(line: str) -> Clock:
    """One line of chronyc -c tracking: id, address, stratum, reference time, offset, last and RMS offset, frequency,
    residual, skew, root delay, root dispersion, interval, leap status."""
    fields = line.strip().split(",")
    if len(fields) < 14:
        raise NoClock(f"chronyc said {line.strip()!r}, which is not its tracking report")
    try:
        return Clock(
            synchronised=LEAP.get(fields[13]) == "normal",
            source=fields[1],
            stratum=int(fields[2]),
            offset_seconds=abs(float(fields[4])),
            error_seconds=float(fields[10]) / 2 + float(fields[11]),
        )
    except ValueError as error:
        raise NoClock(f"chronyc said {line.strip()!r}: {error}") from error


def ask(argv: tuple[str, ...] = TRACKING) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=COMMAND_TIMEOUT, check=False)
    except FileNotFoundError as error:
        raise NoClock(f"{argv[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise NoClock(f"{' '.join(argv)} gave no answer within {COMMAND_TIMEOUT} s") from error
    if done.returncode != 0:
        raise NoClock(f"{' '.join(argv)}: {(done.stdout + done.stderr).strip() or f'status {done.returncode}'}")
    return done.stdout


def wait(limit: float, timeout: float, read: t.Callable[[], str] = ask) -> tuple[Clock | None, str]:
    """The clock, and what is wrong with it once timeout seconds are over ("" if it is good). Asks once at least."""
    deadline = time.monotonic() + timeout
    while True:
        clock = None
        try:
            clock = parse(read())
            problem = clock.problem(limit)
        except NoClock as error:
            problem = str(error)
        if not problem or time.monotonic() + INTERVAL > deadline:
            return clock, problem
        time.sleep(INTERVAL)


def sources() -> str:
    """The sources as a person reads them, for a message: address and state of each."""
    try:
        rows = [line.split(",") for line in ask(SOURCES).splitlines() if line.count(",") >= 3]
    except NoClock as error:
        return str(error)
    return ", ".join(f"{row[2]} {STATES.get(row[1], row[1])}" for row in rows) or "no source is configured"
