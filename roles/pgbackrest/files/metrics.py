# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What node_exporter's textfile collector shows of a PostgreSQL archive and its repositories.

    metrics.py /etc/pgbackrest/metrics.json

A source that does not answer is a metric of its own (pgbackrest_..._up 0), and the others are written all the same. The
file is replaced by rename, and its own age (pgbackrest_metrics_timestamp_seconds) tells when this has stopped running.
"""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

KINDS = {"full": ("full",), "diff": ("full", "diff"), "incr": ("full", "diff", "incr")}
HELP = {
    "pgbackrest_repository_up": "Whether the repository answers this host.",
    "pgbackrest_repository_status": "Status code that pgBackRest gives for the cluster in this repository, 0 is good.",
    "pgbackrest_backup_last_timestamp_seconds": "End of the last backup that covers this type.",
    "pgbackrest_backup_last_size_bytes": "What the last backup added to the repository.",
    "pgbackrest_backup_count": "Backups in the repository.",
    "pgbackrest_backup_running": "Whether a backup is under way on this host.",
    "pgbackrest_repository_free_bytes": "Free space of the repository's file system.",
    "pgbackrest_repository_size_bytes": "Size of the repository's file system.",
    "pgbackrest_archive_up": "Whether PostgreSQL on this host answers.",
    "pgbackrest_archive_primary": "Whether PostgreSQL on this host takes writes, and archives.",
    "pgbackrest_archive_last_timestamp_seconds": "When the last segment had reached every repository.",
    "pgbackrest_archive_failed_total": "Failed attempts to archive a segment.",
    "pgbackrest_archive_failing": "Whether the last attempt to archive failed.",
    "pgbackrest_archive_ready_files": "Segments that wait to be archived.",
    "pgbackrest_archive_oldest_ready_seconds": "Age of the oldest segment that waits.",
    "pgbackrest_wal_free_bytes": "Free space of the WAL's file system.",
    "pgbackrest_wal_bytes_per_second": "WAL that was written since the look before this one, per second.",
    "pgbackrest_wal_full_seconds": "Seconds until the WAL's file system is full at that rate, if nothing is archived.",
    "pgbackrest_metrics_timestamp_seconds": "When this was written.",
}
SQL = """SELECT json_build_object('standby', pg_is_in_recovery(), 'failed', failed_count,
 'last', extract(epoch FROM last_archived_time), 'last_failed', extract(epoch FROM last_failed_time),
 'lsn', CASE WHEN pg_is_in_recovery() THEN 0 ELSE pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') END) FROM
 pg_stat_archiver"""

Sample = tuple[str, dict[str, str], float]


def ask(words: list[str], user: str, timeout: float = 30) -> str:
    """A program's answer, or OSError; it runs as the given user, who owns the files."""
    env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/"} | (
        {"PATH": os.environ["PATH"]} if os.geteuid() != 0 else {}
    )
    who: dict[str, Any] = {}
    if os.geteuid() == 0 and user:
        entry = pwd.getpwnam(user)
        who = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": os.getgrouplist(user, entry.pw_gid)}
    try:
        done = subprocess.run(words, capture_output=True, timeout=timeout, env=env, cwd="/", check=True, **who)
    except subprocess.SubprocessError as error:
        raise OSError(f"{words[0]}: {error}") from None
    return done.stdout.decode(errors="replace")


def repository(number: int, config: dict[str, Any]) -> list[Sample]:
    """One repository, asked alone so that a silent one hides nothing of the other."""
    labels = {"repository": str(number)}
    # A silent host is given up after two attempts of this long.
    words = [config.get("pgbackrest", "pgbackrest"), f"--stanza={config['stanza']}", f"--repo={number}"]
    words += [
        "--output=json",
        "--io-timeout=10",
        "--protocol-timeout=12",
        "--log-level-console=off",
        "--log-level-file=off",
    ]
    words += [f"--config={config['config']}"] if config.get("config") else []
    try:
        stanza = json.loads(ask([*words, "info"], config["user"], 40))[0]
        status = next(each["status"] for each in stanza["repo"] if each["key"] == number)
        # 99: it could not be read; 1 and 2: it answers and has no stanza or no backup
        if status["code"] == 99:
            return [("pgbackrest_repository_up", labels, 0.0), ("pgbackrest_repository_status", labels, 99)]
        backups = [each for each in stanza["backup"] if each["database"]["repo-key"] == number]
        found = [
            ("pgbackrest_repository_up", labels, 1.0),
            ("pgbackrest_repository_status", labels, status["code"]),
            ("pgbackrest_backup_count", labels, len(backups)),
            ("pgbackrest_backup_running", labels, float(stanza["status"]["lock"]["backup"]["held"])),
        ]
        for kind, covered in KINDS.items():
            last = max((b for b in backups if b["type"] in covered), key=lambda b: b["timestamp"]["stop"], default=None)
            typed = labels | {"type": kind}
            found.append(("pgbackrest_backup_last_timestamp_seconds", typed, last["timestamp"]["stop"] if last else 0))
        if backups:
            added = backups[-1]["info"]["repository"].get("delta") or 0
            found.append(("pgbackrest_backup_last_size_bytes", labels, added))
        return found
    except (OSError, ValueError, KeyError, IndexError, StopIteration, TypeError):
        return [("pgbackrest_repository_up", labels, 0.0)]


