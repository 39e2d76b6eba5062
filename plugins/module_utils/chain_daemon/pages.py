# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is answered to whom: load balancers, people, Prometheus. Pure: from a snapshot and a drain to text."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from ..chain.health import STATES, Finding
from ..chain.jsonrpc import Block
from .config import Config
from .loop import Snapshot
from .state import Drain


class Service(NamedTuple):
    """Whether the node may be asked. ``word`` is HAProxy's: up, down, or stopped, which is down on purpose."""

    word: str
    reason: str

    @property
    def up(self) -> bool:
        return self.word == "up"


def service(config: Config, snapshot: Snapshot | None, drain: Drain | None, now: float) -> Service:
    """Fails closed: without a recent sample the node is down, whatever was known of it before."""
    if snapshot is None:
        return Service("down", "the node has not been looked at yet")
    silence = now - snapshot.at
    if silence > config.max_silence:
        return Service("down", f"the last sample is {silence:.1f} s old: the sampling loop hangs")
    if drain:
        return Service("stopped", f"drained by {drain.who}: {drain.reason}")
    if not snapshot.verdict.admitted:
        return Service("down", f"{snapshot.verdict.state}: {snapshot.verdict.reason}")
    return Service("up", snapshot.verdict.state)


def agent_line(answer: Service) -> bytes:
    """One line of HAProxy's agent protocol.

    Never ``ready``, ``drain`` or ``maint``: they set the administrative state, and only ``ready`` takes that back,
    which would undo what an operator has set in HAProxy himself. The blank before the text matters: HAProxy takes
    "down#text" for one word that it does not know, and ignores it.
    """
    if answer.up:
        return b"up\n"
    return f"{answer.word} #{_plain(answer.reason)}\n".encode("ascii")


def _plain(text: str) -> str:
    """Printable ASCII of a bounded length, as it stands in logs and on HAProxy's page."""
    return "".join(c if " " <= c <= "~" else "?" for c in text)[:200]


def _block(block: Block | None, now: float) -> dict[str, Any] | None:
    if block is None:
        return None
    return {**block._asdict(), "age_seconds": round(now - block.timestamp, 3)}


def _findings(findings: Iterable[Finding]) -> list[dict[str, str]]:
    return [{"code": f.code, "weight": f.weight, "state": f.state, "text": f.text} for f in findings]


def status(config: Config, snapshot: Snapshot | None, drain: Drain | None, now: float) -> dict[str, Any]:
    """The whole picture, for people and for chain_status."""
    answer = service(config, snapshot, drain, now)
    picture: dict[str, Any] = {
        "in_service": answer.up,
        "reason": answer.reason,
        "drain": drain.as_dict() if drain else None,
        "policy": config.policy.as_dict(),
    }
    if snapshot is None:
        return picture | {"state": "unknown", "admitted": False}
    verdict, pair = snapshot.verdict, snapshot.pair
    execution, consensus = pair.execution, pair.consensus
    return picture | {
        "state": verdict.state,
        "admitted": verdict.admitted,
        "since": snapshot.since_wall,
        "reasons": _findings(verdict.reasons),
        "suspects": _findings(verdict.suspects),
        "obstacle": verdict.obstacle,
        "sample": {
            "at": snapshot.wall,
            "age_seconds": round(now - snapshot.at, 3),
            "duration_seconds": round(snapshot.duration, 4),
        },
        "lag_blocks": snapshot.assessment.lag_blocks,
        "execution": {
            "url": config.execution_url,
            "error": execution.error,
            "version": execution.version,
            "chain_id": execution.chain_id,
            "genesis_hash": execution.genesis_hash,
            "syncing": execution.syncing._asdict() if execution.syncing else False,
            "latest": _block(execution.latest, pair.now),
            "safe": _block(execution.safe, pair.now),
            "finalized": _block(execution.finalized, pair.now),
            "peers": execution.peers,
        },
        "consensus": {
            "url": config.consensus_url,
            "error": consensus.error,
            "version": consensus.version,
            "syncing": consensus.syncing._asdict() if consensus.syncing else None,
            "finalized": consensus.finalized._asdict() if consensus.finalized else None,
            "finalized_block": consensus.finalized_payload.number if consensus.finalized_payload else None,
            "peers": consensus.peers,
        },
        "references": [
            {
                "name": reference.name,
                "error": reference.execution.error,
                "version": reference.execution.version,
                "latest": _block(reference.execution.latest, pair.now),
                "finalized_block": reference.finalized_number,
            }
            for reference in snapshot.references
        ],
        "disks": [disk._asdict() for disk in pair.disks],
        "clock": pair.clock._asdict(),
    }


def status_json(config: Config, snapshot: Snapshot | None, drain: Drain | None, now: float) -> bytes:
    return json.dumps(status(config, snapshot, drain, now), indent=2).encode() + b"\n"


