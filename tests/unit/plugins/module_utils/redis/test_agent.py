"""The daemon that load balancers ask, with servers and Sentinels that freeze, die and change their minds."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.redis import config as configuration
from ansible_collections.chainops.infra.plugins.module_utils.redis import https
from ansible_collections.chainops.infra.plugins.module_utils.redis.agent import Agent
from ansible_collections.chainops.infra.plugins.module_utils.redis.resp import tls_context

from tests.unit.plugins.module_utils.redis import certificates
from tests.unit.plugins.module_utils.redis.site_config import OnDisk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[OnDisk]:
    found = OnDisk(tmp_path)
    found.site.founded()
    yield found
    found.site.stop()


class Served:
    def __init__(self, disk: OnDisk, **other: Any) -> None:
        self.config = disk.agent(**other)
        self.agent = Agent(self.config)
        sock = https.listen("127.0.0.1", 0)
        self.port = sock.getsockname()[1]
        self.server = https.Server(sock, self.config.certificate, self.config.key, self.agent.answer)
        self.agent.start()
        self.server.start()

    def get(self, path: str, method: str = "GET") -> tuple[int, str]:
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=5, context=tls_context(self.config.ca))
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read().decode().strip()
        finally:
            connection.close()

    def soon(self, good: Callable[[], bool], within: float = 2.0) -> bool:
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            if good():
                return True
            time.sleep(0.02)
        return good()


@pytest.fixture
def served(disk: OnDisk) -> Served:
    return Served(disk)


def test_answers(served: Served) -> None:
    assert served.soon(lambda: served.get("/primary")[0] == 200)
    assert served.get("/primary")[1] == "master, named by 3 of 3 Sentinels"
    assert served.get("/replica")[0] == 503
    assert served.get("/health")[0] == 200
    assert served.get("/other")[0] == 404
    assert served.get("/primary", "POST")[0] == 405
    metrics = served.get("/metrics")[1]
    for line in ("chainops_redis_primary 1", "chainops_redis_sentinel_votes 3", "chainops_redis_memory_max_bytes 2000"):
        assert line in metrics.splitlines()
    assert 'chainops_redis_latency_latest_milliseconds{event="fork"} 7' in metrics
    assert "a-password" not in metrics


def test_a_frozen_server_is_not_primary_nor_is_it_when_it_is_thawed(served: Served, disk: OnDisk) -> None:
    assert served.soon(lambda: served.get("/primary")[0] == 200)
    disk.site.servers[0].mode = "frozen"
    assert served.soon(lambda: served.get("/primary")[0] == 503, 1.5)
    assert served.get("/health")[0] == 503
    disk.site.fail_over()
    time.sleep(0.3)
    disk.site.servers[0].mode = "normal"
    seen = set()
    end = time.monotonic() + 1
    while time.monotonic() < end:
        seen.add(served.get("/primary"))
    assert {status for status, _reason in seen} == {503}
    assert any("says it is master, but 0 of 3" in reason for _status, reason in seen)


@pytest.mark.parametrize("mode", ["frozen", "dead"])
def test_without_most_of_the_sentinels_nobody_is_primary(served: Served, disk: OnDisk, mode: str) -> None:
    assert served.soon(lambda: served.get("/primary")[0] == 200)
    for sentinel in disk.site.sentinels[:2]:
        sentinel.mode = "frozen"
        if mode == "dead":
            sentinel.stop()
    assert served.soon(lambda: served.get("/primary")[0] == 503)
    assert served.get("/health")[0] == 200


def test_one_lost_answer_takes_nobody_out(disk: OnDisk) -> None:
    served = Served(disk, max_age=5)
    assert served.soon(lambda: served.get("/primary")[0] == 200)
    for _time in range(3):
        for each in (disk.site.servers[0], *disk.site.sentinels):
            each.mode = "frozen"
        time.sleep(0.2)
        assert served.get("/primary")[0] == 200
        for each in (disk.site.servers[0], *disk.site.sentinels):
            each.mode = "normal"
        time.sleep(0.5)
    assert served.get("/primary")[0] == 200


def test_settings_that_wait_for_a_restart_are_counted(served: Served, disk: OnDisk) -> None:
    (disk.path / "pending").write_text("io-threads\ndatabases\n")
    assert "chainops_redis_restart_pending 2" in served.get("/metrics")[1]


def test_clients_that_say_nothing_hold_nobody_up(served: Served) -> None:
    assert served.soon(lambda: served.get("/health")[0] == 200)
    silent = [socket.create_connection(("127.0.0.1", served.port)) for _number in range(https.MAX_CONNECTIONS + 8)]
    begun = time.monotonic()
    assert served.get("/health")[0] == 200
    assert time.monotonic() - begun < 2
    for sock in silent:
        sock.close()


def test_a_client_that_drips_is_cut_off(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "PATIENCE", 0.3)
    sock = socket.create_connection(("127.0.0.1", served.port))
    time.sleep(0.5)
    served.server.reap()
    sock.settimeout(2)
    assert sock.recv(10) == b""


def test_a_renewed_certificate_is_served(served: Served, disk: OnDisk) -> None:
    renewed = certificates.make(disk.path / "tls", "renewed")
    served.server.reload()
    served.config = disk.agent(ca=renewed.ca)
    assert served.get("/metrics")[0] == 200


@pytest.mark.parametrize(
    ("change", "words"),
    [({"sentinels": []}, "no Sentinels"), ({"timeout": 2, "max_age": 1}, "max_age"), ({"unknown": 1}, "unknown")],
)
def test_a_configuration_that_cannot_be_right(disk: OnDisk, change: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        disk.agent(**change)
    assert configuration.Config.__dataclass_fields__["port"].default == 6380
