# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a service answers: one attempt, and what it met."""

from __future__ import annotations

import dataclasses
import http.client
import socket
import urllib.parse

# One attempt; a service that takes longer to answer is asked again.
ATTEMPT_SECONDS = 2.0


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """Where a service answers when it is ready: TCP takes a connection, HTTP gives one of the statuses."""

    host: str
    port: int
    url: str = ""
    status: tuple[int, ...] = (200,)

    @classmethod
    def parse(cls, tcp: str | None, http_url: str | None, status: list[int]) -> Endpoint:
        """From the module's option C(ready); ValueError says what is wrong with it."""
        if http_url:
            parts = urllib.parse.urlsplit(http_url)
            if parts.scheme != "http" or not parts.hostname:
                raise ValueError(f"ready.http = {http_url}: must be an http:// URL (for TLS, use ready.tcp)")
            return cls(parts.hostname, parts.port or 80, http_url, tuple(status))
        parts = urllib.parse.urlsplit(f"//{tcp}")
        try:
            port = parts.port
        except ValueError:
            port = None
        if not parts.hostname or not port or parts.path:
            raise ValueError(
                f'ready.tcp = {tcp}: must be an address and a port, such as "127.0.0.1:8545" or "[::1]:8545"'
            )
        return cls(parts.hostname, port)

    def __str__(self) -> str:
        if self.url:
            return self.url
        return f"tcp {f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def attempt(self) -> str:
        """Why it is not ready, or nothing."""
        try:
            return self._get() if self.url else self._connect()
        except TimeoutError:
            return f"no answer within {ATTEMPT_SECONDS:.0f} s"
        except OSError as error:
            return (error.strerror or str(error)).lower()
        except http.client.HTTPException as error:
            return f"not HTTP: {type(error).__name__}"

    def _connect(self) -> str:
        with socket.create_connection((self.host, self.port), ATTEMPT_SECONDS):
            return ""

    def _get(self) -> str:
        parts = urllib.parse.urlsplit(self.url)
        connection = http.client.HTTPConnection(self.host, self.port, timeout=ATTEMPT_SECONDS)
        try:
            connection.request("GET", urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, "")))
            status = connection.getresponse().status
        finally:
            connection.close()
        wanted = " or ".join(str(value) for value in self.status)
        return "" if status in self.status else f"status {status} instead of {wanted}"
