# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""HTTP towards one client of a chain, for callers that must have an answer, or a reason, by a given moment.

A socket's timeout restarts with every byte, so that an endpoint which drips bytes can hold a caller for ever. Here a
request has one deadline from connecting to the last byte. Bodies are bounded, connections are kept for the next
request, and every failure is an EndpointError that names the endpoint and says what happened.

Not bounded by the deadline is the resolution of a host's name, for which the standard library has no time limit:
whoever must not wait for it runs requests in a thread of its own.
"""

from __future__ import annotations

import http.client
import io
import json
import re
import socket
import time
from typing import Any
from urllib.parse import urlsplit

MAX_BODY = 8 * 1024 * 1024

# no chain has a number of more than 256 bits
_DECIMAL = re.compile(r"-?[0-9]{1,78}")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]{1,64}")

# what a request failed of; callers decide by it, people read the message
REFUSED, TIMEOUT, NETWORK, STATUS, CONTENT = "refused", "timeout", "network", "status", "content"


class EndpointError(Exception):
    """One request failed; the text names the endpoint. ``kind`` is one of the constants of this module."""

    def __init__(self, endpoint: str, message: str, kind: str, status: int | None = None) -> None:
        super().__init__(f"{endpoint}: {message}")
        self.endpoint = endpoint
        self.kind = kind
        self.status = status


class _TimedStream(io.RawIOBase):
    """The receiving side of a TimedSocket."""

    def __init__(self, owner: TimedSocket, raw: io.RawIOBase) -> None:
        self._owner = owner
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._owner.arm()
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class TimedSocket:
    """A connected socket of which every operation ends at one moment; as much of a socket as http.client uses."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self.sock = sock
        self.deadline = deadline

    def arm(self) -> None:
        self.sock.settimeout(remaining(self.deadline))

    def sendall(self, data: Any) -> None:
        self.arm()
        self.sock.sendall(data)  # its timeout covers the whole of the data

    def makefile(self, _mode: str, *_args: Any) -> io.BufferedReader:
        return io.BufferedReader(_TimedStream(self, self.sock.makefile("rb", buffering=0)))

    def close(self) -> None:
        self.sock.close()


def remaining(deadline: float) -> float:
    """Seconds left; TimeoutError when there are none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def connect(host: str, port: int, deadline: float) -> socket.socket:
    """A TCP connection to the first address that accepts one; all addresses together have until the deadline."""
    failure: OSError | None = None
    for family, kind, protocol, _name, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(remaining(deadline))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        except OSError as error:
            sock.close()
            failure = error
    raise failure or OSError(f"no address for {host}")


class _Connection(http.client.HTTPConnection):
    """http.client's connection over a TimedSocket, plain or with TLS."""

    def __init__(self, host: str, port: int, context: Any) -> None:
        super().__init__(host, port)
        if context:
            self.default_port = 443  # which then is left out of the Host header
        self.deadline = 0.0
        self.context = context

    def connect(self) -> None:
        sock = connect(self.host, self.port, self.deadline)
        if self.context:
            try:
                sock.settimeout(remaining(self.deadline))
                sock = self.context.wrap_socket(sock, server_hostname=self.host)
            except OSError:
                sock.close()
                raise
        self.sock: Any = TimedSocket(sock, self.deadline)

    def give_until(self, deadline: float) -> None:
        self.deadline = deadline
        if self.sock is not None:
            self.sock.deadline = deadline


