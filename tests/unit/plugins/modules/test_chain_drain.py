"""chain_drain and chain_service_info against a real server that holds a drain and takes its time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
MODULES = ROOT / "plugins" / "modules"


class Daemon:
    """In service unless drained; ``slow`` seconds pass before a lifted drain shows; ``sick`` pairs never come back."""

    def __init__(self, drained: bool = False, slow: float = 0.0, sick: bool = False, broken: bool = False) -> None:
        self.drain = {"reason": "before", "who": "somebody", "since": 1.0} if drained else None
        self.slow, self.sick, self.broken = slow, sick, broken
        self.lifted = 0.0
        self.requests: list[str] = []
        daemon = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                daemon.requests.append(f"{self.command} {self.path}")
                body = b"<html>" if daemon.broken else json.dumps(daemon.status()).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                daemon.drain = json.loads(self.rfile.read(int(self.headers["Content-Length"]))) | {"since": 2.0}
                self.do_GET()

            def do_DELETE(self) -> None:
                daemon.drain, daemon.lifted = None, time.monotonic()
                self.do_GET()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def status(self) -> dict[str, object]:
        back = time.monotonic() - self.lifted >= self.slow
        state = "stale" if self.sick else "healthy"
        return {
            "in_service": self.drain is None and back and not self.sick,
            "drain": self.drain,
            "state": state,
            "reason": state,
            "obstacle": "head 7 is 90.0 s old" if self.sick else "",
        }


def run(port: int, check: bool = False, module: str = "chain_drain", **arguments: object) -> dict[str, object]:
    payload = {"ANSIBLE_MODULE_ARGS": arguments | {"port": port, "_ansible_check_mode": check, "_ansible_diff": True}}
    code = (
        "import sys, runpy; from ansible.module_utils import basic; basic._ANSIBLE_ARGS = sys.stdin.buffer.read(); "
        "basic._ANSIBLE_PROFILE = 'legacy'; runpy.run_path(sys.argv[1], run_name='__main__')"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT / ".ansible" / "collections")}
    done = subprocess.run(
        [sys.executable, "-c", code, str(MODULES / f"{module}.py")],
        input=json.dumps(payload),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=env,
    )
    return json.loads(done.stdout)


@pytest.fixture
def daemon(request: pytest.FixtureRequest):
    made = Daemon(**getattr(request, "param", {}))
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_drains_once_and_says_who_and_why(daemon: Daemon) -> None:
    first = run(daemon.port, state="drained", reason="new disk", who="alice")
    assert (first["changed"], first["in_service"]) == (True, False)
    assert first["diff"] == {"before": "not drained\n", "after": "drained\n"}
    assert daemon.drain == {"reason": "new disk", "who": "alice", "since": 2.0}
    assert run(daemon.port, state="drained", reason="again")["changed"] is False
    assert daemon.drain["reason"] == "new disk"


def test_check_mode_asks_only(daemon: Daemon) -> None:
    assert run(daemon.port, check=True, state="drained", reason="new disk")["changed"] is True
    assert daemon.requests == ["GET /status"]


@pytest.mark.parametrize("daemon", [{"drained": True, "slow": 0.6}], indirect=True)
def test_waits_until_the_pair_is_back(daemon: Daemon) -> None:
    started = time.monotonic()
    back = run(daemon.port, state="in_service", timeout=10)
    assert (back["changed"], back["in_service"]) == (True, True)
    assert time.monotonic() - started >= 0.6


@pytest.mark.parametrize("daemon", [{"drained": True, "sick": True}], indirect=True)
def test_a_pair_that_does_not_come_back_is_a_failure_that_says_why(daemon: Daemon) -> None:
    failed = run(daemon.port, state="in_service", timeout=1)
    assert failed["failed"] is True
    assert failed["msg"] == "the pair is not in service after 1 s: head 7 is 90.0 s old"
    assert daemon.drain is None
    assert run(daemon.port, state="in_service", timeout=0)["changed"] is False


@pytest.mark.parametrize("daemon", [{"broken": True}], indirect=True)
def test_an_answer_that_is_no_status_is_a_failure(daemon: Daemon) -> None:
    assert "does not help" in str(run(daemon.port, state="drained", reason="x")["msg"])


def test_no_daemon_is_a_failure_that_names_the_port() -> None:
    failed = run(1, state="drained", reason="x")
    assert failed["failed"] is True
    assert "port 1 of loopback" in str(failed["msg"])


def test_a_drain_needs_a_reason(daemon: Daemon) -> None:
    assert "reason" in str(run(daemon.port, state="drained")["msg"])
    assert daemon.requests == []


def test_info_says_whether_the_pair_serves(daemon: Daemon) -> None:
    found = run(daemon.port, module="chain_service_info")
    assert (found["changed"], found["in_service"], found["verdict"]) == (False, True, "healthy")
    assert daemon.requests == ["GET /status"]


def test_no_daemon_is_no_pair_in_service() -> None:
    found = run(1, module="chain_service_info")
    assert (found["in_service"], found["verdict"], found["status"]) == (False, "unknown", {})


@pytest.mark.parametrize("daemon", [{"drained": True}], indirect=True)
def test_info_waits_only_so_long(daemon: Daemon) -> None:
    failed = run(daemon.port, module="chain_service_info", wait_in_service=1)
    assert failed["failed"] is True
    assert "not in service after 1 s" in str(failed["msg"])
