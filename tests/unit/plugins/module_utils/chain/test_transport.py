# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Requests against servers that misbehave in every way that has been seen."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.chain import transport
from ansible_collections.chainops.infra.plugins.module_utils.chain.transport import Endpoint, EndpointError

from tests.unit.plugins.module_utils.chain.servers import HEADERS, Server, closed_port, drip, hang, raw


@pytest.fixture
def server():
    server = Server(lambda _method, _path, _body: (200, b'{"a": 1}'))
    yield server
    server.close()


def get(endpoint, seconds=1.0, **kwargs):
    return endpoint.json("GET", "/x", deadline=time.monotonic() + seconds, **kwargs)


def failure(endpoint, seconds=1.0):
    start = time.monotonic()
    with pytest.raises(EndpointError) as raised:
        get(endpoint, seconds)
    assert time.monotonic() - start < seconds + 0.5, "the deadline covers the whole request"
    assert endpoint.url in str(raised.value), "the error names the endpoint"
    return raised.value


def test_an_answer(server):
    assert get(Endpoint(server.url)) == {"a": 1}


def test_the_path_of_the_url_is_a_prefix(server):
    get(Endpoint(server.url + "/rpc/"))
    assert server.requests[0][1] == "/rpc/x"


def test_a_connection_is_kept(server):
    endpoint = Endpoint(server.url)
    for _number in range(5):
        get(endpoint)
    assert server.connections == 1


def test_a_kept_connection_that_the_server_dropped_is_replaced(server):
    endpoint = Endpoint(server.url)
    server.fault = raw(HEADERS % 2 + b"{}")  # answers, and closes without having said so
    get(endpoint)
    server.fault = None
    assert get(endpoint) == {"a": 1}
    assert server.connections == 2


def test_an_answer_without_length_ends_with_the_connection(server):
    server.fault = raw(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"a": 2}')
    assert get(Endpoint(server.url)) == {"a": 2}


def test_an_answer_in_chunks(server):
    server.fault = raw(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n5\r\n": 3}\r\n0\r\n\r\n')
    assert get(Endpoint(server.url)) == {"a": 3}


@pytest.mark.parametrize(
    "fault",
    [
        hang(),
        hang(first=b"HTTP/1.1 200 OK\r\n"),
        hang(first=HEADERS % 100),
        hang(first=HEADERS % 100 + b"{"),
        drip(b'{"a": "' + b"x" * 500, 0.05, HEADERS % 600),
        drip(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 500, 0.05),
        drip(b"x" * 500, 0.05, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1f4\r\n"),
        drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 100, 0.01),
    ],
    ids=["silence", "status", "headers", "begun", "drips", "header drips", "chunk drips", "continues"],
)
def test_whoever_does_not_finish_in_time_has_timed_out(server, fault):
    server.fault = fault
    error = failure(Endpoint(server.url), 0.4)
    assert error.kind == transport.TIMEOUT


def test_after_a_timeout_the_next_request_is_answered(server):
    endpoint = Endpoint(server.url)
    server.fault = hang(1.0)
    failure(endpoint, 0.2)
    server.fault = None
    assert get(endpoint) == {"a": 1}


def test_a_deadline_that_has_passed(server):
    with pytest.raises(EndpointError, match="in the time given"):
        Endpoint(server.url).json("GET", "/", deadline=time.monotonic() - 1)


def test_a_server_that_accepts_and_is_frozen():
    """What SIGSTOP leaves: the kernel accepts, nobody answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        error = failure(Endpoint(f"http://127.0.0.1:{listener.getsockname()[1]}"), 0.3)
        assert error.kind == transport.TIMEOUT


def test_nothing_listens():
    error = failure(Endpoint(f"http://127.0.0.1:{closed_port()}"))
    assert error.kind == transport.REFUSED
    assert "refused" in str(error)


def test_a_name_that_does_not_resolve():
    error = failure(Endpoint("http://no-such-host.invalid:1"), 5)
    assert error.kind == transport.NETWORK
    assert "does not resolve" in str(error)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (HEADERS % 100 + b'{"a":', "cut off after 5 of 100 bytes"),
        (HEADERS % 2 + b"{x", "not JSON: '{x'"),
        (HEADERS % 0, "not JSON: ''"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{", "not an HTTP answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not an HTTP answer"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", "not an HTTP answer"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000, "not an HTTP answer"),
        (HEADERS % 10**12 + b"{}", "more than the 1000 allowed"),
        (HEADERS % 1001 + b"x" * 1001, "more than the 1000 allowed"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 2000, "more than the 1000 bytes allowed"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" + b"x" * 2000, "more than the 1000 bytes"),
        (HEADERS % 40_000 + b"[" * 40_000, "more than the 1000"),
    ],
)
def test_content_that_is_none(server, answer, says):
    server.fault = raw(answer)
    error = failure(Endpoint(server.url, max_body=1000))
    assert error.kind == transport.CONTENT
    assert says in str(error)


def test_json_nested_without_end_is_refused(server):
    server.fault = raw(HEADERS % 400_000 + b"[" * 400_000)
    assert "not JSON" in str(failure(Endpoint(server.url)))


@pytest.mark.parametrize("status", [204, 206, 301, 403, 404, 429, 500, 503])
def test_every_other_status_is_an_error(server, status):
    server.respond = lambda _method, _path, _body: (status, b'{"code": 1, "message": "go away"}')
    error = failure(Endpoint(server.url))
    assert error.kind == transport.STATUS
    assert error.status == status
    assert f"HTTP status {status}" in str(error)


def test_an_error_shows_what_the_server_says(server):
    server.respond = lambda _method, _path, _body: (403, b"invalid host specified\n")
    assert "invalid host specified" in str(failure(Endpoint(server.url)))
    server.respond = lambda _method, _path, _body: (500, b'{"message": "no state"}')
    assert "no state" in str(failure(Endpoint(server.url)))


def test_a_server_that_hangs_up(server):
    server.fault = raw(b"")
    error = failure(Endpoint(server.url))
    assert error.kind == transport.NETWORK
    assert "closed connection without response" in str(error)


def test_a_connection_reset_is_named(server):
    def reset(handler):
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        handler.connection.close()
        handler.close_connection = True

    server.fault = reset
    assert failure(Endpoint(server.url)).kind in (transport.NETWORK, transport.CONTENT)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8545",
        "ftp://x",
        "http://",
        "http://user:secret@host",
        "http://h/?q=1",
        "http://h:99999",
        "http://h#f",
    ],
)
def test_urls_that_are_none_are_refused_without_showing_a_password(url):
    with pytest.raises(ValueError, match="URL") as refusal:
        Endpoint(url)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("value", "number"), [(5, 5), ("5", 5), ("0x1F", 31), ("0x0", 0), ("-1", -1), ("1" * 78, int("1" * 78))]
)
def test_numbers_as_clients_send_them(value, number):
    assert transport.to_int(value) == number


@pytest.mark.parametrize("value", [None, True, 1.5, "", "0x", "x", "1_0", " 1", "1e3", [], {}, "0x" + "f" * 65])
def test_what_is_no_number(value):
    with pytest.raises(ValueError, match="not an integer"):
        transport.to_int(value)


def test_no_thread_and_no_socket_is_left(server):
    endpoint = Endpoint(server.url)
    before = threading.active_count()
    get(endpoint)
    endpoint.close()
    assert threading.active_count() <= before + 1  # the server's own
