# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The protocol of Redis (RESP2) over TLS, for callers that must have an answer, or a reason, by a given moment.

A call has one deadline from connecting to the last byte. A server that is frozen still takes connections, as the kernel
does that for it; here that is a timeout like any other. No message holds a credential.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

MAX_BULK = 64 * 1024 * 1024
MAX_ITEMS = 1_000_000
Reply = t.Any


class RedisError(Exception):
    """The server's answer is an error."""


class Unreachable(Exception):
    """No answer in time, or none that can be read."""


@dataclass(frozen=True)
class Node:
    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True)
class Access:
    """As whom a client comes; without a context the connection is plain, as on a unix socket."""

    user: str = ""
    password: str = ""
    context: ssl.SSLContext | None = None

    def __repr__(self) -> str:
        return f"Access({self.user})"


def tls_context(ca: str, certificate: str = "", key: str = "") -> ssl.SSLContext:
    """Servers are checked against the site's CA and must have their address in their certificate."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate:
        context.load_cert_chain(certificate, key or None)
    return context


def read_password(path: str) -> str:
    return Path(path).read_text().rstrip("\n")


class Client:
    """One connection; a failure closes it, and the next call opens another."""

    def __init__(self, node: Node, access: Access, timeout: float = 2.0, path: str = "") -> None:
        self.node, self.access, self.timeout, self.path = node, access, timeout, path
        self._socket: socket.socket | None = None
        self._buffer = bytearray()
        self._deadline = 0.0

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
        self._socket = None
        self._buffer.clear()

    def call(self, *words: str | int, timeout: float | None = None) -> Reply:
        return self.calls([words], timeout)[0]

    def calls(self, commands: t.Sequence[t.Sequence[str | int]], timeout: float | None = None) -> list[Reply]:
        """Several commands in one round trip; the first error among the answers is raised."""
        self._deadline = time.monotonic() + (timeout or self.timeout)
        try:
            if self._socket is None:
                self._connect()
            replies = self._exchange(commands)
        except RedisError:
            self.close()
            raise
        except (OSError, ValueError) as error:
            self.close()
            raise Unreachable(f"{self.path or self.node}: {reason(error)}") from None
        for reply in replies:
            if isinstance(reply, RedisError):
                raise RedisError(f"{self.path or self.node}: {reply}")
        return replies

    def _connect(self) -> None:
        if self.path:
            plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            plain.settimeout(self._left())
            self._socket = plain
            plain.connect(self.path)
        else:
            plain = socket.create_connection((self.node.address, self.node.port), timeout=self._left())
            self._socket = plain
            if self.access.context is not None:
                plain.settimeout(self._left())
                self._socket = self.access.context.wrap_socket(plain, server_hostname=self.node.address)
        if self.access.user:
            answer = self._exchange([("AUTH", self.access.user, self.access.password)])[0]
            if isinstance(answer, RedisError):
                # the server's words may repeat what it was given
                raise RedisError(f"{self.path or self.node}: it does not let the user {self.access.user} in")

    def _exchange(self, commands: t.Sequence[t.Sequence[str | int]]) -> list[Reply]:
        self._connected().sendall(b"".join(encode(words) for words in commands))
        return [self._reply() for _command in commands]

    def _connected(self) -> socket.socket:
        """The connection, which has as long as the call has left."""
        if self._socket is None:
            raise ConnectionResetError
        self._socket.settimeout(self._left())
        return self._socket

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _more(self) -> None:
        data = self._connected().recv(65536)
        if not data:
            raise ConnectionResetError
        self._buffer += data

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > 65536:
                raise ValueError("a line without an end")
            self._more()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _reply(self) -> Reply:
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode(errors="replace")
        if kind == b"-":
            return RedisError(rest.decode(errors="replace"))
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return self._bulk(int(rest))
        if kind == b"*":
            count = int(rest)
            if count > MAX_ITEMS:
                raise ValueError("too many items")
            return None if count < 0 else [self._reply() for _item in range(count)]
        raise ValueError("not the protocol of Redis")

    def _bulk(self, size: int) -> str | None:
        if size < 0:
            return None
        if size > MAX_BULK:
            raise ValueError("an answer that is too long")
        while len(self._buffer) < size + 2:
            self._more()
        data = bytes(self._buffer[:size])
        del self._buffer[: size + 2]
        return data.decode(errors="surrogateescape")


def encode(words: t.Sequence[str | int]) -> bytes:
    parts = [f"*{len(words)}\r\n".encode()]
    for word in words:
        data = str(word).encode(errors="surrogateescape")
        parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(parts)


def reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"no TLS connection ({error.reason or 'closed'})"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):
        return error.strerror or "the connection was closed"
    return str(error)


def pairs(reply: Reply) -> dict[str, str]:
    """A flat list of names and values, as Sentinel and CONFIG GET answer."""
    return dict(zip(reply[::2], reply[1::2], strict=False)) if reply else {}


def info(text: str) -> dict[str, str]:
    """The answer of INFO."""
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line and not line.startswith("#"))
