# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bring a unit to the state its files describe, and wait until it is there."""

from __future__ import annotations

import dataclasses
import fnmatch
import time
import typing as t
from pathlib import Path

from . import systemctl
from .evidence import Evidence, Record
from .ready import Endpoint
from .systemctl import SystemdError, Unit

# What counts as enabled: something in the unit's files or made by a generator starts it.
ENABLED = ("enabled", "alias", "generated", "transient", "indirect")
# Without a sign of readiness a process counts as started when it has lived this long; a wrong flag ends it sooner.
SETTLE_SECONDS = 1.0
SETTLES = ("simple", "exec", "idle", "forking", "dbus")
POLL_SECONDS = 0.2


@dataclasses.dataclass(frozen=True)
class Wish:
    """The options of the module C(unit)."""

    name: str
    state: str = "started"
    enabled: bool | None = None
    restart_on: list[str] = dataclasses.field(default_factory=list)
    reload_on: list[str] = dataclasses.field(default_factory=list)
    release: str | None = None
    ready: Endpoint | None = None
    timeout: float = 60
    log_lines: int = 20
    planned: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Outcome:
    before: Unit
    after: Unit
    action: str = "none"
    enablement: str = ""
    reasons: list[str] = dataclasses.field(default_factory=list)
    waited: float = 0.0

    @property
    def changed(self) -> bool:
        return self.action != "none" or bool(self.enablement)


