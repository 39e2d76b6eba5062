# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Requests to an InfluxDB server. A password is read from its file for each client and appears in no message."""

from __future__ import annotations

import base64
import copy
import http.client
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NO_ADMIN = "create admin user first"


class InfluxError(Exception):
    """What the server answered (with which HTTP status, if it was one), or why it did not; never with a password."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class Unreachable(InfluxError):
    """No server answers at the URL."""


class Refused(InfluxError):
    """The server does not take this user and password."""


class NoAdmin(InfluxError):
    """Authentication is on and the server has no administrator yet."""


def read_password(path: str) -> str:
    """The first line of a file."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise InfluxError(f"the password file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InfluxError(f"the password file {path} is not UTF-8") from None
    password = text.split("\n", maxsplit=1)[0].rstrip("\r")
    if not password:
        raise InfluxError(f"the password file {path} is empty")
    return password


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


class Client:
    """A server, as one user sees it. Without a user, requests have no credentials."""

    def __init__(self, url: str, user: str = "", password_file: str = "", ca_path: str = "", timeout: float = 30):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise InfluxError("the URL must be http:// or https:// with a host, without user and password")
        self.url = url.rstrip("/")
        self.timeout = timeout
        self._headers = basic(user, read_password(password_file)) if user else {}
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if parts.scheme == "https":
            try:
                context = ssl.create_default_context(cafile=ca_path or None)
            except FileNotFoundError:
                raise Unreachable(f"there is no CA file {ca_path} to check {self.url} by") from None
            except (OSError, ssl.SSLError) as error:
                raise InfluxError(f"the CA file {ca_path} cannot be used: {error}") from None
            handlers.append(urllib.request.HTTPSHandler(context=context))
        self._opener = urllib.request.build_opener(*handlers)

    def as_user(self, user: str, password: str) -> Client:
        """The same server, as another user."""
        other = copy.copy(self)
        other._headers = basic(user, password) if user else {}
        return other

    def version(self) -> str:
        """What /ping says; it needs no user."""
        return str(self._open("GET", "/ping").headers.get("X-Influxdb-Version", ""))

    def query(self, *statements: str, database: str = "", post: bool = False) -> list[list[dict[str, Any]]]:
        """The series of each statement. What changes something must be sent with post."""
        wanted = {"q": "; ".join(statements)} | ({"db": database} if database else {})
        form = urllib.parse.urlencode(wanted).encode()
        # As the body also where GET would do: a query may be longer than a server takes in a URL.
        with self._open("POST", "/query", form, "application/x-www-form-urlencoded") as answer:
            found = self._json(answer)
        series = []
        for result in found.get("results") or []:
            if "error" in result:
                raise InfluxError(str(result["error"]))
            series.append(list(result.get("series") or []))
        if len(series) != len(statements) and not post:
            raise InfluxError(f"{len(statements)} statements were sent, {len(series)} were answered")
        return series

    def stream(self, statement: str, chunk_size: int = 10000) -> Iterator[dict[str, Any]]:
        """The series of one statement as they come, so that a large answer is never whole in memory."""
        wanted = {"q": statement, "chunked": "true", "chunk_size": str(chunk_size), "epoch": "ns"}
        form = urllib.parse.urlencode(wanted).encode()
        with self._open("POST", "/query", form, "application/x-www-form-urlencoded") as answer:
            try:
                for line in answer:
                    part = json.loads(line) if line.strip() else {}
                    for result in [part, *(part.get("results") or [])]:
                        if "error" in result:
                            raise InfluxError(str(result["error"]))
                        yield from result.get("series") or []
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise InfluxError(f"the answer broke off: {type(error).__name__}") from None

    def write(self, lines: bytes, database: str, policy: str = "", precision: str = "ns") -> None:
        """Points in line protocol."""
        wanted = {"db": database, "precision": precision} | ({"rp": policy} if policy else {})
        self._open("POST", "/write?" + urllib.parse.urlencode(wanted), lines, "text/plain; charset=utf-8").close()

    def _open(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> Any:
        headers = self._headers | ({"Content-Type": kind} if kind else {})
        request = urllib.request.Request(self.url + path, data=body, headers=headers, method=method)
        try:
            return self._opener.open(request, timeout=self.timeout)
        except urllib.error.HTTPError as error:
            text = self._error_of(error)
            if NO_ADMIN in text:
                raise NoAdmin(text) from None
            if error.code == 401:
                raise Refused(f"{text} (HTTP status 401)", 401) from None
            raise InfluxError(f"{text} (HTTP status {error.code})", error.code) from None
        except urllib.error.URLError as error:
            raise Unreachable(f"{self.url} does not answer: {error.reason}") from None
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{self.url} does not answer: {type(error).__name__}: {error}") from None

    @staticmethod
    def _error_of(error: urllib.error.HTTPError) -> str:
        try:
            return str(json.loads(error.read(65536))["error"])
        except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException):
            return "no reason is given"

    @staticmethod
    def _json(answer: Any) -> dict[str, Any]:
        try:
            found = json.loads(answer.read())
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise InfluxError(f"the answer is no JSON: {type(error).__name__}") from None
        if not isinstance(found, dict):
            raise InfluxError("the answer is no object")
        if "error" in found:
            raise InfluxError(str(found["error"]))
        return found
