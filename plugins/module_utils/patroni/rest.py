# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Patroni's REST API over TLS, with the certificate of this host."""

from __future__ import annotations

import http.client
import json
import ssl
import time
import typing as t

MEBIBYTE = 1 << 20
KEPT = ("pause",)  # what an operator sets by hand with patronictl, and no playbook undoes


class RestError(Exception):
    """Patroni does not answer, or refuses."""


class Rest:
    """One member's API. Every request shows the certificate; Patroni wants it for those that change something."""

    def __init__(self, host: str, port: int, *, ca: str, cert: str, key: str, timeout: float = 10) -> None:
        self.host, self.port, self.timeout = host, port, timeout
        self.where = f"https://{f'[{host}]' if ':' in host else host}:{port}"
        try:
            self.context = ssl.create_default_context(cafile=ca)
            self.context.load_cert_chain(cert, key)
        except (OSError, ssl.SSLError) as error:
            raise RestError(f"certificate {cert}, key {key} or CA {ca} cannot be read: {error}") from None

    def request(self, method: str, path: str, body: t.Any = None, timeout: float | None = None) -> tuple[int, str]:
        """Status and text of the answer."""
        connection = http.client.HTTPSConnection(
            self.host, self.port, timeout=timeout or self.timeout, context=self.context
        )
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"} if text else {})
            answer = connection.getresponse()
            return answer.status, answer.read(1 << 22).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            raise RestError(f"{method} {self.where}{path}: {error or type(error).__name__}") from None
        finally:
            connection.close()

    def read(self, path: str, good: tuple[int, ...] = (200,)) -> dict[str, t.Any]:
        """A JSON object."""
        status, text = self.request("GET", path)
        if status not in good:
            raise RestError(f"GET {self.where}{path} is answered with status {status}: {text[:200].strip()}")
        return self.parsed(path, text)

    def change(self, method: str, path: str, body: t.Any, timeout: float | None = None) -> str:
        """The answer's text; whatever is not 200 or 202 is an error."""
        status, text = self.request(method, path, body, timeout)
        if status not in (200, 202):
            raise RestError(f"{method} {self.where}{path} is answered with status {status}: {text[:300].strip()}")
        return text

    def member(self) -> dict[str, t.Any]:
        """What this member says of itself; it answers 503 while PostgreSQL does not run."""
        return self.read("/patroni", (200, 503))

    def cluster(self) -> dict[str, t.Any]:
        found = self.read("/cluster")
        if not isinstance(found.get("members"), list):
            raise RestError(f"GET {self.where}/cluster names no members")
        return found

    def config(self) -> dict[str, t.Any]:
        return self.read("/config")

    def parsed(self, path: str, text: str) -> dict[str, t.Any]:
        try:
            found = json.loads(text)
        except ValueError:
            raise RestError(f"GET {self.where}{path} is answered with something that is no JSON") from None
        if not isinstance(found, dict):
            raise RestError(f"GET {self.where}{path} is answered with something that is no object")
        return found


def patch(found: dict[str, t.Any], wanted: dict[str, t.Any], kept: tuple[str, ...] = KEPT) -> dict[str, t.Any]:
    """What PATCH /config needs to turn one into the other: null removes a key."""
    change: dict[str, t.Any] = {}
    for key, value in wanted.items():
        known = found.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            inner = patch(known, value, ())
            if inner:
                change[key] = inner
        elif key not in found or not same(known, value):
            change[key] = value
    for key in found:
        if key not in wanted and key not in kept:
            change[key] = None
    return change


def same(found: t.Any, wanted: t.Any) -> bool:
    """Equal, with 1 and true told apart."""
    return type(found) is type(wanted) and found == wanted


def eventually(
    question: t.Callable[[], t.Any],
    timeout: float,
    interval: float = 0.5,
    clock: t.Callable[[], float] = time.monotonic,
) -> tuple[t.Any, str]:
    """The first answer that is true, or the last one and why: a RestError meanwhile counts as no answer yet."""
    until = clock() + timeout
    while True:
        found, trouble = None, ""
        try:
            found = question()
        except RestError as error:
            trouble = str(error)
        if found or clock() >= until:
            return found, trouble
        time.sleep(interval)