def database(config: dict[str, Any], now: float) -> tuple[list[Sample], dict[str, Any]]:
    words = [config.get("psql", "psql"), "-XqAtw", "-h", config["socket_dir"], "-p", str(config["port"])]
    try:
        row = json.loads(ask([*words, "-U", "postgres", "-d", "postgres", "-c", SQL], config["user"], 10))
    except (OSError, ValueError, KeyError):
        return [("pgbackrest_archive_up", {}, 0.0)], {}
    failing = bool(row["last_failed"]) and (row["last_failed"] or 0) > (row["last"] or 0)
    found: list[Sample] = [
        ("pgbackrest_archive_up", {}, 1.0),
        ("pgbackrest_archive_primary", {}, float(not row["standby"])),
        ("pgbackrest_archive_last_timestamp_seconds", {}, row["last"] or 0),
        ("pgbackrest_archive_failed_total", {}, row["failed"]),
        ("pgbackrest_archive_failing", {}, float(failing and not row["standby"])),
    ]
    return found, {"time": now, "lsn": row["lsn"]}


def wal(config: dict[str, Any], now: float, seen: dict[str, Any], before: dict[str, Any]) -> list[Sample]:
    """The queue and the room it has; readable without PostgreSQL."""
    directory = Path(config["data_dir"]) / "pg_wal"
    try:
        with os.scandir(directory / "archive_status") as entries:
            ready = [entry.stat().st_mtime for entry in entries if entry.name.endswith(".ready")]
        room = os.statvfs(directory)
    except OSError:
        return []
    free = room.f_bavail * room.f_frsize
    found: list[Sample] = [
        ("pgbackrest_archive_ready_files", {}, len(ready)),
        ("pgbackrest_archive_oldest_ready_seconds", {}, max(0.0, now - min(ready)) if ready else 0.0),
        ("pgbackrest_wal_free_bytes", {}, free),
    ]
    if seen.get("lsn") and before.get("lsn") and now > before["time"]:
        rate = max(0.0, (seen["lsn"] - before["lsn"]) / (now - before["time"]))
        found.append(("pgbackrest_wal_bytes_per_second", {}, rate))
        if rate:
            found.append(("pgbackrest_wal_full_seconds", {}, free / rate))
    return found


def text(samples: list[Sample]) -> str:
    lines = []
    for name, words in HELP.items():
        mine = [sample for sample in samples if sample[0] == name]
        if mine:
            lines += [f"# HELP {name} {words}", f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}"]
        for _name, labels, value in mine:
            inner = ",".join(f'{key}="{label}"' for key, label in labels.items())
            lines.append(f"{name}{{{inner}}} {value:.17g}" if inner else f"{name} {value:.17g}")
    return "\n".join(lines) + "\n"


def replace(path: Path, content: str) -> None:
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(content)
    beside.chmod(0o644)
    beside.replace(path)


def main() -> int:
    config = json.loads(Path(sys.argv[1]).read_text())
    output, now = Path(config["output"]), time.time()
    samples: list[Sample] = []
    for number in config["repositories"]:
        samples += repository(number, config)
    if config["role"] == "member":
        # What was seen last, for a rate; beside the output, where only root writes.
        memory = output.with_name(".pgbackrest-metrics.json")
        try:
            before = json.loads(memory.read_text())
        except (OSError, ValueError):
            before = {}
        found, seen = database(config, now)
        samples += found + wal(config, now, seen, before)
        replace(memory, json.dumps(seen))
    else:
        room = os.statvfs(config["repository_path"])
        samples.append(("pgbackrest_repository_free_bytes", {}, room.f_bavail * room.f_frsize))
        samples.append(("pgbackrest_repository_size_bytes", {}, room.f_blocks * room.f_frsize))
    samples.append(("pgbackrest_metrics_timestamp_seconds", {}, now))
    replace(output, text(samples))
    return 0


if __name__ == "__main__":
    sys.exit(main())
