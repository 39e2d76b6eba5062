# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The whole daemon beside fake clients: what balancers are told, and when."""

from __future__ import annotations

import json
import socket
import threading
import time

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.chain.crew import Crew
from ansible_collections.chainops.infra.plugins.module_utils.chain_daemon import daemon as daemon_module
from ansible_collections.chainops.infra.plugins.module_utils.chain_daemon import loop as loop_module
from ansible_collections.chainops.infra.plugins.module_utils.chain_daemon.server import Request

from tests.unit.plugins.module_utils.chain.servers import drip, hang

# interval and two timeouts, as the daemon is configured here, and what a busy machine adds
BOUND = 0.3 + 2 * 0.3 + 0.6


def test_a_sound_pair_is_admitted_after_some_rounds(start):
    daemon = start()
    assert daemon.until_up() >= 0.5
    assert daemon.agent() == b"up\n"
    status = daemon.status()
    assert (status["state"], status["in_service"], status["admitted"]) == ("healthy", True, True)
    assert status["execution"]["version"].startswith("Geth")


def test_a_killed_execution_client_is_ejected_and_comes_back(start, site):
    daemon = start()
    daemon.until_up()
    usual = site.pair.execution.respond
    site.pair.execution.fault = lambda handler: setattr(handler, "close_connection", True)
    assert daemon.until_down() < BOUND
    line = daemon.agent()
    assert line.startswith(b"down #unfit: execution client: POST http://127.0.0.1:")
    site.pair.execution.fault = None
    site.pair.execution.respond = usual
    daemon.until_up()


def test_a_frozen_execution_client_is_ejected(start, site):
    daemon = start()
    daemon.until_up()
    site.pair.execution.fault = hang(30)
    assert daemon.until_down() < BOUND
    assert b"in the time given" in daemon.agent()


def test_one_slow_answer_ejects_nobody(start, site):
    daemon = start()
    daemon.until_up()

    def fault(handler):
        site.pair.execution.fault = None
        time.sleep(0.5)
        handler.close_connection = True

    site.pair.execution.fault = fault
    time.sleep(1.5)
    assert daemon.health() == 200
    assert daemon.daemon.loop.snapshot.failures["execution"] == 1
    assert daemon.daemon.loop.snapshot.changes == {"admitted": 1}


def test_a_head_that_stands_still_is_ejected_at_the_policys_age(start, site):
    """The consensus client stopped: eth_syncing stays false."""
    daemon = start()
    daemon.until_up()
    site.pair.consensus.fault = hang(0)
    site.moving.discard(site.pair)
    daemon.until_down()
    head = site.genesis + site.pair.head
    age = time.time() - head
    assert 3.0 <= age < 3.8
    assert b"down #stale: head " in daemon.agent()
    site.pair.consensus.fault = None
    site.moving.add(site.pair)
    daemon.until_up()


@pytest.mark.parametrize("policy", ["serve", "refuse"])
def test_a_stalled_chain(start, site, raw_config, policy):
    daemon = start(policy=raw_config["policy"] | {"on_stall": policy})
    daemon.until_up()
    site.moving.clear()
    daemon.wait(lambda d: d.status()["state"] == "chain_stalled")
    time.sleep(0.7)
    assert daemon.health() == (200 if policy == "serve" else 503)
    assert (daemon.agent() == b"up\n") == (policy == "serve")


def test_unreachable_references_eject_nobody_and_let_nobody_in(start, site):
    daemon = start()
    daemon.until_up()
    for node in (site.a, site.b):
        node.execution.fault = hang(30)
    daemon.wait(lambda d: d.status()["state"] == "unknown")
    time.sleep(1)
    assert daemon.health() == 200
    other = start(run_dir="/nonexistent")
    time.sleep(2)
    assert other.health() == 503


def test_a_pair_on_another_chain_is_never_admitted(start, site):
    site.pair.chain_id = 1
    daemon = start()
    time.sleep(2)
    assert daemon.health() == 503
    assert b"down #forked: another chain: chain id 1, expected 32382" in daemon.agent()


