# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Remembers for other regions who holds their address.

In memory only: after a restart it knows again in a tenth of a second.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from .decide import CLAIM


@dataclass
class Held:
    """A claim as it was renewed last."""

    holder: str
    at: float
    priority: int


class Arbiter:
    """Claims by address. The first to claim keeps it for as long as it renews its claim."""

    def __init__(self, members: dict[str, dict[str, str]]) -> None:
        self._members = members
        """By address's name: its balancers' names and network addresses. Nobody else is answered."""
        self._held: dict[str, Held] = {}
        self._tokens: dict[str, str] = {}

    def answer(self, message: dict[str, Any], source: str, now: float) -> dict[str, Any] | None:
        """The answer to a claim or a question, or None when it is not to be answered.

        A claim counts only with the token of the last answer: whoever forges a balancer's address does not get it.
        """
        name, sender = message.get("vip"), message.get("from")
        if (
            not isinstance(name, str)
            or not isinstance(sender, str)
            or self._members.get(name, {}).get(sender) != source
        ):
            return None
        held = self._held.get(name)
        if held is not None and now - held.at > CLAIM:
            held = None
        token = self._tokens.setdefault(source, secrets.token_hex(8))
        if message.get("token") == token:
            if message.get("kind") == "claim" and (held is None or held.holder == sender):
                priority = message.get("priority")
                held = self._held[name] = Held(sender, now, priority if isinstance(priority, int) else 0)
            if message.get("kind") == "release" and held is not None and held.holder == sender:
                del self._held[name]
                held = None
        answer: dict[str, Any] = {"kind": "answer", "vip": name, "number": message.get("number"), "token": token}
        if held is not None:
            answer |= {"holder": held.holder, "age": round(now - held.at, 3), "priority": held.priority}
        return answer
