# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Redis: whom the Sentinels name, who follows how closely, and memory."""

from __future__ import annotations

from .block import Block, Cell, age, size
from .heard import Heard

FULL = 0.9
# what lies between asking two hosts, under load, is no lag
BEHIND = 16 * 1000 * 1000
NAME = "chainops_redis"


def block(servers: list[Heard], sentinels: list[Heard], now: float) -> Block:
    made = Block(
        "Redis",
        ("SERVER", "REGION", "ROLE", "VOTES", "BEHIND", "MEMORY", "OF LIMIT", "KEYS", "LAST RDB"),
        right=frozenset({"VOTES", "BEHIND", "MEMORY", "OF LIMIT", "KEYS"}),
    )
    masters = [host for host in servers if host.value(f"{NAME}_primary")]
    offset = masters[0].value(f"{NAME}_replication_offset_bytes") if masters else None
    for host in servers:
        row(made, host, offset, now)
    agreed(made, masters, servers, sentinels)
    return made


def row(made: Block, host: Heard, offset: float | None, now: float) -> None:
    if host.silence:
        made.add(host.name, host.region, Cell(host.silence, "bad"), *[None] * 6)
        return
    role = role_of(made, host)
    if not host.value(f"{NAME}_up"):
        made.add(host.name, host.region, role, *[None] * 6)
        return
    own = host.value(f"{NAME}_replication_offset_bytes")
    behind = Cell()
    if role.text == "replica" and offset is not None and own is not None:
        lag = max(offset - own, 0)
        behind = Cell(size(lag), "bad" if lag > BEHIND else "")
    used, limit = host.value(f"{NAME}_memory_used_bytes"), host.value(f"{NAME}_memory_max_bytes")
    part = used / limit if used is not None and limit else None
    full = Cell(
        "no limit" if limit == 0 else "" if part is None else f"{part:.0%}", "fair" if part and part > FULL else ""
    )
    keys = sum(value for _labels, value in host.values(f"{NAME}_keys"))
    votes, voters = host.value(f"{NAME}_sentinel_votes"), host.value(f"{NAME}_sentinels")
    saved = Cell(age(host.value(f"{NAME}_last_save_timestamp_seconds"), now).text)
    named = f"{votes:g} of {voters:g}" if votes is not None and voters is not None else ""
    made.add(host.name, host.region, role, named, behind, size(used), full, f"{keys:.0f}", saved)
    for figure, text in (
        ("aof_write_ok", "the last write to the AOF failed"),
        ("last_save_ok", "the last RDB failed"),
        ("replication_link_up", "it has no link to its master"),
    ):
        if host.value(f"{NAME}_{figure}") == 0:
            made.note(f"{host.name}: {text}")
    pending = host.value(f"{NAME}_restart_pending")
    if pending:
        made.note(f"{host.name}: {pending:g} settings of Redis wait for a restart (operation redis_restart)")


def role_of(made: Block, host: Heard) -> Cell:
    answer = host.endpoints.get("redis") or {}
    if answer.get("status") != 200:
        why = answer.get("error") or answer.get("text") or host.why or "no answer"
        made.note(f"{host.name}: the agent beside Redis does not answer: {why}")
        return Cell("unknown", "bad")
    if not host.value(f"{NAME}_up"):
        made.note(f"{host.name}: Redis does not answer, or still loads its data")
        return Cell("down", "bad")
    if host.value(f"{NAME}_primary"):
        return Cell("master", "good")
    if host.value(f"{NAME}_replica"):
        return Cell("replica", "good")
    made.note(
        f"{host.name}: Redis answers and is neither the master that the Sentinels name nor a replica that keeps up"
    )
    return Cell("out", "bad")


def agreed(made: Block, masters: list[Heard], servers: list[Heard], sentinels: list[Heard]) -> None:
    """What the hosts of the Sentinels found, each asking all of them."""
    named = sorted({str(host.answers["redis"]["master"]) for host in sentinels if "redis" in host.answers})
    for host in sentinels:
        if host.silence == "unreachable":
            made.note(f"the Sentinel's host {host.name} is not reached")
        elif host.refusals.get("redis"):
            made.note(host.refusals["redis"].removeprefix("redis_master: "))
    if len(masters) > 1:
        made.note(f"{' and '.join(host.name for host in masters)} both hold that writes belong to them")
    if not masters and servers:
        made.note("no server is named as master by most Sentinels: nobody takes writes")
    votes = [(host, host.value(f"{NAME}_sentinel_votes"), host.value(f"{NAME}_sentinels")) for host in masters[:1]]
    lines = [
        f"{host.name} is master, named by {voted:g} of {all_:g} Sentinels"
        for host, voted, all_ in votes
        if voted and all_
    ]
    for host, voted, all_ in votes:
        if voted and all_ and voted < all_:
            made.note(f"{voted:g} of {all_:g} Sentinels name {host.name}; the others say something else, or nothing")
    good = sum("redis" in host.answers for host in sentinels)
    lines.append(
        f"seen whole from {good} of {len(sentinels)} hosts of Sentinels" + (f" ({', '.join(named)})" if named else "")
    )
    made.summary = "; ".join(lines)
