# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the units of copies and drills run: whose turn it is, what came of it, and figures of that."""

from __future__ import annotations

import datetime
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from . import copies
from .config import Config
from .copies import CopyError, Repository
from .drill import drill
from .resp import RedisError, Unreachable

HELP = {
    "copy_turn": "1 if this host made the last copy, 0 if it was another's turn.",
    "copy_success": "Whether this host's last copy was made and sent.",
    "copy_last_success_timestamp_seconds": "When this host's last good copy was sent.",
    "copy_bytes": "Size of that.",
    "copy_keys": "Keys in that.",
    "copy_seconds": "How long that took.",
    "drill_success": "Whether the last drill on this host found its copy good.",
    "drill_timestamp_seconds": "When that was.",
    "drill_keys": "Keys that were restored.",
    "drill_copy_age_seconds": "How old the copy was.",
    "drill_seconds": "How long the restore took, from the repository to a loaded server.",
}


def note(state: Path, **values: float) -> None:
    """Keep figures over runs, and publish all of them."""
    file = state / "figures.json"
    try:
        known: dict[str, float] = json.loads(file.read_text())
    except (OSError, ValueError):
        known = {}
    known |= values
    write(file, json.dumps(known))
    lines = []
    for name, text in HELP.items():
        if name in known:
            full = f"chainops_redis_{name}"
            # in plain decimals: a copy may have more bytes than :g has digits
            value = f"{known[name]:.3f}".rstrip("0").rstrip(".")
            lines += [f"# HELP {full} {text}", f"# TYPE {full} gauge", f"{full} {value}"]
    write(state / "metrics.prom", "\n".join([*lines, ""]))


def write(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.replace(path)


def copy(config: Config, job: str, state: Path, timeout: float) -> int:
    begun = time.time()
    directory = state / "copy"
    try:
        mine, why = copies.turn(config)
        sys.stdout.write(f"{'this host makes the copy' if mine else 'not this host'}: {why}\n")
        sys.stdout.flush()
        if not mine:
            note(state, copy_turn=0)
            return 0
        repository = Repository(job, timeout)
        repository.ready()
        manifest = copies.make(config, directory, timeout)
        repository.send(directory)
    except (CopyError, RedisError, Unreachable) as error:
        sys.stderr.write(f"<3>no copy: {error}\n")
        note(state, copy_turn=1, copy_success=0)
        return 1
    finally:
        shutil.rmtree(directory, ignore_errors=True)  # there may be none
    took = time.time() - begun
    note(
        state, copy_turn=1, copy_success=1, copy_last_success_timestamp_seconds=manifest.taken,
        copy_bytes=manifest.bytes, copy_keys=manifest.keys, copy_seconds=round(took, 1),
    )  # fmt: skip
    sys.stdout.write(f"{manifest.keys} keys, {manifest.bytes} bytes, sent in {took:.1f} s\n")
    return 0


def rehearse(config: Config, job: str, state: Path, timeout: float, max_age: float) -> int:
    """A drill, with a dated report that stays."""
    report: dict[str, Any]
    try:
        report = drill(config, Repository(job, timeout), state / "copy", state / "drill", max_age)
    except CopyError as error:
        report = {"good": False, "problem": str(error)}
    now = datetime.datetime.now(datetime.UTC)
    report = {"at": now.isoformat(timespec="seconds"), "host": config.name, "watched": config.watched} | report
    reports = state / "reports"
    reports.mkdir(mode=0o755, exist_ok=True)
    text = json.dumps(report, indent=1) + "\n"
    write(reports / f"{now:%Y%m%dT%H%M%SZ}.json", text)
    write(state / "drill.json", text)
    good = report["good"]
    figures = {"drill_success": int(good), "drill_timestamp_seconds": now.timestamp()}
    if good:
        figures |= {"drill_keys": report["keys"], "drill_copy_age_seconds": report["age_seconds"]}
        figures["drill_seconds"] = report["seconds"]
        sys.stdout.write(f"good: {report['keys']} keys of copy {report['copy']} in {report['seconds']} s\n")
    else:
        sys.stderr.write(f"<3>the drill failed: {report['problem']}\n")
    note(state, **figures)
    return 0 if good else 1
