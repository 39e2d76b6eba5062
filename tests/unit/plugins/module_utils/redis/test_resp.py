"""The client of Redis' protocol, against servers that answer, freeze, drip and lie."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.redis.resp import (
    Access,
    Client,
    Node,
    RedisError,
    Unreachable,
    info,
    pairs,
    tls_context,
)

from tests.unit.plugins.module_utils.redis import certificates
from tests.unit.plugins.module_utils.redis.fake_redis import PASSWORD, Fake, Site


@pytest.fixture
def site() -> Iterator[Site]:
    found = Site()
    yield found
    found.stop()


@pytest.fixture
def server(site: Site) -> Fake:
    return site.servers[0]


ADMIN = Access("admin", PASSWORD)


def test_commands_and_kinds_of_answers(server: Fake) -> None:
    with Client(server.node, ADMIN) as client:
        assert client.call("PING") == "PONG"
        assert client.call("SET", "k", "wört") == "OK"
        assert client.calls([("GET", "k"), ("GET", "none"), ("SLOWLOG", "LEN")]) == ["wört", None, 3]
        assert client.call("LATENCY", "LATEST") == [["fork", 1, 7, 9]]
        assert info(client.call("INFO"))["role"] == "master"
    assert pairs(["a", "1", "b", "2"]) == {"a": "1", "b": "2"}


def test_a_wrong_password_is_in_no_message(server: Fake) -> None:
    with pytest.raises(RedisError) as caught:
        Client(server.node, Access("admin", "guessed-secret")).call("PING")
    assert "admin" in str(caught.value) and "guessed-secret" not in str(caught.value)
    assert "guessed-secret" not in repr(Access("admin", "guessed-secret"))


def test_an_error_is_raised_and_the_next_call_works(site: Site) -> None:
    client = Client(site.sentinels[0].node, Access("sentinel", PASSWORD))
    with pytest.raises(RedisError, match="No such master"):
        client.call("SENTINEL", "MASTER", "main")
    assert client.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main") is None


@pytest.mark.parametrize("mode", ["frozen", "drip"])
def test_a_call_has_one_deadline_whatever_the_server_does(server: Fake, mode: str) -> None:
    server.mode = mode
    begun = time.monotonic()
    with pytest.raises(Unreachable, match="no answer in time"):
        Client(server.node, Access("", "") if mode == "frozen" else ADMIN, 0.4).call("INFO")
    assert time.monotonic() - begun < 1.0


def test_nobody_listens_and_somebody_else_does(server: Fake) -> None:
    server.stop()
    with pytest.raises(Unreachable, match="refused"):
        Client(server.node, ADMIN).call("PING")


def test_tls_is_checked_in_both_ways(tmp_path: Path) -> None:
    good, other = certificates.make(tmp_path / "good"), certificates.make(tmp_path / "other", "another")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(good.certificate, good.key)
    site = Site(context)
    node = site.servers[0].node
    trusted = Access("admin", PASSWORD, tls_context(good.ca, good.certificate, good.key))
    assert Client(node, trusted).call("PING") == "PONG"
    with pytest.raises(Unreachable, match="certificate is not trusted"):
        Client(node, Access("admin", PASSWORD, tls_context(other.ca))).call("PING")
    with pytest.raises(Unreachable, match="not trusted"):
        # the address is not in the certificate
        Client(Node("localhost", node.port), trusted).call("PING")
    site.stop()
