# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What systemd says about a unit, and what it is asked to do with it."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import re
import subprocess
import time

PROPERTIES = (
    "Id",
    "LoadState",
    "LoadError",
    "ActiveState",
    "SubState",
    "Type",
    "Result",
    "UnitFileState",
    "FragmentPath",
    "DropInPaths",
    "SourcePath",
    "EnvironmentFiles",
    "NeedDaemonReload",
    "CanReload",
    "ConditionResult",
    "ConditionTimestampMonotonic",
    "InvocationID",
    "MainPID",
    "NRestarts",
    "ExecMainCode",
    "ExecMainStatus",
    "ExecMainExitTimestampMonotonic",
    "ExecMainStartTimestampMonotonic",
    "InactiveExitTimestampMonotonic",
    "StatusText",
    "TimeoutStopUSec",
    "Triggers",
    "ExecReload",
)
# One show or one job request; the jobs themselves have bounds of their own.
CALL_SECONDS = 30
# A stop may use its time twice: once for ExecStop=, once for the signal.
STOP_ROUNDS = 2
FOREVER = 3600.0
RELOADED = re.compile(r"start_time=\[\w{3} (\S+ \S+) UTC\]")
SPAN = re.compile(r"(\d+)(us|ms|s|min|h|d|w|month|y)\b")
SPAN_UNITS = {
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1,
    "min": 60,
    "h": 3600,
    "d": 86400,
    "w": 604800,
    "month": 2629800,
    "y": 31557600,
}
LOG_LINE_CHARACTERS = 400
SUFFIXES = (
    ".service",
    ".socket",
    ".timer",
    ".mount",
    ".automount",
    ".path",
    ".target",
    ".slice",
    ".swap",
    ".device",
    ".scope",
)


class SystemdError(Exception):
    """systemd is not there, does not answer, or refuses; the text is for the user."""


@dataclasses.dataclass(frozen=True)
class Unit:
    """A unit at one moment."""

    name: str
    properties: dict[str, list[str]]

    def get(self, name: str) -> str:
        return self.properties.get(name, [""])[0]

    def number(self, name: str) -> int:
        value = self.get(name)
        return int(value) if value.isdigit() else 0

    @property
    def state(self) -> str:
        return self.get("ActiveState")

    @property
    def described(self) -> str:
        sub = self.get("SubState")
        return f"{self.state} ({sub})" if sub else self.state

    @property
    def invocation(self) -> str:
        return self.get("InvocationID")

    @property
    def oneshot_done(self) -> bool:
        """A oneshot that ran and ended well; it is inactive then unless it has RemainAfterExit=."""
        return (
            self.get("Type") == "oneshot"
            and self.state == "inactive"
            and self.get("Result") == "success"
            and self.number("ExecMainExitTimestampMonotonic") > 0
        )

    @property
    def started(self) -> float:
        """When its start began, in the clock that files' times are in; 0 if it did not."""
        # By the monotonic clock: the other may have been set since, as it is after a boot.
        return self._moment("InactiveExitTimestampMonotonic")

    @property
    def main_started(self) -> float:
        """When its main process began, after all that a start does before it; 0 if it has none."""
        return self._moment("ExecMainStartTimestampMonotonic")

    def _moment(self, name: str) -> float:
        microseconds = self.number(name)
        return time.time() - (time.monotonic() - microseconds / 1e6) if microseconds else 0.0

    @property
    def reloaded(self) -> float:
        """When the last reload that went well began, whoever asked for it; 0 if there was none."""
        command = self.properties.get("ExecReload", [""])[-1]
        found = RELOADED.search(command)
        if not found or not command.endswith("code=exited ; status=0 }"):
            return 0.0
        return datetime.datetime.fromisoformat(f"{found[1]}+00:00").timestamp()

    @property
    def stop_seconds(self) -> float:
        """How long a stop may take before systemd has killed everything."""
        return STOP_ROUNDS * seconds(self.get("TimeoutStopUSec")) + 10

    @property
    def condition_failed(self) -> bool:
        """A Condition…= of the unit held its start back, without that being a failure."""
        # systemd says no of a unit that it has never tried to start, too
        tried = self.number("ConditionTimestampMonotonic") > 0
        return self.state == "inactive" and tried and self.get("ConditionResult") == "no"

    @property
    def keeps_ending(self) -> bool:
        """Its process has ended and systemd is about to start it again."""
        return self.get("SubState").startswith("auto-restart")

    @property
    def ending(self) -> str:
        """How its main process ended, as far as systemd still knows."""
        code, status = self.get("ExecMainCode"), self.get("ExecMainStatus")
        ended = {"1": f"exit status {status}", "2": f"killed by signal {status}", "3": f"dumped core, signal {status}"}
        result = self.get("Result")
        return ended.get(code, "" if result == "success" else f"result {result}")