class Manager:
    def __init__(self, wish: Wish, check: bool) -> None:
        self.wish = wish
        self.check = check
        self.name = wish.name
        self.unit = systemctl.show(self.name)
        self.outcome = Outcome(self.unit, self.unit)

    def run(self) -> Outcome:
        self._load()
        if self.unit.get("LoadState") != "not-found":
            if self.wish.state == "started":
                self._enable()
                self._start()
            else:
                self._stop()
                self._enable()
        if not self.check:
            self.outcome.after = systemctl.show(self.name)
        return self.outcome

    def _load(self) -> None:
        """Let systemd know what is on disk, and refuse a unit that cannot be started."""
        stale = self.unit.get("NeedDaemonReload") == "yes"
        missing = self.unit.get("LoadState") == "not-found"
        if (stale or missing) and not self.check:
            self._do("daemon-reload")
            self.unit = systemctl.show(self.name)
        state = self.unit.get("LoadState")
        if self.wish.state == "stopped" and not self.wish.enabled:
            return
        if state == "not-found":
            if not self.check:
                raise SystemdError(f"{self.name}: systemd finds no such unit on this host")
            self.outcome.action, self.outcome.reasons = "started", ["the unit does not exist yet"]
        elif state == "masked":
            raise SystemdError(
                f"{self.name} is masked on this host, so somebody wants it not to start: systemctl unmask {self.name}"
            )
        elif state != "loaded":
            error = self.unit.get("LoadError").partition(" ")[2].strip('"')
            raise SystemdError(f"{self.name}: systemd cannot use the unit's file ({state}): {error}")

    def _enable(self) -> None:
        state = self.unit.get("UnitFileState")
        if self.wish.enabled is None or self.wish.enabled == (state in ENABLED):
            return
        if state in ("static", "") and self.wish.enabled:
            raise SystemdError(f"{self.name} has no [Install] section, so it cannot be enabled: leave enabled out")
        if state in ("static", "", "masked"):
            return
        self.outcome.enablement = "enabled" if self.wish.enabled else "disabled"
        if not self.check:
            self._do("enable" if self.wish.enabled else "disable", self.name)

    def _stop(self) -> None:
        if self.unit.state in ("inactive", "failed") or self.unit.get("LoadState") == "not-found":
            return
        self.outcome.action = "stopped"
        if not self.check:
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
        action, reasons = self._decide(evidence, record)
        self.outcome.action, self.outcome.reasons = action, reasons
        if self.check:
            return
        if action in ("started", "restarted"):
            self._launch(action == "restarted", reasons)
        elif action == "reloaded":
            failure = systemctl.request("reload", "--", self.name, timeout=wish.timeout)
            if failure:
                raise self._failed(f"could not reload ({'; '.join(reasons)}): {failure}")
        self._wait(self.unit.invocation, new=action in ("started", "restarted"))
        fresh = evidence.record(self.unit.invocation)
        if fresh != record:
            fresh.write(self.name)

    def _decide(self, evidence: Evidence, record: Record) -> tuple[str, list[str]]:
        unit = self.unit
        restart, reload = evidence.differences(record)
        program = evidence.program(record, self.wish.release)
        restart += [program] if program else []
        planned_restart, planned_reload = self._planned(evidence) if self.check else ([], [])
        restart, reload = restart + planned_restart, reload + planned_reload
        if unit.get("NeedDaemonReload") == "yes" and self.check and not restart:
            restart = ["the unit's files changed"]
        if unit.oneshot_done:
            return ("restarted", restart + reload) if restart or reload else ("none", [])
        if unit.state in ("inactive", "failed"):
            return "started", [f"it was {unit.described}"]
        if unit.get("SubState") == "auto-restart":
            return "started", [f"its process keeps ending: {unit.ending}"]
        if restart or (reload and unit.get("CanReload") != "yes"):
            return "restarted", restart + reload
        return ("reloaded", reload) if reload else ("none", [])

    def _planned(self, evidence: Evidence) -> tuple[list[str], list[str]]:
        """What files that an earlier task would change in check mode would lead to."""
        restart, reload = [], []
        for path in self.wish.planned:
            reason = f"{path} would change"
            if path in evidence.reload or any(fnmatch.fnmatch(path, pattern) for pattern in self.wish.reload_on):
                reload.append(reason)
            elif (
                path in evidence.restart
                or path == self.wish.release
                or any(fnmatch.fnmatch(path, pattern) for pattern in self.wish.restart_on)
                or self.name in (Path(path).name, Path(path).parent.name.removesuffix(".d"))
            ):
                restart.append(reason)
        return restart, reload

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

    def _launch(self, restart: bool, reasons: list[str]) -> None:
        # A start that is wanted must not be refused because of starts before it (StartLimitBurst=).
        self._do("reset-failed", "--", self.name)
        bound = self.wish.timeout + (self.unit.stop_seconds if restart else 0)
        dependents = self._active_triggers() if restart and self.name.endswith(".socket") else []
        if dependents:
            # a socket cannot be opened anew under a service that holds it
            self._do("stop", "--", *dependents, timeout=self.unit.stop_seconds)
        failure = systemctl.request("restart" if restart else "start", "--", self.name, timeout=bound)
        self.unit = systemctl.show(self.name)
        if failure:
            raise self._failed(f"did not start: {self.unit.ending}: {failure.splitlines()[0]}")
        if dependents:
            self._do("start", "--", *dependents, timeout=bound)

    def _active_triggers(self) -> list[str]:
        names = self.unit.get("Triggers").split()
        return [name for name in names if systemctl.show(name).state in ("active", "activating", "reloading")]

    def _wait(self, invocation: str, new: bool) -> None:
        """Until it is active and ready; a process that ends meanwhile is a failure at once."""
        begun = time.monotonic()
        endpoint = self.wish.ready
        settle = SETTLE_SECONDS if new and self.unit.get("Type") in SETTLES else 0.0
        why = ""
        while True:
            if self.unit.oneshot_done:
                break
            if self.unit.state == "inactive" and self.unit.get("ConditionResult") == "no":
                raise self._failed("was not started, as a condition of its unit (Condition…=) is not met")
            ended = self.unit.state in ("inactive", "failed") or self.unit.get("SubState") == "auto-restart"
            if ended or self.unit.invocation != invocation:
                raise self._failed(f"started, but its process ended: {self.unit.ending}", invocation)
            waited = time.monotonic() - begun
            if self.unit.state == "active":
                # Only a process that still lives afterwards has answered: another may hold its port.
                why = endpoint.attempt() if endpoint else ""
                if not why and waited >= settle:
                    break
            if waited > self.wish.timeout:
                if self.unit.state == "active":
                    raise self._failed(f"is running but not ready at {endpoint} after {self.wish.timeout:.0f} s: {why}")
                status = self.unit.get("StatusText")
                raise self._failed(
                    f"is still {self.unit.described} after {self.wish.timeout:.0f} s"
                    + (f": {status}" if status else "")
                )
            time.sleep(POLL_SECONDS)
            self.unit = systemctl.show(self.name)
        self.outcome.waited = round(time.monotonic() - begun, 1)

    def _do(self, *words: str, timeout: float = systemctl.CALL_SECONDS) -> None:
        failure = systemctl.request(*words, timeout=timeout)
        if failure:
            raise SystemdError(f"{self.name}: {failure}")

    def _failed(self, message: str, invocation: str = "") -> SystemdError:
        lines = systemctl.log(self.unit, self.wish.log_lines, invocation)
        tail = f"\nIts last log lines:\n{lines}" if lines else "\nIt logged nothing."
        return SystemdError(f"{self.name} {message}{tail if self.wish.log_lines else ''}")

    def result(self) -> dict[str, t.Any]:
        outcome = self.outcome
        return {
            "changed": outcome.changed,
            "name": self.name,
            "action": outcome.action,
            "reasons": outcome.reasons,
            "enabled": outcome.after.get("UnitFileState") in ENABLED,
            "active_state": outcome.after.state,
            "sub_state": outcome.after.get("SubState"),
            "main_pid": outcome.after.number("MainPID"),
            "invocation_id": outcome.after.invocation,
            "waited": outcome.waited,
        }

    def diff(self) -> dict[str, t.Any]:
        before = self.outcome.before
        enabled = before.get("UnitFileState") or "unknown"
        after_state = {"stopped": "inactive"}.get(self.outcome.action, "active")
        old = [f"enabled: {enabled}", f"state: {before.state or 'unknown'}"]
        new = [f"enabled: {self.outcome.enablement or enabled}"]
        new.append(f"state: {after_state if self.outcome.action != 'none' else before.state}")
        new += [f"{self.outcome.action}: {reason}" for reason in self.outcome.reasons]
        return {
            "before_header": self.name,
            "after_header": self.name,
            "before": "\n".join(old) + "\n",
            "after": "\n".join(new) + "\n",
        }
