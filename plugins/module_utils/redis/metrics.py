# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Figures for Prometheus, from what the agent last heard."""

from __future__ import annotations

from dataclasses import dataclass

from .verdict import Verdict

# name -> (field of INFO, kind, what it is)
NUMBERS = {
    "connected_clients": ("connected_clients", "gauge", "Clients."),
    "blocked_clients": ("blocked_clients", "gauge", "Clients that wait in a blocking command."),
    "rejected_connections_total": ("rejected_connections", "counter", "Connections refused at maxclients."),
    "memory_used_bytes": ("used_memory", "gauge", "Memory of the data and of buffers."),
    "memory_max_bytes": ("maxmemory", "gauge", "maxmemory."),
    "memory_resident_bytes": (
        "used_memory_rss",
        "gauge",
        "Resident memory; far above the used is fragmentation or a fork.",
    ),
    "evicted_keys_total": ("evicted_keys", "counter", "Keys evicted at maxmemory."),
    "expired_keys_total": ("expired_keys", "counter", "Keys that expired."),
    "keyspace_hits_total": ("keyspace_hits", "counter", "Reads that found a key."),
    "keyspace_misses_total": ("keyspace_misses", "counter", "Reads that found none."),
    "commands_total": ("total_commands_processed", "counter", "Commands."),
    "connected_replicas": ("connected_slaves", "gauge", "Replicas with a link to this server."),
    "good_replicas": ("min_slaves_good_slaves", "gauge", "Replicas that count for min-replicas-to-write."),
    "replication_offset_bytes": ("master_repl_offset", "counter", "Position in the replication stream."),
    "replication_silence_seconds": ("master_last_io_seconds_ago", "gauge", "Since a replica last heard of its master."),
    "full_syncs_total": (
        "sync_full",
        "counter",
        "Full copies made for replicas; more than new replicas: backlog too small.",
    ),
    "last_save_timestamp_seconds": ("rdb_last_save_time", "gauge", "Last good RDB."),
    "changes_since_save": ("rdb_changes_since_last_save", "gauge", "Writes since then."),
    "last_fork_microseconds": ("latest_fork_usec", "gauge", "How long the last fork stopped the server."),
    "aof_delayed_fsyncs_total": (
        "aof_delayed_fsync",
        "counter",
        "Writes that waited for an fsync: the disk is too slow.",
    ),
    "loading": ("loading", "gauge", "1 while data is loaded."),
}
WORDS = {
    "replication_link_up": ("master_link_status", "up", "1 while a replica has a link to its master."),
    "last_save_ok": ("rdb_last_bgsave_status", "ok", "0 after a failed RDB."),
    "aof_write_ok": ("aof_last_write_status", "ok", "0 after a failed write to the AOF."),
    "aof_rewrite_ok": ("aof_last_bgrewrite_status", "ok", "0 after a failed rewrite of the AOF."),
}


@dataclass(frozen=True)
class Extra:
    """What INFO does not say."""

    latency: dict[str, int]
    slow: int
    pending: list[str]


def render(verdict: Verdict, info: dict[str, str], voters: int, extra: Extra) -> str:
    lines: list[str] = []

    def add(name: str, kind: str, text: str, values: dict[str, float | int | str]) -> None:
        full = f"chainops_redis_{name}"
        lines.extend([f"# HELP {full} {text}", f"# TYPE {full} {kind}"])
        lines.extend(f"{full}{labels} {value}" for labels, value in values.items())

    add("up", "gauge", "1 while the server answers and is not loading.", {"": int(verdict.healthy)})
    add("primary", "gauge", "1 if writes belong here: master, and named by the Sentinels.", {"": int(verdict.primary)})
    add("replica", "gauge", "1 for a replica of that master that keeps up.", {"": int(verdict.replica)})
    add("sentinel_votes", "gauge", "Sentinels that name this server.", {"": verdict.votes})
    add("sentinels", "gauge", "Sentinels there are.", {"": voters})
    add("restart_pending", "gauge", "Settings that wait for a restart.", {"": len(extra.pending)})
    add("slowlog_entries", "gauge", "Entries in the slow log.", {"": extra.slow})
    events = {f'{{event="{event}"}}': value for event, value in sorted(extra.latency.items())}
    if events:
        add("latency_latest_milliseconds", "gauge", "Latest spike of each kind.", {**events})
    for name, (field, kind, text) in NUMBERS.items():
        if info.get(field, "").lstrip("-").isdigit():
            add(name, kind, text, {"": info[field]})
    for name, (field, good, text) in WORDS.items():
        if field in info:
            add(name, "gauge", text, {"": int(info[field] == good)})
    keys = {
        f'{{db="{name}"}}': value.split(",", 1)[0].removeprefix("keys=")
        for name, value in info.items()
        if name.startswith("db") and value.startswith("keys=")
    }
    if keys:
        add("keys", "gauge", "Keys.", {**keys})
    return "\n".join(lines) + "\n"