def test_a_full_disk_ejects_and_says_why(start, tmp_path):
    daemon = start(disks=[{"path": str(tmp_path), "min_free_bytes": 1}])
    daemon.until_up()
    full = loop_module.DiskLimit(path=str(tmp_path), min_free_bytes=10**18)
    object.__setattr__(daemon.daemon.config, "disks", (full,))
    assert daemon.until_down() < BOUND
    assert b"down #unfit: disk nearly full: " in daemon.agent()


class TestFailsClosed:
    def test_nobody_is_answered_before_the_first_round(self, start, site):
        site.pair.execution.fault = hang(30)
        daemon = start(timeout=1.5)
        with pytest.raises(OSError, match="timed out"):
            daemon.http("GET", "/health", timeout=0.5)
        daemon.wait(lambda d: d.health() == 503)

    def test_a_hanging_loop_is_down(self, start, monkeypatch):
        daemon = start()
        daemon.until_up()
        monkeypatch.setattr(daemon.daemon.loop, "round", lambda: time.sleep(30))
        daemon.until_down(daemon.daemon.config.max_silence + 1)
        assert b"the sampling loop hangs" in daemon.http("GET", "/health")[1]
        assert daemon.agent().startswith(b"down #the last sample is ")
        assert daemon.status()["in_service"] is False

    def test_a_loop_that_fails_ends_the_process(self, start, monkeypatch):
        daemon = start()
        daemon.until_up()

        def fail():
            raise RuntimeError("a mistake")

        monkeypatch.setattr(threading, "excepthook", lambda _args: None)
        monkeypatch.setattr(daemon.daemon.loop, "round", fail)
        daemon.thread.join(3)
        assert not daemon.thread.is_alive()

    def test_a_server_that_ended_ends_the_process(self, start, monkeypatch):
        daemon = start()
        daemon.until_up()
        monkeypatch.setattr(threading, "excepthook", lambda _args: None)
        monkeypatch.setattr(daemon.daemon.server, "is_alive", lambda: False)
        daemon.thread.join(3)
        assert not daemon.thread.is_alive()


class TestDrain:
    def test_takes_effect_at_once_and_outlives_the_daemon(self, start):
        daemon = start()
        daemon.until_up()
        status, _body = daemon.http("POST", "/drain", json.dumps({"reason": "new disk", "who": "ops"}))
        assert status == 200
        assert daemon.health() == 503
        assert daemon.agent() == b"stopped #drained by ops: new disk\n"
        assert daemon.status()["drain"]["reason"] == "new disk"
        assert daemon.status()["admitted"] is True
        daemon.stop()
        again = start()
        again.wait(lambda d: d.status()["admitted"])
        assert again.health() == 503
        assert again.http("DELETE", "/drain")[0] == 200
        assert again.health() == 200

    def test_lifted_admits_nobody_who_would_not_be_admitted(self, start, site):
        """Silent references take nobody out of service, and let nobody in: not by way of a drain either."""
        daemon = start()
        daemon.until_up()
        daemon.http("POST", "/drain", json.dumps({"reason": "new disk", "who": "ops"}))
        for node in (site.a, site.b):
            node.execution.fault = hang(30)
        daemon.wait(lambda d: d.status()["state"] == "unknown")
        assert daemon.http("DELETE", "/drain")[0] == 200
        time.sleep(1)
        assert daemon.health() == 503

    @pytest.mark.parametrize(
        "body", [None, "", "{}", "[]", '{"reason": "", "who": "x"}', '{"reason": 1, "who": "x"}', "x"]
    )
    def test_needs_a_reason_and_an_author(self, start, body):
        daemon = start()
        daemon.wait(lambda d: d.status())
        assert daemon.http("POST", "/drain", body)[0] == 400
        assert daemon.status()["drain"] is None

    def test_is_for_the_own_host_only(self, start):
        daemon = start()
        for peer, status in (
            ("10.0.0.5", 403),
            ("::ffff:10.0.0.5", 403),
            ("127.0.0.1", 200),
            ("::ffff:127.0.0.1", 200),
        ):
            request = Request("POST", "/drain", b'{"reason": "x", "who": "y"}', peer)
            assert daemon.daemon.answer(request).status == status

    def test_that_cannot_be_kept_is_an_error(self, start, raw_config, tmp_path):
        daemon = start(state_dir=str(tmp_path / "gone"))
        daemon.until_up()
        status, body = daemon.http("POST", "/drain", json.dumps({"reason": "x", "who": "y"}))
        assert status == 500
        assert b"gone" in body
        assert daemon.health() == 200


