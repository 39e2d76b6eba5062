# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""PostgreSQL: who leads, who follows how closely, what may be lost by policy, and how large the databases are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.chainops.infra.plugins.module_utils.patroni.policy import NO_LAG_LIMIT, SYNCHRONOUS

from .block import Block, Cell, size
from .heard import Heard

MEBIBYTE = 1 << 20
MAX_LAG = 16 * MEBIBYTE


def policy_of(config: Mapping[str, Any]) -> str:
    """The objective that Patroni's configuration carries, whatever the inventory says."""
    if config.get("synchronous_mode") == "quorum" and config.get("synchronous_mode_strict"):
        count = config.get("synchronous_node_count", 1)
        return next((name for name, needed in SYNCHRONOUS.items() if needed == count), f"quorum of {count}")
    if config.get("synchronous_mode") in (True, "on", "quorum"):
        return "synchronous while a standby is there (none of the policies)"
    limit = config.get("maximum_lag_on_failover", MEBIBYTE)
    if isinstance(limit, int) and limit < NO_LAG_LIMIT:
        return f"bounded ({limit / MEBIBYTE:g} MiB)"
    return "fast"


def block(hosts: list[Heard], wanted: str = "") -> Block:
    made = Block(
        "PostgreSQL",
        ("MEMBER", "REGION", "ROLE", "STATE", "TIMELINE", "LAG", "RESTART", "WAL DISK FREE"),
        right=frozenset({"TIMELINE", "LAG", "WAL DISK FREE"}),
    )
    answers = {host.name: host.answers["patroni"] for host in hosts if "patroni" in host.answers}
    for host in hosts:
        if host.refusals.get("patroni"):
            made.note(f"{host.name}: Patroni could not be asked: {host.refusals['patroni']}")
    # the leader knows best; where nobody leads, any
    own = {name: answer for name, answer in answers.items() if answer.get("leader") == name}
    told: Mapping[str, Any] = next(iter((own or answers).values()), {})
    leaders = sorted({str(answer.get("leader") or "nobody") for answer in answers.values()})
    if len(leaders) > 1:
        made.note(f"members do not agree on who leads: {', '.join(leaders)}")
    members = {member["name"]: member for member in told.get("members") or []}
    known = {host.name: host for host in hosts}
    for name in [*known, *[name for name in members if name not in known]]:
        row(made, name, known.get(name), members.get(name), bool(told))
    for fault in told.get("faults") or []:
        made.note(str(fault))
    if not told:
        made.summary = "no member told of the cluster"
        made.note("whether anybody leads is not known, as no member's Patroni could be asked")
        return made
    config = told.get("config") or {}
    policy = policy_of(config)
    if wanted and policy.split()[0] != wanted:
        made.note(f"the cluster's policy is {policy}, the inventory's {wanted}: run the layer")
    leads = f"{told['leader']} leads" if told.get("leader") else "NOBODY LEADS"
    changes = told.get("failovers") or 0
    last = f", the last on {str(told.get('last_failover'))[:19].replace('T', ' ')}" if changes else ""
    often = f"{changes} change{'' if changes == 1 else 's'} of timeline{last}"
    made.summary = f"cluster {told.get('scope')}: {leads}; policy {policy}; {often}"
    return made


def row(made: Block, name: str, host: Heard | None, member: Mapping[str, Any] | None, told: bool) -> None:
    region = host.region if host else ""
    free = size(host.value("pgbackrest_wal_free_bytes")) if host else ""
    silence = host.silence if host else "not in the group"
    if member is None:
        missing = silence or ("not in the cluster" if told else "unknown")
        made.add(name, region, None, Cell(missing, "bad"), None, None, None, free)
        return
    leads = member["role"] == "leader"
    state = Cell(f"{member['state']} ({silence})" if silence else str(member["state"]), "bad")
    if not silence and member["state"] == ("running" if leads else "streaming"):
        state = Cell(state.text, "good")
    lag = member["lag_bytes"]
    behind = Cell("" if leads else size(lag) or "unknown", "bad" if not leads and not 0 <= lag <= MAX_LAG else "")
    reasons = ", ".join(sorted(member.get("pending_restart_reason") or {}))
    if member.get("pending_restart"):
        made.note(f"{name}: {reasons or 'a parameter'} waits for a restart (operation postgresql_restart)")
    restart = Cell("pending", "fair") if member.get("pending_restart") else Cell("no")
    role = str(member["role"]).replace("_", " ")
    made.add(name, region, role, state, member["timeline"], behind, restart, free)


def sizes(hosts: list[Heard]) -> Block:
    """The databases, as the leader sees them, or whoever answers."""
    made = Block("Databases of PostgreSQL", ("DATABASE", "SIZE", "SESSIONS"), right=frozenset({"SIZE", "SESSIONS"}))
    for host in hosts:
        if host.refusals.get("sizes"):
            made.note(f"{host.name}: {host.refusals['sizes']}")
    answers = [(host, host.answers["sizes"]) for host in hosts if "sizes" in host.answers]
    if not answers:
        made.summary = "no member told"
        return made
    host, told = min(answers, key=lambda pair: bool(pair[1].get("standby")))
    for database in told["databases"]:
        made.add(str(database["name"]), size(database["bytes"]), database["connections"])
    total = sum(database["bytes"] for database in told["databases"])
    made.summary = f"{size(total)} in all, as {host.name} sees it"
    return made