def seconds(span: str) -> float:
    """A time span as systemctl prints it: 1min 30s."""
    if span in ("", "infinity"):
        return FOREVER
    return sum(int(number) * SPAN_UNITS[unit] for number, unit in SPAN.findall(span))


def full_name(name: str) -> str:
    return name if name.endswith(SUFFIXES) else f"{name}.service"


ENVIRONMENT = {**os.environ, "LC_ALL": "C.UTF-8", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"}


def call(argv: list[str], timeout: float = CALL_SECONDS) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=ENVIRONMENT,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError:
        raise SystemdError(f"there is no command {argv[0]} on this host; it has to be booted with systemd") from None


def show(name: str) -> Unit:
    done = call(["systemctl", "show", "--timestamp=us+utc", f"--property={','.join(PROPERTIES)}", "--", name])
    if done.returncode:
        raise SystemdError(f"systemctl show {name}: {done.stderr.strip()}")
    properties: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        key, _equals, value = line.partition("=")
        properties.setdefault(key, []).append(value)
    return Unit(name, properties)


def request(*words: str, timeout: float = CALL_SECONDS) -> str:
    """Ask for something and wait for its end; returns why it failed, or nothing."""
    try:
        done = call(["systemctl", *words], timeout)
    except subprocess.TimeoutExpired:
        return f"systemctl {' '.join(words)}: not finished after {timeout:.0f} s"
    if done.returncode:
        return done.stderr.strip() or f"systemctl {' '.join(words)}: exit status {done.returncode}"
    return ""


class Request:
    """A start or restart that is under way. Leaving it does not end the job, only the wait."""

    def __init__(self, verb: str, name: str) -> None:
        self._words = f"systemctl {verb} {name}"
        self._process = subprocess.Popen(
            ["systemctl", verb, "--", name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=ENVIRONMENT,
        )
        self.failure = ""

    def __enter__(self) -> Request:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()

    def ended(self, within: float) -> bool:
        try:
            _output, errors = self._process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            return False
        status = self._process.returncode
        self.failure = (errors.strip() or f"{self._words}: exit status {status}") if status else ""
        return True


def log(name: str, lines: int, since: float) -> str:
    """The last lines that a unit's processes, and systemd about it, have written since a time."""
    # A process that has just died may have said why in lines that the journal has not written yet.
    with contextlib.suppress(SystemdError, subprocess.TimeoutExpired):
        call(["journalctl", "--sync"])
        done = call(
            ["journalctl", "--quiet", "--no-pager", "--no-hostname", "--output=short", f"--unit={name}"]
            + [f"--since=@{since:.3f}", f"--lines={lines}"]
        )
        return "\n".join(printable(line) for line in done.stdout.splitlines()[-lines:])
    return ""


def printable(line: str) -> str:
    """A line that cannot move the cursor or colour the terminal, and is not endless."""
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line)
    plain = "".join(character if character.isprintable() else "?" for character in plain)
    return plain if len(plain) <= LOG_LINE_CHARACTERS else plain[: LOG_LINE_CHARACTERS - 1] + "…"
