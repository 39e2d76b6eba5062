"""A small HTTP/1.1 client for load: one request at a time on a connection, nothing retried, every failure told apart.

General clients repeat a request that died with its connection, and cost several times the CPU; a load generator must
do neither.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from dataclasses import dataclass
from urllib.parse import urlsplit


class RequestFailed(Exception):
    """No whole answer. ``begun`` tells whether its first byte had come."""

    def __init__(self, reason: str, begun: bool = False) -> None:
        super().__init__(reason)
        self.begun = begun


@dataclass(slots=True)
class Answer:
    """An HTTP answer; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection(asyncio.Protocol):
    """One connection, used by one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.open = False
        self._waiting: asyncio.Future[Answer] | None = None
        self._received = bytearray()
        self._head: tuple[int, dict[str, str]] | None = None
        self._body_at = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.open = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        waiting = self._waiting
        if waiting is None or waiting.done():
            return
        if self._head and "content-length" not in self._head[1] and "transfer-encoding" not in self._head[1]:
            self._finish(bytes(self._received[self._body_at :]))
            return
        reason = f"connection closed: {exc}" if exc else "connection closed"
        waiting.set_exception(RequestFailed(reason, begun=bool(self._received)))

    def send(self, request: bytes) -> asyncio.Future[Answer]:
        """Send one request and return the future of its answer."""
        assert self.transport is not None
        self._received.clear()
        self._head = None
        self._waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._waiting

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    @property
    def begun(self) -> bool:
        """Whether any of the answer has come."""
        return bool(self._received)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._waiting is None or self._waiting.done():
            return
        if self._head is None:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            try:
                self._head = _parse_head(bytes(self._received[:end]))
            except ValueError as error:
                self._waiting.set_exception(RequestFailed(f"unreadable answer: {error}", begun=True))
                return
            self._body_at = end + 4
        headers = self._head[1]
        if "content-length" in headers:
            length = int(headers["content-length"])
            if len(self._received) - self._body_at >= length:
                self._finish(bytes(self._received[self._body_at : self._body_at + length]))
        elif headers.get("transfer-encoding") == "chunked" and self._received.endswith(b"0\r\n\r\n"):
            body = _join_chunks(bytes(self._received[self._body_at :]))
            if body is not None:
                self._finish(body)

    def _finish(self, body: bytes) -> None:
        assert self._head is not None
        assert self._waiting is not None
        status, headers = self._head
        if headers.get("connection") == "close":
            self.open = False
        self._waiting.set_result(Answer(status, headers, body))


def _parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    version, status, *_dummy = first.split(" ", 2)
    if not version.startswith("HTTP/1."):
        raise ValueError(first[:40])
    headers = {}
    for line in lines:
        name, _dummy, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return int(status), headers


def _join_chunks(data: bytes) -> bytes | None:
    """The chunks' content, or None while the last one has not come."""
    body, at = b"", 0
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            return None
        length = int(data[at:end].split(b";")[0], 16)
        if length == 0:
            return body
        if len(data) < end + 2 + length + 2:
            return None
        body += data[end + 2 : end + 2 + length]
        at = end + 2 + length + 2


class Client:
    """Posts bodies to one URL, over a pool of kept connections or a new one each time."""

    def __init__(self, url: str, verify: bool = True) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url} is not an http:// or https:// URL")
        self.url = url
        self.host = parts.hostname
        self.port = parts.port or (443 if parts.scheme == "https" else 80)
        self.tls: ssl.SSLContext | None = None
        if parts.scheme == "https":
            self.tls = ssl.create_default_context()
            if not verify:
                self.tls.check_hostname = False
                self.tls.verify_mode = ssl.CERT_NONE
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._start = f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        self._idle: deque[Connection] = deque()

    async def post(
        self, body: bytes, timeout: float, fresh: bool = False, connect_timeout: float | None = None
    ) -> Answer:
        """One request. ``fresh`` opens a connection for it and closes it after; raises RequestFailed."""
        connection: Connection | None = None
        try:
            async with asyncio.timeout(timeout):
                connection = None if fresh else self._kept()
                if connection is None:
                    async with asyncio.timeout(connect_timeout):
                        loop = asyncio.get_running_loop()
                        made = await loop.create_connection(Connection, self.host, self.port, ssl=self.tls)
                    connection = made[1]
                close = "Connection: close\r\n" if fresh else ""
                answer = await connection.send(
                    f"{self._start}{close}Content-Length: {len(body)}\r\n\r\n".encode() + body
                )
        except TimeoutError:
            if connection is None:
                raise RequestFailed("no connection in time") from None
            connection.close()
            raise RequestFailed(f"no answer in {timeout:g} s", connection.begun) from None
        except OSError as error:
            raise RequestFailed(f"cannot connect: {error.strerror or error}") from None
        except RequestFailed:
            if connection:
                connection.close()
            raise
        if fresh or not connection.open:
            connection.close()
        else:
            self._idle.append(connection)
        return answer

    def _kept(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.open and connection.transport is not None and not connection.transport.is_closing():
                return connection
        return None

    def close(self) -> None:
        for connection in self._idle:
            connection.close()
        self._idle.clear()
