# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bring the copy of this server up to date and send it to the repository; figures for the textfile collector.

influxdb_backup.py /etc/influxdb/backup.json [--everything]
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from influxdb import backups, counts, influxql
from influxdb.client import Client, InfluxError
from influxdb.restic import Restic

HELP = {
    "success": "Whether the last run went well.",
    "last_run_timestamp_seconds": "When the last run ended.",
    "last_success_timestamp_seconds": "When the last run that went well ended, 0 if there was none.",
    "duration_seconds": "How long the last run took.",
    "shards": "Shards in the copy.",
    "copied_shards": "Shards that the last run copied anew.",
    "size_bytes": "Bytes of the copy on the host.",
    "points": "Points in the copy.",
}


def publish(path: Path, figures: dict[str, Any]) -> None:
    lines = ["# HELP chainops_influxdb_series Series of a database.", "# TYPE chainops_influxdb_series gauge"]
    for database, number in sorted(figures.get("series", {}).items()):
        lines.append(f'chainops_influxdb_series{{database="{database}"}} {number}')
    for name, text in HELP.items():
        full = f"chainops_influxdb_backup_{name}"
        lines += [f"# HELP {full} {text}", f"# TYPE {full} gauge", f"{full} {figures.get(name, 0):.0f}"]
    new = path.with_suffix(".new")
    new.write_text("\n".join(lines) + "\n", encoding="utf-8")
    new.replace(path)


def whole_is_due(state: Path, days: float) -> bool:
    """Now and then every shard is copied anew, whatever its files look like."""
    try:
        return time.time() - float((state / "everything").read_text()) > days * 86400
    except (OSError, ValueError):
        return True


def series(client: Client, names: list[str]) -> dict[str, int]:
    """How many series each database has: with the index on disk nothing but an alert bounds them."""
    found = {}
    for name in names:
        (answer,) = client.query(f"SHOW SERIES CARDINALITY ON {influxql.name(name)}")
        found[name] = sum(int(row[0]) for part in answer for row in part.get("values") or [])
    return found


def back_up(config: dict[str, Any], state: Path, everything: bool) -> dict[str, Any]:
    credentials = os.environ.get("CREDENTIALS_DIRECTORY", "")
    password_file = str(Path(credentials, "admin")) if credentials else config["password_file"]
    client = Client(config["url"], config["user"], password_file, config["ca_path"], timeout=config["timeout"])
    server = backups.Server(client, config["rpc"], Path(config["data_dir"]), Path(config["wal_dir"]), config["influxd"])
    copy = Path(config["copy_dir"])
    everything = everything or whole_is_due(state, config["everything_days"])
    manifest = backups.bring_up_to_date(server, copy, everything)
    if not manifest["shards"]:
        sys.stderr.write("<4>the server holds no shard: nothing is sent\n")
    else:
        Restic.from_unit(os.environ.get("CACHE_DIRECTORY", config["cache_dir"])).send(copy)
    if everything:
        (state / "everything").write_text(f"{time.time()}\n")
    return {
        "shards": len(manifest["shards"]),
        "copied_shards": manifest["copied"],
        "size_bytes": sum((copy / file).stat().st_size for file in backups.files_of(manifest)),
        "series": series(client, backups.databases(manifest)),
        "points": sum(counts.total(entry["series"]) for entry in manifest["shards"].values()),
    }


def main(path: str, *words: str) -> int:
    config = json.loads(Path(path).read_text(encoding="utf-8"))
    state = Path(os.environ.get("STATE_DIRECTORY", config["state_dir"]))
    began, last = time.time(), state / "last.json"
    try:
        figures = json.loads(last.read_text())
    except (OSError, ValueError):
        figures = {}
    try:
        figures |= back_up(config, state, "--everything" in words) | {"success": 1}
    except (InfluxError, backups.BackupError) as error:
        sys.stderr.write(f"<3>{error}\n")
        figures["success"] = 0
    ended = time.time()
    figures |= {"last_run_timestamp_seconds": ended, "duration_seconds": ended - began}
    if figures["success"]:
        figures["last_success_timestamp_seconds"] = ended
    last.write_text(json.dumps(figures))
    publish(state / "metrics.prom", figures)
    return 0 if figures["success"] else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
