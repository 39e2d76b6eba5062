# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the hosts of a data layer answered: figures as they were read on a whole one, to be changed one by one."""

from __future__ import annotations

import copy
from typing import Any

NOW = 1_795_700_000.0
HOUR, DAY = 3600, 86400
GROUPS = {
    "postgresql": ["db-a", "db-b"],
    "etcd": ["db-a"],
    "redis": ["db-a", "db-b"],
    "redis_sentinel": ["db-a"],
    "influxdb": ["ts-a"],
    "pgbackrest_repository": ["bk-a"],
    "pgbackrest_restore": ["sc-a"],
    "backup_repository": ["bk-a"],
}
HOURLY = {"period": HOUR, "longest": HOUR}
CLUSTER = {
    "leader": "db-a",
    "scope": "main",
    "faults": [],
    "failovers": 1,
    "last_failover": "2026-11-26T08:12:31.123+00:00",
    "config": {"synchronous_mode": "quorum", "synchronous_mode_strict": True, "synchronous_node_count": 1},
    "members": [
        {"name": "db-a", "role": "leader", "state": "running", "timeline": 2, "lag_bytes": 0, "pending_restart": False},
        {"name": "db-b", "role": "quorum_standby", "state": "streaming", "timeline": 2, "lag_bytes": 4096,
         "pending_restart": False},
    ],
}  # fmt: skip
SIZES = {"standby": False, "databases": [{"name": "app", "bytes": 11089587, "connections": 3}]}
INFLUXDB = {
    "version": "1.6.7",
    "bytes": 38_000_000,
    "free_bytes": 65_000_000_000,
    "databases": {
        "chain": {
            "series": 250,
            "queries": ["a", "b"],
            "policies": {
                "hour": {"duration": "INF", "shard": "1w", "default": False},
                "raw": {"duration": "1w", "shard": "1d", "default": True},
            },
        }
    },
}


def member(number: str, primary: bool) -> dict[str, float]:
    return {
        f"pgbackrest_repository_up repository={number}": 1,
        "pgbackrest_archive_primary": int(primary),
        "pgbackrest_archive_last_timestamp_seconds": NOW - 20 if primary else 0,
        "pgbackrest_archive_ready_files": 0,
        "pgbackrest_archive_oldest_ready_seconds": 0,
        "pgbackrest_archive_failing": 0,
        "pgbackrest_wal_free_bytes": 65e9,
        "pgbackrest_metrics_timestamp_seconds": NOW - 10,
    }


def server(primary: bool) -> dict[str, float]:
    return {
        "chainops_redis_up": 1,
        "chainops_redis_primary": int(primary),
        "chainops_redis_replica": int(not primary),
        "chainops_redis_sentinel_votes": 3 if primary else 0,
        "chainops_redis_sentinels": 3,
        "chainops_redis_memory_used_bytes": 1_532_496,
        "chainops_redis_memory_max_bytes": 2_527_068_160,
        "chainops_redis_replication_offset_bytes": 368_431,
        "chainops_redis_last_save_timestamp_seconds": NOW - 600,
        "chainops_redis_keys db=db0": 808,
        "chainops_redis_copy_turn": int(not primary),
    }


