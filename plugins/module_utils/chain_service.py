# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Talks to the chain_health daemon of this host: what it says of its pair, and its drain."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any

INTERVAL = 0.25


class NoDaemon(Exception):
    """The daemon does not answer, or not as it should."""


def ask(port: int, method: str, path: str, body: dict[str, str] | None = None) -> dict[str, Any]:
    """The daemon's status, which it answers to every request about it."""
    status = fetch(port, method, path, body)
    if "in_service" not in status:
        raise NoDaemon(f"its answer to {method} {path} is no status")
    return status


def remembered(port: int) -> dict[str, Any]:
    """The daemon's memory of the last hours; empty where it has none."""
    try:
        return fetch(port, "GET", "/history")
    except NoDaemon:
        return {}


def fetch(port: int, method: str, path: str, body: dict[str, str] | None = None) -> dict[str, Any]:
    """A JSON object that the daemon answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        answer = connection.getresponse()
        text = answer.read(1 << 20)
        if answer.status != 200:
            raise NoDaemon(f"it answers {method} {path} with HTTP status {answer.status}")
        found = json.loads(text)
        if not isinstance(found, dict):
            raise NoDaemon(f"its answer to {method} {path} is no object")
        return found
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoDaemon(str(error)) from None
    finally:
        connection.close()


def settled(status: dict[str, Any], drained: bool) -> bool:
    return not status["in_service"] if drained else bool(status["in_service"])


def wait(port: int, status: dict[str, Any], drained: bool, timeout: int) -> dict[str, Any]:
    """The status once the pair is out (or in) service, or when the time is over."""
    until = time.monotonic() + timeout
    while not settled(status, drained) and time.monotonic() < until:
        time.sleep(INTERVAL)
        status = ask(port, "GET", "/status")
    return status
