# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a cluster looks like: who leads, who follows, and what is not as it should be. Pure."""

from __future__ import annotations

import typing as t

LEADERS = ("leader", "standby_leader", "master")
# States of a member whose PostgreSQL does what it should
WELL = ("running", "streaming", "in archive recovery")


SYNCHRONOUS = ("quorum_standby", "sync_standby")


def excused(tags: dict[str, t.Any]) -> bool:
    """Whether a member is kept out of synchronous replication on purpose."""
    return bool(tags.get("nosync") or tags.get("nofailover") or tags.get("failover_priority", 1) == 0)


def leader_of(cluster: dict[str, t.Any]) -> dict[str, t.Any]:
    """The member that holds the lock; empty where nobody does."""
    return next((dict(member) for member in cluster["members"] if member.get("role") in LEADERS), {})


def member_of(cluster: dict[str, t.Any], name: str) -> dict[str, t.Any]:
    return next((dict(member) for member in cluster["members"] if member.get("name") == name), {})


def described(member: dict[str, t.Any]) -> dict[str, t.Any]:
    """A member in words of its own, every key always there."""
    lag = member.get("lag", 0)
    return {
        "name": member.get("name", ""),
        "role": "leader" if member.get("role") in LEADERS else member.get("role", ""),
        "state": member.get("state", ""),
        "address": member.get("host", ""),
        "port": member.get("port", 0),
        "timeline": member.get("timeline", 0),
        # -1 is not known
        "lag_bytes": lag if isinstance(lag, int) else -1,
        "pending_restart": bool(member.get("pending_restart")),
        "pending_restart_reason": member.get("pending_restart_reason", {}),
        "tags": member.get("tags", {}),
    }


def faults(cluster: dict[str, t.Any], expected: list[str], max_lag_bytes: int, synchronous: bool) -> list[str]:
    """What keeps the cluster from being whole, one sentence each."""
    members = [described(member) for member in cluster["members"]]
    leader = leader_of(cluster)
    found = [] if leader else ["nobody leads"]
    found += [f"{name} is not in the cluster" for name in expected if not member_of(cluster, name)]
    if cluster.get("pause"):
        found.append("the cluster is paused (patronictl resume ends it)")
    for member in members:
        name = member["name"]
        if member["name"] == leader.get("name"):
            if member["state"] != "running":
                found.append(f"{name} leads and is {member['state']}")
            continue
        if member["state"] != "streaming":
            found.append(f"{name} is {member['state']}")
        elif member["lag_bytes"] < 0 or member["lag_bytes"] > max_lag_bytes:
            found.append(f"{name} lags by {member['lag_bytes']} bytes")
        elif leader and member["timeline"] != leader.get("timeline"):
            found.append(f"{name} is on timeline {member['timeline']}, the leader on {leader.get('timeline')}")
        elif synchronous and not (member["role"] in SYNCHRONOUS or excused(member["tags"])):
            found.append(f"{name} streams, and is not synchronous yet")
    return found