def test_a_restart_keeps_an_admitted_node_in_service(start):
    first = start()
    first.until_up()
    first.stop()
    again = start()
    again.wait(lambda d: d.agent() == b"up\n", 2)
    assert again.daemon.loop.snapshot.rounds <= 2
    assert "admitted" not in again.daemon.loop.snapshot.changes


def test_a_restart_beside_a_node_that_has_become_bad_serves_nothing(start, site):
    first = start()
    first.until_up()
    first.stop()
    site.pair.execution.fault = hang(30)
    again = start()
    again.wait(lambda d: d.health() == 503)
    assert again.daemon.loop.snapshot.verdict.admitted is False


class TestHangingEndpoints:
    def test_leave_no_threads_behind(self, start, site):
        daemon = start()
        daemon.until_up()
        before = {thread.name for thread in threading.enumerate()}
        site.a.execution.fault = hang(60)
        site.b.execution.fault = drip(b"x" * 1000, 0.05)
        site.pair.consensus.fault = hang(60)
        time.sleep(4)
        mine = [t for t in threading.enumerate() if t.name not in before and not t.name.startswith("Thread-")]
        assert mine == []
        assert daemon.health() == 200
        assert daemon.daemon.loop.snapshot.duration < 0.5

    def test_a_probe_that_never_returns_holds_up_nobody_else(self):
        """As the resolution of a host's name may."""
        release = threading.Event()
        crew = Crew({"stuck": lambda *_: release.wait(60), "good": lambda *_: "answer"}, loop_module.log_mistake)
        before = set(threading.enumerate())
        for _round in range(5):
            start = time.monotonic()
            answers = crew.round((), start + 0.1)
            assert answers == {"good": "answer"}
            assert time.monotonic() - start < 0.3
        # of other tests' threads some may just have ended: only new ones say something
        assert set(threading.enumerate()) - before == set()
        release.set()
        time.sleep(0.05)
        assert crew.round((), time.monotonic() + 1) == {"stuck": True, "good": "answer"}
        crew.stop()

    def test_a_mistake_in_a_probe_is_a_missing_sample(self, capsys):
        def broken(*_args):
            raise KeyError("oops")

        crew = Crew({"broken": broken}, loop_module.log_mistake)
        assert crew.round((), time.monotonic() + 1) == {"broken": None}
        assert "KeyError" in capsys.readouterr().err
        crew.stop()


def test_systemd_is_told(start, monkeypatch, tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        sock.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        daemon = start()
        assert sock.recv(1000) == b"READY=1"
        assert sock.recv(1000).startswith(b"WATCHDOG=1\nSTATUS=out of service: healthy: ")
        daemon.until_up()
        # a server that does not come round starves the watchdog
        monkeypatch.setattr(
            type(daemon.daemon.server), "beat", property(lambda _s: 0.0, lambda _s, _v: None), raising=False
        )
        time.sleep(0.5)
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                sock.recv(1000)
        sock.setblocking(True)
        sock.settimeout(1)
        with pytest.raises(TimeoutError):
            sock.recv(1000)


def test_no_notify_socket_no_message(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    daemon_module.notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", "/nonexistent/socket")
    daemon_module.notify("READY=1")
