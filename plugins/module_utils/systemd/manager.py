# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bring a unit to the state its files describe, and wait until it is there."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

from . import guard, systemctl
from .evidence import Evidence, Record, missing_links
from .ready import Endpoint
from .systemctl import SystemdError

# What counts as enabled: something in the unit's files or made by a generator starts it.
ENABLED = ("enabled", "alias", "generated", "transient", "indirect")
# Without a sign of readiness a process counts as started when it has lived this long; a wrong flag ends it sooner.
SETTLE_SECONDS = 1.0
SETTLES = ("simple", "exec", "idle", "forking", "dbus")
POLL_SECONDS = 0.2
LONGEST_POLL_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class Wish:
    """The options of the module C(unit)."""

    name: str
    state: str = "started"
    enabled: bool | None = None
    restart_on: list[str] = dataclasses.field(default_factory=list)
    reload_on: list[str] = dataclasses.field(default_factory=list)
    release: str | None = None
    restart: str = "allowed"
    ready: Endpoint | None = None
    timeout: float = 60
    log_lines: int = 20
    planned: list[str] = dataclasses.field(default_factory=list)
    guard: list[str] | None = None


class Manager:
    def __init__(self, wish: Wish, check: bool) -> None:
        self.wish = wish
        self.check = check
        self.name = wish.name
        self.begun = time.time()
        self.unit = systemctl.show(self.name)
        self.before = self.unit
        self.action = "none"
        self.enablement = ""
        self.reasons: list[str] = []
        self.pending: list[str] = []
        self.waited = 0.0
        self.reloaded = False  # systemd has read its units anew

    @property
    def changed(self) -> bool:
        return self.action != "none" or bool(self.enablement)

    def run(self) -> None:
        self._load()
        if self.unit.get("LoadState") != "not-found":
            if self.wish.state == "started":
                self._enable()
                self._start()
            else:
                self._stop()
                self._enable()
        if self.changed and not self.check:
            self.unit = systemctl.show(self.name)

    def _load(self) -> None:
        """Let systemd know what is on disk, and refuse a unit that cannot be started."""
        stale = self.unit.get("NeedDaemonReload") == "yes"
        missing = self.unit.get("LoadState") == "not-found"
        if (stale or missing) and not self.check:
            self._daemon_reload()
        state = self.unit.get("LoadState")
        if self.wish.state == "stopped" and not self.wish.enabled:
            return
        if state == "not-found":
            if not self.check:
                raise SystemdError(f"{self.name}: systemd finds no such unit on this host")
            self.action, self.reasons = "started", ["the unit does not exist yet"]
        elif state == "masked":
            raise SystemdError(
                f"{self.name} is masked on this host, so somebody wants it not to start; "
                f"if that is over: systemctl unmask {self.name}"
            )
        elif state != "loaded":
            error = self.unit.get("LoadError").partition(" ")[2].strip('"')
            raise SystemdError(f"{self.name}: systemd cannot use the unit's file ({state}): {error}")

    def _enable(self) -> None:
        state, wanted = self.unit.get("UnitFileState"), self.wish.enabled
        if wanted is None:
            return
        if state in ("static", "") and wanted:
            raise SystemdError(f"{self.name} has no [Install] section, so it cannot be enabled: leave enabled out")
        if wanted == (state in ENABLED) and not (wanted and missing_links(self.unit)):
            return
        if state in ("static", "", "masked"):
            return
        self.enablement = "enabled" if wanted else "disabled"
        if not self.check:
            self._do("enable" if wanted else "disable", self.name)

    def _stop(self) -> None:
        if self.unit.state in ("inactive", "failed") or self.unit.get("LoadState") == "not-found":
            return
        self.action = "stopped"
        if not self.check:
            self._may_stop()
            failure = systemctl.request("stop", "--", self.name, timeout=self.unit.stop_seconds)
            if failure:
                raise self._failed(f"did not stop: {failure}")

    def _start(self) -> None:
        if not self.check:
            self._let_settle()
        wish, unit = self.wish, self.unit
        evidence = Evidence.collect(unit, wish.restart_on, wish.reload_on, wish.release)
        if wish.release and not self.check and not Path(evidence.release).exists():
            raise SystemdError(f"{self.name}: release = {wish.release}: there is nothing at {evidence.release}")
        record = Record.read(self.name)
        self.action, self.reasons = self._decide(evidence, record)
        if self.check:
            return
        if self.action == "restarted":
            self._may_stop()
        if self.action in ("started", "restarted"):
            self._launch(self.action == "restarted")
        elif self.action == "reloaded":
            failure = systemctl.request("reload", "--", self.name, timeout=wish.timeout)
            if failure:
                raise self._failed(f"could not reload ({'; '.join(self.reasons)}): {failure.splitlines()[0]}")
        self._wait()
        if self.action in ("started", "restarted"):
            evidence.add_made_by_start(Evidence.collect(self.unit, wish.restart_on, wish.reload_on, wish.release))
        fresh = evidence.record(self.unit.invocation)
        if self.pending:
            # what waits for a restart has not been read
            fresh = evidence.waiting(record, self.unit.invocation)
        if fresh != record:
            fresh.write(self.name)

    def _decide(self, evidence: Evidence, record: Record) -> tuple[str, list[str]]:
        unit = self.unit
        restart, reload = evidence.differences(record)
        program = evidence.program(record, self.wish.release)
        restart += [program] if program else []
        if self.check:
            planned_restart, planned_reload = evidence.planned(self.wish)
            restart, reload = restart + planned_restart, reload + planned_reload
            if unit.get("NeedDaemonReload") == "yes" and not restart:
                restart = ["the unit's files changed"]
        if unit.oneshot_done:
            return ("restarted", restart + reload) if restart or reload else ("none", [])
        if unit.state in ("inactive", "failed"):
            return "started", [f"it was {unit.described}"]
        if unit.keeps_ending:
            # systemd would let a start wait for the end of RestartSec=
            return "restarted", [f"its process keeps ending: {unit.ending}"]
        if self.wish.restart == "report":
            can = unit.get("CanReload") == "yes"
            self.pending = restart if can else restart + reload
            return ("reloaded", reload) if reload and can else ("none", [])
        if restart or (reload and unit.get("CanReload") != "yes"):
            return "restarted", restart + reload
        return ("reloaded", reload) if reload else ("none", [])

    def _let_settle(self) -> None:
        """Wait for what systemd is doing with the unit at the moment, as far as it has an end."""
        waits = {
            "deactivating": self.unit.stop_seconds,
            "reloading": self.wish.timeout,
            "refreshing": self.wish.timeout,
        }
        deadline = time.monotonic() + waits.get(self.unit.state, 0)
        while self.unit.state in waits:
            if time.monotonic() > deadline:
                raise self._failed(f"is {self.unit.described} and does not come to an end")
            time.sleep(POLL_SECONDS)
            self.unit = systemctl.show(self.name)

    def _daemon_reload(self) -> None:
        self._do("daemon-reload")
        self.reloaded = True
        self.unit = systemctl.show(self.name)

    def _launch(self, restart: bool) -> None:
        if not self.reloaded:
            # The units that this one pulls in shall be as they are on disk, too: systemd says only of this one whether
            # it is stale, and it keeps in mind for a while that a unit was not there.
            self._daemon_reload()
        # A start that is wanted must not be refused because of starts before it (StartLimitBurst=). It fails on a unit
        # that systemd has not loaded, which has no such starts.
        systemctl.request("reset-failed", "--", self.name)
        users = self._users() if restart and self.name.endswith(".socket") else []
        if users:
            # a socket cannot be opened anew under a service that holds it
            self._do("stop", "--", *users, timeout=systemctl.FOREVER)
        failure = self._request_start("restart" if restart else "start")
        if failure:
            ending = f" ({self.unit.ending})" if self.unit.ending else ""
            raise self._failed(f"did not start{ending}: {failure.splitlines()[0]}")
        if users:
            self._do("start", "--", *users, timeout=self.wish.timeout)

    def _request_start(self, verb: str) -> str:
        """Ask systemd and wait. An old process may take its time to stop; the new one has the timeout."""
        old = self.unit.invocation
        stopping = verb == "restart"
        deadline = time.monotonic() + (self.unit.stop_seconds if stopping else self.wish.timeout)
        with systemctl.Request(verb, self.name) as request:
            while not request.ended(POLL_SECONDS):
                self.unit = systemctl.show(self.name)
                if stopping and self.unit.invocation not in ("", old):
                    stopping, deadline = False, time.monotonic() + self.wish.timeout
                if time.monotonic() > deadline:
                    raise self._failed(self._still())
            self.unit = systemctl.show(self.name)
            return request.failure

    def _still(self) -> str:
        status = self.unit.get("StatusText")
        words = f": {status}" if status else ""
        return f"is still {self.unit.described}{words} (after {self.wish.timeout:g} s)"

    def _users(self) -> list[str]:
        """The services of a socket that run."""
        names = self.unit.get("Triggers").split()
        return [name for name in names if systemctl.show(name).state in ("active", "activating", "reloading")]

    def _wait(self) -> None:
        """Until it is active and ready; a process that ends meanwhile is a failure at once."""
        begun, invocation, endpoint = time.monotonic(), self.unit.invocation, self.wish.ready
        launched = self.action in ("started", "restarted")
        if launched and self.unit.started:
            # what a unit of Type=notify took to say that it is up counts too
            begun -= max(0.0, time.time() - self.unit.started)
        watched = self.action == "reloaded" or (launched and self.unit.get("Type") in SETTLES)
        settle = SETTLE_SECONDS if watched else 0.0
        pause, why = POLL_SECONDS, ""
        while True:
            self._still_alive(invocation)
            waited = time.monotonic() - begun
            if self.unit.state == "active" or self.unit.oneshot_done:
                why = endpoint.attempt() if endpoint else ""
                if not why and waited >= settle:
                    break
            if waited > self.wish.timeout:
                if self.unit.state != "active":
                    raise self._failed(self._still())
                raise self._failed(f"is running but not ready at {endpoint}: {why} (after {self.wish.timeout:g} s)")
            time.sleep(pause)
            pause = min(pause * 1.2, LONGEST_POLL_SECONDS)
            self.unit = systemctl.show(self.name)
        if endpoint and launched:
            # Another program may have answered while ours was dying for want of its port.
            self.unit = systemctl.show(self.name)
            self._still_alive(invocation)
        self.waited = round(time.monotonic() - begun, 1)

    def _still_alive(self, invocation: str) -> None:
        unit = self.unit
        if unit.oneshot_done:
            return
        if unit.condition_failed:
            raise self._failed("was not started, as a condition of its unit (Condition…=) is not met")
        if not unit.invocation:
            raise self._failed(
                "does not run: its process has ended, or a condition of its unit (Condition…=) is not met"
            )
        if unit.state in ("inactive", "failed") or unit.keeps_ending or unit.invocation != invocation:
            again = "systemd has started it again" if unit.state == "active" else unit.described
            raise self._failed(f"was started, but its process ended ({unit.ending or again})")

    def _may_stop(self) -> None:
        """What runs well stays up where the guard says so; the next run finds the same reasons again."""
        if self.wish.guard and self.unit.state == "active" and not self.unit.keeps_ending:
            planned, self.action = self.action, "none"  # what a failure reports
            guard.ask(self.name, self.wish.guard, self.wish.timeout)
            self.action = planned

    def _do(self, *words: str, timeout: float = systemctl.CALL_SECONDS) -> None:
        failure = systemctl.request(*words, timeout=timeout)
        if failure:
            raise SystemdError(f"{self.name}: {failure}")

    def _failed(self, message: str) -> SystemdError:
        if self.wish.log_lines < 1:
            return SystemdError(f"{self.name} {message}")
        # what was said since this task began, or since the start if this task did not change anything
        since = self.begun if self.changed or not self.unit.started else self.unit.started
        lines = systemctl.log(self.name, self.wish.log_lines, since)
        tail = f"Its last log lines:\n{lines}" if lines else "It logged nothing."
        return SystemdError(f"{self.name} {message}\n{tail}")
