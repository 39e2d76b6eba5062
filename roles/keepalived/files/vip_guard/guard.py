# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The daemon: speaks with partners and arbiters ten times a second, and tells keepalived by a file that it tracks."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import signal
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .addresses import Kernel
from .arbiter import Arbiter
from .decide import Claim, Decision, Judge, Partner, View

TICK = 0.1
ASK_ANYWAY = 0.5
"""Seconds between questions to arbiters while all partners are heard."""
RUN = Path("/run/vip-guard")
PIDS = [Path("/run/keepalived/keepalived.pid"), Path("/run/keepalived/vrrp.pid")]


@dataclass
class Config:
    """vip_guard.json."""

    name: str
    port: int
    vip: str = ""
    """The name of the shared address's instance; empty on a host that is an arbiter only."""
    address: str = ""
    priority: int = 0
    listen: str = "0.0.0.0"
    serving_url: str = ""
    partners: dict[str, str] | None = None
    arbiters: dict[str, str] | None = None
    members: dict[str, dict[str, str]] | None = None
    """By instance, the balancers whose claims are taken."""

    @classmethod
    def read(cls, path: Path) -> Config:
        return cls(**json.loads(path.read_text(encoding="utf-8")))


class Serving(threading.Thread):
    """Whether this host's HAProxy has a healthy server, asked in a thread since the answer may not come."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url = urlsplit(url)
        self.since: float | None = None
        """Since when it has none; None: it has one, or nothing is asked."""

    def run(self) -> None:
        while self._url.hostname:
            if self._ask():
                self.since = None
            elif self.since is None:
                self.since = time.monotonic()
            time.sleep(0.2)

    def _ask(self) -> bool:
        connection = http.client.HTTPConnection(self._url.hostname or "", self._url.port or 80, timeout=0.3)
        try:
            connection.request("GET", self._url.path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


class Guard:
    """One process, for this host's own address and as an arbiter for those of other regions."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._partners_by_address = {address: name for name, address in (config.partners or {}).items()}
        self._arbiters_by_address = {address: name for name, address in (config.arbiters or {}).items()}
        self._arbiter = Arbiter(config.members or {})
        self._judge = Judge()
        self._kernel = Kernel()
        self._socket = socket.socket(socket.AF_INET6 if ":" in config.listen else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((config.listen, config.port))
        self._socket.setblocking(False)
        self._serving = Serving(config.serving_url)
        now = time.monotonic()
        self._view = View(
            config.name, config.priority, now, now, partners={n: Partner() for n in config.partners or {}}
        )
        self._view.arbiters = len(self._arbiters_by_address)
        self._tokens: dict[str, str] = {}
        self._sent: dict[int, float] = {}
        self._number = 0
        self._asked = 0.0
        self._told: str | None = None
        self._shown: dict[str, Any] = {}

    def run(self) -> None:
        self._serving.start()
        due = time.monotonic()
        ready = False
        while True:
            now = time.monotonic()
            if now >= due:
                self._tick(now)
                if not ready:
                    # keepalived starts after this, and finds the file that it tracks
                    ready = notify("READY=1")
                due = max(due + TICK, now)
            if select.select([self._socket], [], [], max(0.0, due - time.monotonic()))[0]:
                self._receive()

    def _tick(self, now: float) -> None:
        view = self._view
        view.now = now
        if self._config.vip:
            holds = self._kernel.has(self._config.address)
            released = view.held_since is not None and not holds
            view.held_since = (view.held_since or now) if holds else None
            view.unfit_since = self._serving.since
            self._speak(now, released)
            self._tell(self._judge.decide(view))

    def _speak(self, now: float, released: bool) -> None:
        view, vip = self._view, self._config.vip
        holds = view.held_since is not None
        beat = {
            "kind": "beat",
            "vip": vip,
            "from": view.name,
            "holds": holds,
            "held_for": round(now - (view.held_since or now), 3),
            "serves": view.unfit_since is None,
            "priority": view.priority,
        }
        for address in self._partners_by_address:
            self._send(beat, address)
        worried = holds or released or not all(view.hears(name) for name in view.partners)
        if worried or now - self._asked >= ASK_ANYWAY:
            self._asked = now
            kind = "claim" if holds else "release" if released else "ask"
            for address in self._arbiters_by_address:
                self._number += 1
                self._sent[self._number] = now
                question = {
                    "kind": kind,
                    "vip": vip,
                    "from": view.name,
                    "number": self._number,
                    "priority": view.priority,
                }
                self._send(question | {"token": self._tokens.get(address)}, address)
            self._sent = {number: at for number, at in self._sent.items() if now - at < 2.0}

    def _send(self, message: dict[str, Any], address: str) -> None:
        # Without a route to it, its silence will tell.
        with contextlib.suppress(OSError):
            self._socket.sendto(json.dumps(message).encode(), (address, self._config.port))

    def _receive(self) -> None:
        try:
            data, (source, *_) = self._socket.recvfrom(2048)
            message = json.loads(data)
        except (OSError, ValueError):
            return
        if not isinstance(message, dict):
            return
        now = time.monotonic()
        kind = message.get("kind")
        if kind == "beat":
            self._heard(message, source, now)
        elif kind == "answer":
            self._answered(message, source, now)
        else:
            answer = self._arbiter.answer(message, source, now)
            if answer:
                self._send(answer, source)

    def _heard(self, message: dict[str, Any], source: str, now: float) -> None:
        name = self._partners_by_address.get(source)
        if name is None or message.get("from") != name or message.get("vip") != self._config.vip:
            return
        before = self._view.partners.get(name, Partner()).serves_since
        try:
            self._view.partners[name] = Partner(
                heard=now,
                holds=message["holds"] is True,
                held_for=float(message["held_for"]),
                serves_since=(now if before is None else before) if message["serves"] is True else None,
                priority=int(message["priority"]),
            )
        except (KeyError, TypeError, ValueError):
            return

    def _answered(self, message: dict[str, Any], source: str, now: float) -> None:
        """Take an arbiter's answer, if it is one to a question of ours; half its way is taken off the claim's time."""
        name = self._arbiters_by_address.get(source)
        sent = self._sent.pop(message.get("number", -1), None)
        if name is None or sent is None:
            return
        self._tokens[source] = str(message.get("token"))
        self._view.answered = now
        try:
            claim = None
            if "holder" in message:
                at = now - (now - sent) / 2 - float(message["age"])
                claim = Claim(str(message["holder"]), at, int(message["priority"]))
        except (KeyError, TypeError, ValueError):
            return
        self._view.claims[name] = claim

    def _tell(self, decision: Decision) -> None:
        if decision.fence:
            print(f"<3>{decision.fault}: killing it", flush=True)
            fence()
        if decision.fault != self._told:
            self._write_fault(decision.fault)
        silent = [name for name in self._view.partners if not self._view.hears(name)]
        status = {"fault": decision.fault, "holds": self._view.held_since is not None, "silent_partners": silent}
        if status != self._shown:
            (RUN / "status.json").write_text(json.dumps(status) + "\n", encoding="utf-8")
            self._shown = status

    def _write_fault(self, fault: str) -> None:
        # Written in place: keepalived watches this file, not its name.
        (RUN / "fault").write_text("1\n" if fault else "0\n", encoding="ascii")
        if fault:
            print(f"<4>the address must not be held here: {fault}", flush=True)
        elif self._told:
            print("<5>the address may be held here again", flush=True)
        self._told = fault


def notify(state: str) -> bool:
    """Tell systemd, where it listens."""
    place = os.environ.get("NOTIFY_SOCKET", "")
    if place:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.sendto(state.encode(), "\0" + place[1:] if place.startswith("@") else place)
    return True


def fence() -> None:
    """Kill keepalived, whose unit then removes the address and starts it again."""
    for path in PIDS:
        try:
            os.kill(int(path.read_text(encoding="ascii")), signal.SIGKILL)
        except (OSError, ValueError):
            continue
