# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The daemon: the sampling loop in the main thread, the server in another, and systemd's watchdog over both."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time

from . import pages
from .config import Config
from .history import History
from .loop import Loop, log
from .server import Request, Response, Server, listen
from .state import DrainFile

JSON = "application/json"
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


def notify(message: str) -> None:
    """Tell systemd, if it asked to be told."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect("\0" + path[1:] if path.startswith("@") else path)
            sock.sendall(message.encode())
        except OSError as error:
            log(f"systemd could not be told {message.split('=', 1)[0]}: {error}", 4)


class Daemon:
    def __init__(self, config: Config) -> None:
        self.config = config
        self.drains = DrainFile(config.state_dir)
        self.loop = Loop(config, lambda: self.drains.current is not None)
        self.history = History()
        self.stop = threading.Event()
        self._told = ""
        http = [listen(address, config.http_port) for address in config.listen]
        agent = [listen(address, config.agent_port) for address in config.listen]
        self.http_port: int = http[0].getsockname()[1]
        self.agent_port: int = agent[0].getsockname()[1]
        self.server = Server(http, agent, self.answer, self.agent_line)

    def run(self) -> None:
        """Until ``stop`` is set. Nobody is answered before the first round has been finished."""
        if self.drains.current:
            log(f"drained by {self.drains.current.who}: {self.drains.current.reason}", 4)
        self.loop.round()
        self.server.start()
        notify("READY=1")
        self.loop.run(self.stop, self._alive)
        notify("STOPPING=1")

    def _alive(self) -> None:
        """After every round. The watchdog is fed only while the server comes round too."""
        if not self.server.is_alive():
            raise RuntimeError("the server's thread has ended")
        snapshot = self.loop.snapshot
        if snapshot and time.monotonic() - self.server.beat < 5:
            answer = self._service()
            looked = snapshot.assessment
            self.history.note(snapshot.wall, looked.age_seconds, looked.lag_blocks, answer.up)
            words = " ".join((answer.reason if answer.up else f"out of service: {answer.reason}").split())[:300]
            notify("WATCHDOG=1" if words == self._told else f"WATCHDOG=1\nSTATUS={words}")
            self._told = words

    def _service(self) -> pages.Service:
        return pages.service(self.config, self.loop.snapshot, self.drains.current, time.monotonic())

    def agent_line(self) -> bytes:
        return pages.agent_line(self._service())

    def answer(self, request: Request) -> Response:
        try:
            return self._route(request)
        except OSError as error:
            # the drain could not be written: whoever asked must not believe that it holds
            log(f"{request.method} {request.path}: {error}", 3)
            return Response(500, f"{error}\n".encode())

    def _route(self, request: Request) -> Response:
        readers = {
            "/health": self._health,
            "/status": self._status,
            "/metrics": self._metrics,
            "/history": lambda: Response(200, self.history.json(), JSON),
        }
        if request.path in readers:
            if request.method not in ("GET", "HEAD", "OPTIONS"):
                return Response(405, b"only GET, HEAD and OPTIONS\n")
            return readers[request.path]()
        if request.path == "/drain":
            return self._drain(request)
        return Response(404, b"there are /health, /status, /metrics, /history and /drain\n")

    def _health(self) -> Response:
        answer = self._service()
        return Response(200 if answer.up else 503, f"{answer.reason}\n".encode())

    def _status(self) -> Response:
        page = pages.status_json(self.config, self.loop.snapshot, self.drains.current, time.monotonic())
        return Response(200, page, JSON)

    def _metrics(self) -> Response:
        page = pages.metrics(self.config, self.loop.snapshot, self.drains.current, time.monotonic())
        return Response(200, page, PROMETHEUS)

    def _drain(self, request: Request) -> Response:
        if not request.from_loopback:
            return Response(403, b"a node is drained from its own host only: chain-health drain\n")
        if request.method == "DELETE":
            was = self.drains.clear()
            if was:
                log("drain lifted")
            return self._status()
        if request.method != "POST":
            return Response(405, b"only POST and DELETE\n")
        try:
            wish = json.loads(request.body)
            reason, who = wish["reason"].strip(), wish["who"].strip()
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            reason = who = ""
        if not reason or not who:
            return Response(400, b'the body must be {"reason": "...", "who": "..."}\n')
        drain = self.drains.set(reason[:200], who[:64])
        log(f"drained by {drain.who}: {drain.reason}", 4)
        return self._status()


def run(config: Config) -> int:
    daemon = Daemon(config)

    def end(_number: int, _frame: object) -> None:
        daemon.stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    daemon.run()
    return 0
