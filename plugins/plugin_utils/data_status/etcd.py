# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""etcd: who votes, who leads, how full, and the newest snapshot."""

from __future__ import annotations

from .block import DAY, Block, Cell, age, size, stale
from .heard import Heard, limit_of

FULL = 0.8


def block(hosts: list[Heard], now: float) -> Block:
    made = Block(
        "etcd",
        ("MEMBER", "REGION", "STATE", "DATABASE", "IN USE", "OF QUOTA", "SNAPSHOT"),
        right=frozenset({"DATABASE", "IN USE", "OF QUOTA"}),
    )
    limit = limit_of(hosts, "etcd-maintenance", DAY)
    well, leaders = 0, []
    for host in hosts:
        if host.silence:
            made.add(host.name, host.region, Cell(host.silence, "bad"), None, None, None, None)
            continue
        state = state_of(host, made)
        well += state.tone == "good"
        leaders += [host.name] if state.text == "leader" else []
        total, quota = host.value("etcd_mvcc_db_total_size_in_bytes"), host.value("etcd_server_quota_backend_bytes")
        part = total / quota if total is not None and quota else None
        snapshot = age(host.value("etcd_maintenance_snapshot_time_seconds"), now, limit)
        if stale(snapshot):
            made.note(f"{host.name}: last snapshot of etcd {snapshot.text}")
        elif host.value("etcd_maintenance_snapshot_ok") == 0:
            made.note(f"{host.name}: the last snapshot of etcd failed")
        used = Cell("" if part is None else f"{part:.0%}", "bad" if part is not None and part > FULL else "")
        if stale(used):
            made.note(f"{host.name}: etcd's database is near its quota ({used.text}); at the quota it takes no writes")
        in_use = host.value("etcd_mvcc_db_total_size_in_use_in_bytes")
        made.add(host.name, host.region, state, size(total), size(in_use), used, snapshot)
    made.summary = f"{well} of {len(hosts)} members are well; " + (
        f"{leaders[0]} leads" if leaders else "none seen to lead"
    )
    if well <= len(hosts) // 2:
        made.note(f"only {well} of {len(hosts)} members were seen to be well, which is no quorum")
    return made


def state_of(host: Heard, made: Block) -> Cell:
    answer = host.endpoints.get("etcd_health") or {}
    if answer.get("status") != 200:
        reason = answer.get("error") or answer.get("text") or host.why or "no answer"
        made.note(f"{host.name}: etcd is not well: {reason}")
        return Cell("down" if not answer.get("status") else "ill", "bad")
    if not host.value("etcd_server_has_leader"):
        made.note(f"{host.name}: its etcd sees no leader")
        return Cell("no leader", "bad")
    if host.value("etcd_server_is_learner"):
        return Cell("learner", "fair")
    return Cell("leader" if host.value("etcd_server_is_leader") else "follower", "good")
