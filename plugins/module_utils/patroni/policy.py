# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From an objective ("what may be lost?") to Patroni's dynamic configuration, and what stands in its way. Pure.

Read with Patroni 4.0.7 (patroni/quorum.py, patroni/ha.py). A commit is acknowledged once ``synchronous_node_count`` of
the voters (all standbys that stream) have it on disk; a new leader needs so many votes that one of the nodes which hold
that commit is among them. So a count of one outlives any one host, and a count of two with two hosts a region outlives
a region.
"""

from __future__ import annotations

import typing as t

POLICIES = ("zero_host", "zero_region", "bounded", "fast")
SYNCHRONOUS = {"zero_host": 1, "zero_region": 2}

# Below these Patroni silently takes its own values (patroni/config.py).
LEAST_TTL = 20
LEAST_LOOP_WAIT = 1
LEAST_RETRY_TIMEOUT = 3

MEBIBYTE = 1 << 20
# 1 PiB. Under the synchronous policies votes decide who has everything; the position that the primary wrote down last
# may lie far ahead of what was acknowledged (one large transaction); a limit would then keep all from being elected.
NO_LAG_LIMIT = 1 << 50


def timing(ttl: int, loop_wait: int, retry_timeout: int) -> dict[str, int]:
    return {"ttl": ttl, "loop_wait": loop_wait, "retry_timeout": retry_timeout}


def timing_faults(ttl: int, loop_wait: int, retry_timeout: int) -> list[str]:
    """What Patroni would change by itself, with a line in its log only."""
    faults = [
        f"{name} = {value} is less than {least}, which Patroni takes instead"
        for name, value, least in (
            ("postgresql_ttl_s", ttl, LEAST_TTL),
            ("postgresql_loop_wait_s", loop_wait, LEAST_LOOP_WAIT),
            ("postgresql_retry_timeout_s", retry_timeout, LEAST_RETRY_TIMEOUT),
        )
        if value < least
    ]
    if loop_wait + 2 * retry_timeout > ttl:
        faults.append(
            f"postgresql_ttl_s = {ttl} is less than postgresql_loop_wait_s + 2 * postgresql_retry_timeout_s = "
            f"{loop_wait} + 2 * {retry_timeout} = {loop_wait + 2 * retry_timeout}: the lock of a healthy primary could "
            "end while it tries to renew it"
        )
    return faults


def replication(rpo: str, max_lag_mb: int) -> dict[str, t.Any]:
    """The keys that carry the policy."""
    if rpo in SYNCHRONOUS:
        return {
            "synchronous_mode": "quorum",
            # Without it Patroni turns to asynchronous replication when the last standby is gone.
            "synchronous_mode_strict": True,
            "synchronous_node_count": SYNCHRONOUS[rpo],
            "maximum_lag_on_failover": NO_LAG_LIMIT,
            # A standby that lags blocks nobody as long as enough others answer, and one that left and came back with
            # each burst of writes would change the quorum all the time.
            "maximum_lag_on_syncnode": -1,
        }
    limit = max_lag_mb * MEBIBYTE if rpo == "bounded" else NO_LAG_LIMIT
    return {"synchronous_mode": False, "synchronous_mode_strict": False, "maximum_lag_on_failover": limit}


def common(
    rpo: str,
    *,
    timings: dict[str, int],
    max_lag_mb: int,
    primary_start_timeout: int,
    primary_stop_timeout: int,
    member_slots_ttl: int,
    parameters: dict[str, t.Any],
    restore_command: str = "",
    extra: dict[str, t.Any] | None = None,
) -> dict[str, t.Any]:
    """Patroni's whole dynamic configuration."""
    if rpo not in POLICIES:
        raise ValueError(f"{rpo} is no policy: known are {', '.join(POLICIES)}")
    postgresql: dict[str, t.Any] = {
        "use_slots": True,
        "use_pg_rewind": True,
        # A data directory is removed by people only.
        "remove_data_directory_on_rewind_failure": False,
        "remove_data_directory_on_diverged_timelines": False,
        "parameters": {name: plain(value) for name, value in sorted(parameters.items())},
    }
    if restore_command:
        postgresql["recovery_conf"] = {"restore_command": restore_command}
    found = {
        **timings,
        **replication(rpo, max_lag_mb),
        # A node that missed the last failover is not elected, however far it got on the old timeline.
        "check_timeline": True,
        # The primary goes on without etcd while every member confirms that it is the primary.
        "failsafe_mode": True,
        "primary_start_timeout": primary_start_timeout,
        "primary_stop_timeout": primary_stop_timeout,
        "member_slots_ttl": f"{member_slots_ttl}s",
        "postgresql": postgresql,
    }
    return merged(found, extra or {})


def plain(value: t.Any) -> t.Any:
    """A parameter as PostgreSQL writes it; true and false would come back from Patroni as on and off."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


def merged(base: dict[str, t.Any], over: dict[str, t.Any]) -> dict[str, t.Any]:
    result = dict(base)
    for key, value in over.items():
        known = result.get(key)
        result[key] = merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return result


def placement_faults(members: list[dict[str, t.Any]], rpo: str, max_lag_mb: int) -> list[str]:
    """Why a policy cannot hold for these members ({name, region, failover}); sentences, empty if it can."""
    faults = []
    able = [member for member in members if member.get("failover", True)]
    if rpo not in POLICIES:
        return [f"postgresql_rpo = {rpo} is no policy: known are {', '.join(POLICIES)}"]
    if rpo == "zero_region":
        unknown = [member["name"] for member in members if not member.get("region")]
        if unknown:
            faults.append(f"postgresql_rpo = zero_region needs site_region, which {', '.join(unknown)} lacks")
        regions: dict[str, list[str]] = {}
        for member in able:
            if member.get("region"):
                regions.setdefault(member["region"], []).append(member["name"])
        words = ", ".join(
            f"{region} has {len(names)} ({', '.join(names)})" for region, names in sorted(regions.items())
        )
        # With two a region, two acknowledgements of three standbys reach the other region, and its two are a quorum of
        # their own. Three in one region could acknowledge among themselves; one alone could not elect.
        if len(regions) != 2 or any(len(names) != 2 for names in regions.values()):
            faults.append(
                "postgresql_rpo = zero_region needs exactly two members in each of two regions, that may be elected: "
                f"{words or 'there is none'}"
            )
    if rpo == "zero_host" and len(able) < 3:
        faults.append(
            f"postgresql_rpo = zero_host needs at least 3 members that may be elected, and there are {len(able)}: with "
            "one standby the loss of either host stops all writes"
        )
    if rpo in ("bounded", "fast") and len(able) < 2:
        faults.append(f"postgresql_rpo = {rpo} needs at least 2 members that may be elected, and there are {len(able)}")
    if rpo == "bounded" and max_lag_mb < 1:
        faults.append(
            f"postgresql_rpo = bounded needs postgresql_max_lag_mb, the MiB that may be lost, of at least 1; it is "
            f"{max_lag_mb}"
        )
    return faults
