# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which forks execution clients know of, as they say by eth_config (EIP-7910), and whether they agree."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from .chain.jsonrpc import ExecutionClient, HttpRpc, RpcError
from .chain.transport import EndpointError, to_int

METHOD_NOT_FOUND = -32601


@dataclass(frozen=True, slots=True)
class Fork:
    """One fork with what a block's validity depends on."""

    fork_id: str
    activation_time: int
    chain_id: int
    blob_schedule: str  # JSON with sorted keys

    def __str__(self) -> str:
        when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(self.activation_time))
        return f"{self.fork_id} ({when if self.activation_time else 'from genesis on'})"

    def as_dict(self) -> dict[str, Any]:
        return {
            "fork_id": self.fork_id,
            "activation_time": self.activation_time,
            "chain_id": self.chain_id,
            "blob_schedule": json.loads(self.blob_schedule),
        }


def parse_fork(value: Any) -> Fork | None:
    if value is None:
        return None
    try:
        fork_id = value["forkId"]
        if not isinstance(fork_id, str) or not fork_id.startswith("0x"):
            raise ValueError(f"its forkId is {fork_id!r:.80}")
        blobs = json.dumps(value.get("blobSchedule"), sort_keys=True)
        return Fork(fork_id.lower(), to_int(value["activationTime"]), to_int(value["chainId"]), blobs)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a fork: {error!r:.80}") from None


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What one client answered. ``error`` says why there is nothing; ``unsupported`` that it has no eth_config."""

    name: str
    current: Fork | None = None
    next: Fork | None = None
    error: str = ""
    unsupported: bool = False

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "current": self.current.as_dict() if self.current else None,
            "next": self.next.as_dict() if self.next else None,
            "error": self.error,
        }


def ask(name: str, url: str, ca_path: str | None, timeout: float) -> Knowledge:
    """What the client at this URL knows."""
    try:
        client = ExecutionClient(HttpRpc(url, ca_path=ca_path))
    except (ValueError, OSError) as error:
        return Knowledge(name, error=str(error))
    try:
        answer = client.call("eth_config", timeout=timeout)
        if not isinstance(answer, dict) or answer.get("current") is None:
            return Knowledge(name, error=f"{url}: eth_config was answered with {answer!r:.80}")
        return Knowledge(name, parse_fork(answer["current"]), parse_fork(answer.get("next")))
    except RpcError as error:
        return Knowledge(name, error=str(error), unsupported=error.code == METHOD_NOT_FOUND)
    except (EndpointError, ValueError) as error:
        return Knowledge(name, error=str(error) if url in str(error) else f"{url}: {error}")
    finally:
        client.close()


def ask_all(pairs: list[dict[str, str]], ca_path: str | None, timeout: float) -> list[Knowledge]:
    """All at once, in the order given; one that hangs costs the others nothing."""
    found: dict[str, Knowledge] = {}

    def work(pair: dict[str, str]) -> None:
        found[pair["name"]] = ask(pair["name"], pair["execution_url"], ca_path, timeout)

    threads = [threading.Thread(target=work, args=(pair,), daemon=True) for pair in pairs]
    for thread in threads:
        thread.start()
    until = time.monotonic() + timeout + 0.5
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    late = "no answer in the time given"
    return [
        found.get(pair["name"]) or Knowledge(pair["name"], error=f"{pair['execution_url']}: {late}") for pair in pairs
    ]


def conflicts(known: list[Knowledge], subject: str = "") -> list[str]:
    """Why these clients will not stay on one chain, one sentence each.

    With a ``subject``, the client just upgraded, only what concerns it. It has to answer and may know of a next fork
    that others have yet to learn of, which is what upgrades are for; not know of one that another does is a fault.
    """
    found = []
    answered = [each for each in known if not each.error]
    if not subject:
        found += [
            f"{each.name} does not tell its forks: {each.error}"
            for each in known
            if each.error and not each.unsupported
        ]
        for one, other in pairwise(answered):
            found += _differ(one, other)
        for one, other in pairwise(each for each in answered if each.next):
            if one.current == other.current and one.next != other.next:
                found.append(f"{one.name} knows {one.next} as the next fork, {other.name} knows {other.next}")
        return found
    own = next(each for each in known if each.name == subject)
    if own.error:
        return [f"{subject} does not tell its forks: {own.error}"]
    for other in answered:
        if other is own:
            continue
        found += _differ(own, other)
        if other.next and own.next != other.next and own.current == other.current:
            mine = f"{own.next}" if own.next else "none"
            found.append(f"{other.name} knows {other.next} as the next fork, {subject} knows {mine}")
    return found


def _differ(one: Knowledge, other: Knowledge) -> list[str]:
    if one.current == other.current:
        return []
    if one.current and other.current and one.current.fork_id == other.current.fork_id:
        rules = f"current fork {one.current}: activation time, chain id or blob schedule"
        return [f"{one.name} and {other.name} have different rules for the {rules}"]
    return [f"{one.name} is at fork {one.current}, {other.name} at {other.current}"]


def warnings(known: list[Knowledge], now: float) -> list[str]:
    """What stops nothing, and ends badly when it is forgotten."""
    found = [f"{each.name} is too old to tell its forks (no eth_config)" for each in known if each.unsupported]
    coming = [each.next for each in known if each.next]
    behind = [each.name for each in known if not each.error and not each.next]
    if coming and behind:
        first = min(coming, key=lambda fork: fork.activation_time)
        days = (first.activation_time - now) / 86400
        found.append(
            f"{', '.join(behind)} would leave the chain at the fork {first}, in {days:.1f} days: upgrade before"
        )
    return found
