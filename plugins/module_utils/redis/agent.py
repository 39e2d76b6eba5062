# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The daemon beside a server: it keeps asking the server and every Sentinel, and answers load balancers at once.

Each of them is asked in a thread of its own, so that one which hangs delays no other; what it said last grows old, and
old answers do not count. So the daemon fails closed.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from . import https, metrics
from .config import Config
from .resp import Client, Node, RedisError, Unreachable, info
from .verdict import Limits, Named, Said, Verdict, judge

T = TypeVar("T", Said, Named)
BEAT_SECONDS = 0.5
CERTIFICATE_SECONDS = 30.0


class Poller(threading.Thread, Generic[T]):
    """Asks one of them again and again. ``last`` is its last answer; a failure takes its place only when it is too old
    to count, as one lost packet must not take a master out of service."""

    def __init__(self, name: str, ask: Callable[[float], T], interval: float, max_age: float) -> None:
        super().__init__(name=name, daemon=True)
        self.last: T | None = None
        self._ask: Callable[[float], T] = ask
        self._interval, self._max_age = interval, max_age

    def run(self) -> None:
        while True:
            begun = time.monotonic()
            fresh = self._ask(begun)
            last = self.last
            now = time.monotonic()
            if not fresh.error or last is None or last.error or now - last.asked > self._max_age:
                self.last = fresh
            time.sleep(max(0.02, self._interval - (now - begun)))


class Agent:
    def __init__(self, config: Config) -> None:
        self.config = config
        self._access = access = config.access("agent")
        self._server = Client(config.node, access, config.timeout)
        self._latency: dict[str, int] = {}
        self._slow = 0
        self.server = Poller("server", self._ask_server, config.interval, config.max_age)
        self.sentinels = [
            Poller(host.name, self._asker(Client(host.node, access, config.timeout)), config.interval, config.max_age)
            for host in config.sentinels
        ]

    def start(self) -> None:
        self.server.start()
        for poller in self.sentinels:
            poller.start()

    def reload(self) -> None:
        """Show a renewed certificate to servers, which check one that they are shown."""
        if self._access.context is not None:
            self._access.context.load_cert_chain(self.config.certificate, self.config.key)

    def _ask_server(self, asked: float) -> Said:
        try:
            told, latency, slow = self._server.calls([("INFO",), ("LATENCY", "LATEST"), ("SLOWLOG", "LEN")])
        except (RedisError, Unreachable) as error:
            return Said(asked, error=str(error))
        self._latency = {event[0]: event[2] for event in latency}
        self._slow = slow
        return Said(asked, info(told))

    def _asker(self, client: Client) -> Callable[[float], Named]:
        def ask(asked: float) -> Named:
            try:
                answer = client.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.config.watched)
            except (RedisError, Unreachable) as error:
                return Named(asked, error=str(error))
            return Named(asked, Node(answer[0], int(answer[1])) if answer else None)

        return ask

    def verdict(self) -> Verdict:
        config = self.config
        named = [poller.last for poller in self.sentinels]
        return judge(config.node, self.server.last, named, time.monotonic(), Limits(config.max_age, config.max_lag))

    def pending(self) -> list[str]:
        try:
            return Path(self.config.pending).read_text().split()
        except OSError:
            return []

    def answer(self, path: str) -> https.Answer:
        verdict = self.verdict()
        if path == "/metrics":
            said = self.server.last
            told = said.info if said and verdict.healthy else {}
            voters = len(self.sentinels)
            return 200, metrics.render(verdict, told, voters, metrics.Extra(self._latency, self._slow, self.pending()))
        asked = {"/primary": verdict.primary, "/replica": verdict.replica, "/health": verdict.healthy}
        if path not in asked:
            return 404, "there are /primary, /replica, /health and /metrics\n"
        return (200 if asked[path] else 503), f"{verdict.reason}\n"


def notify(words: str) -> None:
    """Tell systemd, where it listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect("\0" + address[1:] if address[0] == "@" else address)
        sock.sendall(words.encode())


def run(config: Config) -> int:
    agent = Agent(config)
    listener = https.listen(config.listen, config.port)
    server = https.Server(listener, config.certificate, config.key, agent.answer)
    agent.start()
    server.start()
    notify("READY=1")
    before, stamp, looked = "", _stamp(config), time.monotonic()
    while server.alive:
        server.reap()
        verdict = agent.verdict()
        if verdict.reason != before:
            sys.stdout.write(f"{'PRIMARY' if verdict.primary else 'not primary'}: {verdict.reason}\n")
            sys.stdout.flush()
            before = verdict.reason
        if time.monotonic() - looked > CERTIFICATE_SECONDS:
            looked = time.monotonic()
            if _stamp(config) != stamp:
                with contextlib.suppress(OSError):
                    server.reload()
                    agent.reload()
                    stamp = _stamp(config)
        notify("WATCHDOG=1")
        time.sleep(BEAT_SECONDS)
    return 1


def status(config: Config) -> int:
    """One look, for people: needs to read the agent's password, so it is root's."""
    agent = Agent(config)
    agent.start()
    time.sleep(config.timeout + config.interval)
    verdict = agent.verdict()
    lines = [f"{config.name}: {verdict.reason}"]
    for poller in agent.sentinels:
        named = poller.last
        lines.append(f"  Sentinel on {poller.name}: {(named.error or named.master) if named else 'no answer'}")
    if agent.pending():
        lines.append(f"  waiting for a restart: {', '.join(agent.pending())}")
    sys.stdout.write("\n".join([*lines, ""]))
    return 0 if verdict.healthy else 1


def _stamp(config: Config) -> float:
    try:
        return Path(config.certificate).stat().st_mtime
    except OSError:
        return 0.0