class Endpoint:
    """One base URL with one kept connection; for use by one thread at a time."""

    def __init__(self, url: str, *, ca_path: str | None = None, max_body: int = MAX_BODY) -> None:
        parts = urlsplit(url)
        problem = None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            problem = "is not http://host:port or https://host:port"
        elif parts.username or parts.password:
            problem = "holds a user or password, which would show in messages and metrics"
        elif parts.query or parts.fragment:
            problem = "has a query or a fragment"
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError as error:
            problem = str(error)
        if problem:
            raise ValueError(f"URL {parts.scheme}://{parts.hostname or ''}: {problem}")
        self.url = url.rstrip("/")
        self._prefix = parts.path.rstrip("/")
        self._max_body = max_body
        context = None
        if parts.scheme == "https":
            # costs 3 MB of memory, which most endpoints do not need
            import ssl  # noqa: PLC0415  (only where it is used, for the same reason)

            context = ssl.create_default_context(cafile=ca_path)
        self._connection = _Connection(parts.hostname or "", port, context)

    def __str__(self) -> str:
        return self.url

    def close(self) -> None:
        self._connection.close()

    def request(
        self, method: str, path: str, body: bytes | None = None, *, deadline: float, accept: tuple[int, ...] = (200,)
    ) -> tuple[int, bytes]:
        """Status and body; EndpointError for anything but a whole answer, in time, with a status in ``accept``.

        A kept connection that turns out to be closed by the other side is replaced once: servers drop idle ones.
        """
        where = f"{method} {self.url}{path}"
        kept = self._connection.sock is not None
        try:
            try:
                response = self._send(method, path, body, deadline)
            except (ConnectionError, http.client.BadStatusLine) as error:
                if not kept or isinstance(error, ConnectionRefusedError):
                    raise
                self.close()
                response = self._send(method, path, body, deadline)
            status, data = response.status, self._read(response)
        except TimeoutError:
            self.close()
            raise EndpointError(where, "no whole answer in the time given", TIMEOUT) from None
        except ConnectionRefusedError:
            self.close()
            raise EndpointError(where, "connection refused: nothing listens there", REFUSED) from None
        except socket.gaierror as error:
            self.close()
            raise EndpointError(where, f"the host's name does not resolve ({error.strerror})", NETWORK) from None
        except OSError as error:
            self.close()
            raise EndpointError(where, error.strerror or str(error), NETWORK) from None
        except http.client.HTTPException as error:
            self.close()
            raise EndpointError(where, f"not an HTTP answer: {error!r:.120}", CONTENT) from None
        except ValueError as error:
            self.close()
            raise EndpointError(where, str(error), CONTENT) from None
        if status not in accept:
            raise EndpointError(where, f"HTTP status {status}{_explanation(data)}", STATUS, status)
        return status, data

    def _send(self, method: str, path: str, body: bytes | None, deadline: float) -> http.client.HTTPResponse:
        self._connection.give_until(deadline)
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        self._connection.request(method, self._prefix + path or "/", body, headers)
        return self._connection.getresponse()

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        declared = response.length
        if declared is not None and declared > self._max_body:
            raise ValueError(f"the answer has {declared} bytes, more than the {self._max_body} allowed")
        data = response.read(self._max_body + 1)
        if len(data) > self._max_body:
            raise ValueError(f"the answer has more than the {self._max_body} bytes allowed")
        if declared is not None and len(data) < declared:
            raise ValueError(f"the answer was cut off after {len(data)} of {declared} bytes")
        return data

    def json(
        self, method: str, path: str, body: Any = None, *, deadline: float, accept: tuple[int, ...] = (200,)
    ) -> Any:
        """The decoded body."""
        raw = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        _status, data = self.request(method, path, raw, deadline=deadline, accept=accept)
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            raise EndpointError(f"{method} {self.url}{path}", f"not JSON: {_excerpt(data)}", CONTENT) from None


def _excerpt(data: bytes) -> str:
    text = data[:80].decode("utf-8", "replace")
    return repr(text + "…") if len(data) > 80 else repr(text)


def _explanation(data: bytes) -> str:
    """What the body of an error says, where it says something: a Beacon API's message, or its first characters."""
    if not data.strip():
        return ""
    try:
        message = json.loads(data)["message"]
    except (ValueError, TypeError, LookupError, RecursionError):
        return f", {_excerpt(data)}"
    return f", {message!r:.200}"


def to_int(value: Any) -> int:
    """A number as clients send it: an integer, a string of decimal digits, or hexadecimal with 0x."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        if _DECIMAL.fullmatch(value):
            return int(value)
        if _HEXADECIMAL.fullmatch(value):
            return int(value, 16)
    raise ValueError(f"{value!r:.80} is not an integer")
