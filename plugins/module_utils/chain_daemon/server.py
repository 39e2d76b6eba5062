# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The listening side: HTTP and HAProxy's agent protocol, in one thread that no client can hold up.

Every connection has a deadline from the moment it is accepted, answers are small and made from memory, and when there
are too many connections the oldest goes: a load balancer's check always gets through.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

MAX_CONNECTIONS = 128
MAX_HEAD, MAX_BODY = 8192, 4096
# seconds for a request to arrive and its answer to be taken; and for the other side to close after that
PATIENCE, LINGER = 3.0, 1.0

_IP_FREEBIND, _IPV6_FREEBIND = 15, 78  # linux/in.h, linux/in6.h
_REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class Request(NamedTuple):
    method: str
    path: str
    body: bytes
    peer: str

    @property
    def from_loopback(self) -> bool:
        return self.peer == "::1" or self.peer.removeprefix("::ffff:").startswith("127.")


class Response(NamedTuple):
    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


class RequestError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(eq=False, slots=True)
class _Connection:
    sock: socket.socket
    peer: str
    deadline: float
    agent: bool
    inbox: bytearray = field(default_factory=bytearray)
    outbox: bytes = b""
    answered: bool = False


def listen(address: str, port: int) -> socket.socket:
    """A listening socket, also on an address that the host does not have yet: it may come with the network, or move."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        sock.bind((address, port))
        sock.listen(MAX_CONNECTIONS)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"cannot listen on {address} port {port}: {error.strerror}") from None
    return sock


class Server(threading.Thread):
    """``http`` answers a request, ``agent`` gives the agent's line; both must return at once."""

    def __init__(
        self,
        http_sockets: list[socket.socket],
        agent_sockets: list[socket.socket],
        http: Callable[[Request], Response],
        agent: Callable[[], bytes],
    ) -> None:
        super().__init__(name="server", daemon=True)
        self.beat = time.monotonic()  # when the thread last came round
        self._http, self._agent = http, agent
        self._selector = selectors.DefaultSelector()
        self._connections: dict[_Connection, None] = {}  # in the order of their arrival
        for sock in http_sockets:
            self._selector.register(sock, selectors.EVENT_READ, False)
        for sock in agent_sockets:
            self._selector.register(sock, selectors.EVENT_READ, True)

    @property
    def connections(self) -> int:
        return len(self._connections)

    def run(self) -> None:
        while True:
            events = self._selector.select(0.5)
            self.beat = time.monotonic()
            for key, _mask in events:
                if isinstance(key.data, _Connection):
                    self._serve(key.data)
                else:
                    self._accept(key.fileobj, key.data)  # type: ignore[arg-type]  # listeners are sockets
            for connection in [c for c in self._connections if c.deadline <= self.beat]:
                self._close(connection)

    def _accept(self, listener: socket.socket, agent: bool) -> None:
        if len(self._connections) >= MAX_CONNECTIONS:
            self._close(next(iter(self._connections)))
        try:
            sock, address = listener.accept()
        except OSError:
            return
        sock.setblocking(False)
        connection = _Connection(sock, address[0], self.beat + PATIENCE, agent)
        self._connections[connection] = None
        self._selector.register(sock, selectors.EVENT_READ, connection)
        if agent:
            self._answer(connection, self._agent())

    def _serve(self, connection: _Connection) -> None:
        if connection not in self._connections:
            return
        try:
            if connection.outbox:
                self._write(connection)
            else:
                self._read(connection)
        except BlockingIOError:
            pass
        except OSError:
            self._close(connection)

    def _read(self, connection: _Connection) -> None:
        data = connection.sock.recv(16384)
        if not data:
            self._close(connection)
            return
        if connection.answered:
            return  # what comes after the answer is thrown away, as closing with it unread would reset the connection
        connection.inbox += data
        try:
            request = parse(connection.inbox, connection.peer)
        except RequestError as error:
            self._answer(connection, render(Response(error.status, f"{error}\n".encode())))
            return
        if request:
            self._answer(connection, render(self._http(request), head_only=request.method == "HEAD"))

    def _answer(self, connection: _Connection, data: bytes) -> None:
        connection.inbox.clear()
        connection.answered = True
        connection.outbox = data
        try:
            self._write(connection)
        except BlockingIOError:
            self._selector.modify(connection.sock, selectors.EVENT_WRITE, connection)
        except OSError:
            self._close(connection)

    def _write(self, connection: _Connection) -> None:
        while connection.outbox:
            sent = connection.sock.send(connection.outbox)
            connection.outbox = connection.outbox[sent:]
        connection.sock.shutdown(socket.SHUT_WR)
        connection.deadline = min(connection.deadline, self.beat + LINGER)
        self._selector.modify(connection.sock, selectors.EVENT_READ, connection)

    def _close(self, connection: _Connection) -> None:
        if self._connections.pop(connection, 0) == 0:
            return
        self._selector.unregister(connection.sock)
        connection.sock.close()


def parse(data: bytearray, peer: str) -> Request | None:
    """The request in what has arrived; None while it is not whole."""
    head, separator, rest = bytes(data).partition(b"\r\n\r\n")
    if not separator:
        if len(data) > MAX_HEAD:
            raise RequestError(431, "the request's headers are too long")
        return None
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise RequestError(400, "not an HTTP/1 request")
    length = 0
    for line in lines[1:]:
        name, _colon, value = line.partition(":")
        if name.lower() == "content-length":
            if not value.strip().isdigit():
                raise RequestError(400, "the content's length is no number")
            length = int(value)
        elif name.lower() == "transfer-encoding":
            raise RequestError(400, "bodies in chunks are not read here")
    if length > MAX_BODY:
        raise RequestError(413, f"the body has more than {MAX_BODY} bytes")
    if len(rest) < length:
        return None
    return Request(words[0], words[1].partition("?")[0], rest[:length], peer)


def render(response: Response, head_only: bool = False) -> bytes:
    head = (
        f"HTTP/1.1 {response.status} {_REASONS.get(response.status, 'Unknown')}\r\n"
        f"Content-Type: {response.content_type}\r\n"
        f"Content-Length: {len(response.body)}\r\n"
        "Cache-Control: no-store\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + (b"" if head_only else response.body)
