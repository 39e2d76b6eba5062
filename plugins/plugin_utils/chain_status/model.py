# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a report says of each pair, drawn from what its daemon told, or from the fact that nobody told anything."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# the order in which a reader wants to see pairs: what hurts comes first
_ROLES = {"primary": 0, "standby": 1, "reference": 2}


@dataclass
class Disk:
    path: str
    free_bytes: int | None
    min_free_bytes: int

    def __str__(self) -> str:
        return "unreadable" if self.free_bytes is None else f"{self.free_bytes / 1e9:.1f} GB"

    @property
    def low(self) -> bool:
        return self.free_bytes is None or self.free_bytes < self.min_free_bytes


@dataclass
class Pair:
    """``asked`` is false where the host itself was not reached. Everything unknown is None, or empty."""

    name: str
    role: str = ""
    region: str = ""
    asked: bool = False
    in_service: bool = False
    state: str = "unknown"
    reason: str = ""
    drain: dict[str, Any] | None = None
    head: int | None = None
    age_seconds: float | None = None
    lag_blocks: int | None = None
    peers: tuple[int | None, int | None] = (None, None)
    versions: tuple[str, str] = ("", "")
    disks: list[Disk] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    policy: dict[str, Any] = field(default_factory=dict)
    point_seconds: float = 10.0
    points: list[tuple[float, float | None, float | None, bool]] = field(default_factory=list)

    @property
    def service(self) -> str:
        """In a word, as a person asks for it."""
        if not self.asked:
            return "unreachable"
        if self.drain:
            return "drained"
        return "in service" if self.in_service else "OUT"

    @property
    def max_age(self) -> float | None:
        """Seconds from which the policy calls its head stale."""
        try:
            return float(self.policy["max_age_slots"]) * float(self.policy["slot_seconds"])
        except (KeyError, TypeError, ValueError):
            return None

    @property
    def drained_by(self) -> str:
        if not self.drain:
            return ""
        since = clock(number(self.drain.get("since")))
        return f"drained by {self.drain.get('who', 'somebody')} since {since}: {self.drain.get('reason', '')}"


def clock(at: float | None) -> str:
    return "-" if at is None else time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))


def number(value: Any) -> float | None:
    return None if isinstance(value, bool) or not isinstance(value, (int, float)) else float(value)


def whole(value: Any) -> int | None:
    found = number(value)
    return None if found is None else int(found)


def short_version(text: Any) -> str:
    """ "Geth/v1.17.6-stable/linux-amd64/go1.26.8" is "Geth 1.17.6"; what is no such thing stays as it is."""
    found = re.match(r"(?P<name>[A-Za-z-]+)/v?(?P<version>[0-9][0-9A-Za-z.]*)", str(text or ""))
    return f"{found['name']} {found['version']}" if found else str(text or "")[:40]


def short_hashes(text: Any) -> str:
    """A hash in a sentence needs to be recognised only."""
    return re.sub(r"\b(0x[0-9a-f]{6})[0-9a-f]{52,}([0-9a-f]{4})\b", r"\1…\2", str(text))


def pairs_of(hosts: list[str], hostvars: Mapping[str, Any], register: str) -> list[Pair]:
    """A pair for each host: the primaries first, references last."""
    found = []
    for host in hosts:
        known = hostvars[host]
        pair = Pair(str(host), str(known.get("site_role") or ""), str(known.get("site_region") or ""))
        answer = known.get(register)
        if not isinstance(answer, Mapping) or answer.get("unreachable"):
            pair.reason = "the host is not reached by ssh"
            text = answer.get("msg") if isinstance(answer, Mapping) else None
            if text:
                pair.reason += f": {' '.join(str(text).split())[:200]}"
        elif answer.get("failed"):
            pair.reason = f"it could not be asked: {' '.join(str(answer.get('msg')).split())[:200]}"
        else:
            read(pair, answer)
        found.append(pair)
    return sorted(found, key=lambda pair: (_ROLES.get(pair.role, 9), pair.name))


def read(pair: Pair, answer: Mapping[str, Any]) -> None:
    """Fill in what chain_service_info returned."""
    status = answer.get("status") or {}
    execution, consensus = status.get("execution") or {}, status.get("consensus") or {}
    head = execution.get("latest") or {}
    pair.asked = True
    pair.in_service = bool(answer.get("in_service"))
    pair.state = str(answer.get("verdict") or "unknown")
    pair.drain = dict(status["drain"]) if status.get("drain") else None
    pair.findings = [short_hashes(finding.get("text", "")) for finding in status.get("reasons") or []]
    pair.reason = short_hashes(status.get("obstacle") or (pair.findings or [answer.get("reason") or ""])[0])
    pair.reason = pair.drained_by or pair.reason
    if pair.reason == pair.state:
        pair.reason = ""
    pair.head, pair.age_seconds = whole(head.get("number")), number(head.get("age_seconds"))
    pair.lag_blocks = whole(status.get("lag_blocks"))
    pair.peers = (whole(execution.get("peers")), whole(consensus.get("peers")))
    pair.versions = (short_version(execution.get("version")), short_version(consensus.get("version")))
    pair.disks = [
        Disk(str(disk.get("path")), whole(disk.get("free_bytes")), whole(disk.get("min_free_bytes")) or 0)
        for disk in status.get("disks") or []
    ]
    pair.policy = dict(status.get("policy") or {})
    history = answer.get("history") or {}
    pair.point_seconds = number(history.get("point_seconds")) or 10.0
    pair.points = [
        (float(row[0]), number(row[1]), number(row[2]), bool(row[3]))
        for row in history.get("points") or []
        if len(row) >= 4 and number(row[0]) is not None
    ]
