# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The listening side against clients that hang, drip, shout and swarm."""

from __future__ import annotations

import socket
import struct
import time
from pathlib import Path

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.chain_daemon import server as module
from ansible_collections.chainops.infra.plugins.module_utils.chain_daemon.server import (
    MAX_CONNECTIONS,
    RequestError,
    Response,
    Server,
    listen,
    parse,
)

BIG = b"x" * 3_000_000


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.6)
    monkeypatch.setattr(module, "LINGER", 0.3)
    http, agent = listen("127.0.0.1", 0), listen("127.0.0.1", 0)

    def answer(request):
        if request.path == "/big":
            return Response(200, BIG)
        return Response(200, f"{request.method} {request.path} ".encode() + request.body)

    server = Server([http], [agent], answer, lambda: b"up\n")
    server.http_port, server.agent_port = http.getsockname()[1], agent.getsockname()[1]
    server.start()
    return server


def connect(port, timeout=2.0):
    return socket.create_connection(("127.0.0.1", port), timeout)


def everything(sock):
    data = b""
    while part := sock.recv(65536):
        data += part
    return data


def ask(server, request):
    with connect(server.http_port) as sock:
        sock.sendall(request)
        return everything(sock)


def works(server):
    return ask(server, b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n").endswith(b"GET /a ")


def test_a_request(server):
    answer = ask(server, b"GET /a?b=c HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Connection: close" in answer
    assert answer.endswith(b"\r\n\r\nGET /a ")


def test_a_request_in_pieces(server):
    with connect(server.http_port) as sock:
        for piece in (b"POST /a HT", b"TP/1.1\r\nContent-", b"Length: 5\r\n\r", b"\n12", b"345"):
            sock.sendall(piece)
            time.sleep(0.02)
        assert everything(sock).endswith(b"POST /a 12345")


def test_head_has_no_body(server):
    answer = ask(server, b"HEAD /a HTTP/1.1\r\n\r\n")
    assert answer.endswith(b"\r\n\r\n")
    assert b"Content-Length: 8" in answer


def test_a_large_answer_arrives_whole(server):
    assert ask(server, b"GET /big HTTP/1.1\r\n\r\n").endswith(BIG)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET /a\r\n\r\n", 400),
        (b"GET /a HTTP/2\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (b"POST /a HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST /a HTTP/1.1\r\nContent-Length: 5000\r\n\r\n", 413),
        (b"GET /" + b"a" * 9000, 431),
    ],
)
def test_what_is_no_request_is_told_so(server, request_, status):
    assert ask(server, request_).startswith(b"HTTP/1.1 %d " % status)
    assert works(server)


@pytest.mark.parametrize("send", [b"", b"hello\n", b"x" * 50_000])
def test_the_agent_answers_whatever_is_sent_and_is_not_reset(server, send):
    """Closing a socket with unread data resets it, which would throw the answer away."""
    with connect(server.agent_port) as sock:
        if send:
            sock.sendall(send)
        time.sleep(0.05)
        assert everything(sock) == b"up\n"


def test_the_agent_answers_within_milliseconds(server):
    times = []
    for _number in range(50):
        start = time.perf_counter()
        with connect(server.agent_port) as sock:
            assert sock.recv(100) == b"up\n"
        times.append(time.perf_counter() - start)
    assert sorted(times)[25] < 0.01


def test_clients_that_hang_are_dropped_and_hold_up_nobody(server):
    idle = [connect(server.http_port) for _number in range(20)]
    for sock in idle[:10]:
        sock.sendall(b"GET /a HT")
    assert works(server)
    time.sleep(1.2)
    assert works(server)
    for sock in idle:
        assert sock.recv(10) == b""
        sock.close()
    time.sleep(0.6)
    assert server.connections == 0


def test_a_client_that_does_not_take_its_answer_is_dropped(server):
    with connect(server.http_port) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(b"GET /big HTTP/1.1\r\n\r\n")
        time.sleep(1.4)
        assert server.connections == 0
        assert works(server)


def test_a_client_that_does_not_close_is_dropped(server):
    with connect(server.agent_port) as sock:
        assert sock.recv(100) == b"up\n"
        time.sleep(1.0)
        assert server.connections == 0


def test_a_swarm_of_clients_does_not_keep_a_load_balancer_out(server):
    swarm = [connect(server.http_port) for _number in range(MAX_CONNECTIONS + 20)]
    assert works(server)
    assert server.connections <= MAX_CONNECTIONS
    for sock in swarm:
        sock.close()
    assert works(server)


def test_a_client_that_resets(server):
    for _number in range(20):
        sock = connect(server.http_port)
        sock.sendall(b"GET /big HTTP/1.1\r\n\r\n")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    assert works(server)
    assert server.is_alive()


def test_nothing_is_left_open(server):
    def descriptors():
        return len(list(Path("/proc/self/fd").iterdir()))

    works(server)
    before = descriptors()
    for _number in range(100):
        works(server)
    time.sleep(0.6)
    assert descriptors() <= before + 1


def test_an_address_that_the_host_does_not_have_yet():
    sock = listen("203.0.113.7", 0)
    assert sock.getsockname()[0] == "203.0.113.7"
    sock.close()


def test_a_port_in_use_is_named():
    with listen("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1 port {port}: Address already in use"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize(
    "data", [b"", b"GET", b"GET /a HTTP/1.1\r\nHost: x\r\n", b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n12"]
)
def test_a_request_that_is_not_whole(data):
    assert parse(bytearray(data), "127.0.0.1") is None


def test_a_body_beyond_its_length_is_cut():
    request = parse(bytearray(b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n1234"), "127.0.0.1")
    assert request is not None
    assert request.body == b"12"
    with pytest.raises(RequestError):
        parse(bytearray(b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n"), "127.0.0.1")