class _Metrics:
    """Prometheus' text format."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, name: str, kind: str, text: str, *values: tuple[dict[str, str], float | int | bool | None]) -> None:
        known = [(labels, value) for labels, value in values if value is not None]
        if not known:
            return
        full = f"chain_health_{name}"
        self.lines += [f"# HELP {full} {text}", f"# TYPE {full} {kind}"]
        for labels, value in known:
            inner = ",".join(f'{label}="{_escape(content)}"' for label, content in labels.items())
            number = int(value) if isinstance(value, bool) else value
            self.lines.append(f"{full}{{{inner}}} {number}" if inner else f"{full} {number}")


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def metrics(config: Config, snapshot: Snapshot | None, drain: Drain | None, now: float) -> bytes:
    out = _Metrics()
    answer = service(config, snapshot, drain, now)
    out.add("in_service", "gauge", "1 while load balancers are told to use the node.", ({}, answer.up))
    out.add("drained", "gauge", "1 while an operator has drained the node.", ({}, drain is not None))
    if snapshot is None:
        return _text(out)
    verdict, pair = snapshot.verdict, snapshot.pair
    execution, consensus = pair.execution, pair.consensus
    latest = execution.latest
    out.add("admitted", "gauge", "1 while the node is found good to serve.", ({}, verdict.admitted))
    out.add("state", "gauge", "1 for the state the node is in.", *(({"state": s}, s == verdict.state) for s in STATES))
    out.add(
        "finding",
        "gauge",
        "1 for each confirmed finding.",
        *(({"code": f.code, "weight": f.weight}, 1) for f in verdict.reasons),
    )
    out.add("rounds_total", "counter", "Rounds of sampling.", ({}, snapshot.rounds))
    out.add(
        "changes_total",
        "counter",
        "Admissions, and ejections by state.",
        *(({"to": name}, count) for name, count in sorted(snapshot.changes.items())),
    )
    out.add(
        "failures_total",
        "counter",
        "Samples that a client or reference did not answer.",
        *(({"endpoint": name}, count) for name, count in sorted(snapshot.failures.items())),
    )
    out.add("sample_timestamp_seconds", "gauge", "When the last round ended.", ({}, round(snapshot.wall, 3)))
    out.add("sample_duration_seconds", "gauge", "How long the last round took.", ({}, round(snapshot.duration, 6)))
    out.add(
        "client_up",
        "gauge",
        "1 where the client answered in the last round.",
        ({"client": "execution"}, not execution.error),
        ({"client": "consensus"}, not consensus.error),
    )
    out.add(
        "client_info",
        "gauge",
        "The clients' versions.",
        *(
            ({"client": name, "version": version}, 1)
            for name, version in (("execution", execution.version), ("consensus", consensus.version))
            if version
        ),
    )
    out.add("head_block", "gauge", "Number of the execution client's head.", ({}, latest and latest.number))
    out.add("head_timestamp_seconds", "gauge", "Time stamp of the head.", ({}, latest and latest.timestamp))
    age = snapshot.assessment.age_seconds
    out.add("head_age_seconds", "gauge", "Age of the head.", ({}, None if age is None else round(age, 3)))
    out.add(
        "max_head_age_seconds", "gauge", "Age from which policy ejects the node.", ({}, config.policy.max_age_seconds)
    )
    out.add("lag_blocks", "gauge", "Blocks behind the references.", ({}, snapshot.assessment.lag_blocks))
    final = consensus.finalized_payload
    out.add("finalized_block", "gauge", "The last final block.", ({}, final and final.number))
    out.add(
        "peers",
        "gauge",
        "Connected peers.",
        ({"client": "execution"}, execution.peers),
        ({"client": "consensus"}, consensus.peers),
    )
    out.add(
        "reference_up",
        "gauge",
        "1 where the reference answered in the last round.",
        *(({"reference": r.name}, not r.execution.error) for r in snapshot.references),
    )
    out.add(
        "reference_head_block",
        "gauge",
        "Number of the reference's head.",
        *(({"reference": r.name}, r.execution.latest and r.execution.latest.number) for r in snapshot.references),
    )
    out.add("disk_free_bytes", "gauge", "Free space.", *(({"path": d.path}, d.free_bytes) for d in pair.disks))
    out.add(
        "disk_min_free_bytes",
        "gauge",
        "Free space below which the node is ejected.",
        *(({"path": d.path}, d.min_free_bytes) for d in pair.disks),
    )
    out.add("clock_synchronised", "gauge", "1 where the host's clock is.", ({}, pair.clock.synchronised))
    out.add("clock_error_seconds", "gauge", "How wrong the host's clock may be.", ({}, pair.clock.error_seconds))
    return _text(out)


def _text(out: _Metrics) -> bytes:
    return ("\n".join(out.lines) + "\n").encode()