FIGURES: dict[str, dict[str, float]] = {
    "db-a": {
        "etcd_server_has_leader": 1,
        "etcd_server_is_leader": 1,
        "etcd_mvcc_db_total_size_in_bytes": 143_360,
        "etcd_mvcc_db_total_size_in_use_in_bytes": 118_784,
        "etcd_server_quota_backend_bytes": 2_147_483_648,
        "etcd_maintenance_snapshot_time_seconds member=db-a": NOW - 10 * HOUR,
        "etcd_maintenance_snapshot_ok member=db-a": 1,
        **member("1", True),
        **server(True),
    },
    "db-b": {
        **member("1", False),
        **server(False),
        "chainops_redis_copy_success": 1,
        "chainops_redis_copy_last_success_timestamp_seconds": NOW - 1500,
        "chainops_redis_drill_success": 1,
        "chainops_redis_drill_timestamp_seconds": NOW - 2 * DAY,
    },
    "ts-a": {
        "chainops_influxdb_backup_success": 1,
        "chainops_influxdb_backup_last_success_timestamp_seconds": NOW - 1600,
        "chainops_influxdb_drill_success": 1,
        "chainops_influxdb_drill_last_run_timestamp_seconds": NOW - 3 * DAY,
    },
    "bk-a": {
        "pgbackrest_repository_status repository=1": 0,
        "pgbackrest_backup_last_timestamp_seconds repository=1 type=full": NOW - 3 * DAY,
        "pgbackrest_backup_last_timestamp_seconds repository=1 type=diff": NOW - 20 * HOUR,
        "pgbackrest_backup_last_timestamp_seconds repository=1 type=incr": NOW - 1800,
        "pgbackrest_backup_last_size_bytes repository=1": 1_035_760,
        "pgbackrest_backup_count repository=1": 22,
        "pgbackrest_repository_free_bytes": 66e9,
        "pgbackrest_repository_size_bytes": 270e9,
        "pgbackrest_metrics_timestamp_seconds": NOW - 10,
        **{
            f"chainops_backup_repository_{name} job={job}": value
            for job in ("redis", "influxdb")
            for name, value in {
                "latest_copy_timestamp_seconds": NOW - 1500, "copies": 7, "size_bytes": 3824, "upkeep_success": 1
            }.items()
        },
    },
    "sc-a": {
        "postgresql_drill_success stanza=main repository=1": 1,
        "postgresql_drill_timestamp_seconds stanza=main repository=1": NOW - 4 * DAY,
    },
}  # fmt: skip


def samples(figures: dict[str, float]) -> list[dict[str, Any]]:
    found = []
    for words, value in figures.items():
        name, *labels = words.split()
        found.append(
            {"source": "x", "name": name, "labels": dict(label.split("=") for label in labels), "value": value}
        )
    return found


class Site:
    """``figures`` and ``vars`` may be changed; ``cut`` makes a host one that nobody reaches."""

    def __init__(self) -> None:
        self.groups = copy.deepcopy(GROUPS)
        self.figures = copy.deepcopy(FIGURES)
        good = {"status": 200, "error": "", "text": ""}
        self.endpoints: dict[str, dict[str, Any]] = {
            "db-a": {"etcd": good, "etcd_health": good, "redis": good},
            "db-b": {"redis": good},
        }
        self.files = {"bk-a": {"backup_repository.prom": NOW - 1000}}
        self.timers: dict[str, Any] = {
            "bk-a": {
                "pgbackrest-full": {"period": 7 * DAY, "longest": 7 * DAY},
                "pgbackrest-diff": {"period": DAY, "longest": 2 * DAY},
                "pgbackrest-incr": HOURLY,
            },
            "db-a": {"redis-copy": HOURLY, "etcd-maintenance": {"period": DAY, "longest": DAY}},
            "ts-a": {"influxdb-backup": HOURLY},
        }
        self.answers: dict[str, dict[str, Any]] = {
            "db-a": {"patroni": copy.deepcopy(CLUSTER), "sizes": SIZES, "redis": {"master": "db-a"}},
            "db-b": {"patroni": copy.deepcopy(CLUSTER), "sizes": SIZES | {"standby": True}},
            "ts-a": {"influxdb": INFLUXDB},
        }
        self.cut: dict[str, str] = {}
        self.more: dict[str, dict[str, Any]] = {}

    @property
    def cluster(self) -> dict[str, Any]:
        return self.answers["db-a"]["patroni"]

    @property
    def hostvars(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for name in {host for hosts in self.groups.values() for host in hosts}:
            known: dict[str, Any] = {"site_region": "east", **self.more.get(name, {})}
            if name in self.cut:
                known["data_metrics"] = {"unreachable": True, "msg": self.cut[name]}
                # the tasks after the first are skipped on it
                known |= {f"data_{what}": {"skipped": True} for what in ("patroni", "sizes", "redis", "influxdb")}
            else:
                known["data_metrics"] = {
                    "samples": samples(self.figures.get(name, {})), "endpoints": self.endpoints.get(name, {}),
                    "files": self.files.get(name, {}), "timers": self.timers.get(name, {}),
                }  # fmt: skip
                for what in ("patroni", "sizes", "redis", "influxdb"):
                    known[f"data_{what}"] = self.answers.get(name, {}).get(what, {"skipped": True})
            found[name] = known
        return found
