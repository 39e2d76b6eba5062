# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Measure restic repositories as they are on disk; once a day remove old copies and read a part of the data back.

What is measured needs no key: restic keeps one file for each copy in snapshots/. A removal is refused while a copy is
dated in the future, as a sender that was taken over could add such copies until the retention drops the real ones.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

STATE = Path(os.environ.get("STATE_DIRECTORY", "/var/lib/backup_repository"))
SKEW_SECONDS = 3600


def measure(repository: Path) -> dict[str, float]:
    """Newest copy, number of copies and bytes of a repository; of one that nobody has made yet, zeros."""
    copies = [path.stat() for path in repository.glob("snapshots/*") if path.is_file()]
    size = sum(path.stat().st_size for path in repository.rglob("*") if path.is_file())
    return {
        "latest_copy_timestamp_seconds": max((copy.st_mtime for copy in copies), default=0),
        "copies": len(copies),
        "size_bytes": size,
    }


class Restic:
    def __init__(self, repository: Path, name: str, key_file: str) -> None:
        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        key = str(Path(credentials, name)) if credentials else key_file
        self.environment = {
            "PATH": "/usr/bin:/bin",
            "RESTIC_REPOSITORY": str(repository),
            "RESTIC_PASSWORD_FILE": key,
            "RESTIC_CACHE_DIR": os.environ.get("CACHE_DIRECTORY", "/var/cache/backup_repository"),
        }

    def run(self, *words: str) -> str:
        done = subprocess.run(
            ["restic", "--quiet", "--retry-lock=30m", *words],
            env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise RuntimeError(f"restic {words[0]} ended with {done.returncode}: {last}")
        return done.stdout


def dated_in_future(restic: Restic) -> list[str]:
    found = []
    for snapshot in json.loads(restic.run("snapshots", "--json") or "[]"):
        # nine digits of a second are more than Python reads
        stamp = snapshot["time"][:19] + "+00:00"
        taken = datetime.datetime.fromisoformat(stamp).timestamp()
        # the offset of its own zone is cut off above: at most 14 hours
        if taken > time.time() + SKEW_SECONDS + 14 * 3600:
            found.append(snapshot["short_id"])
    return found


def tend(repository: Path, job: dict[str, Any], percent: int) -> None:
    """Remove what the retention no longer wants, then read back; RuntimeError says what is wrong."""
    restic = Restic(repository, job["name"], job["key_file"])
    early = dated_in_future(restic)
    if early:
        raise RuntimeError(
            f"copies {', '.join(early)} are dated in the future: nothing is removed before somebody has looked"
        )
    keep = [f"--keep-{kind}={number}" for kind, number in job["keep"].items() if number]
    restic.run("forget", "--group-by=tags", "--prune", *keep)
    restic.run("check", *([f"--read-data-subset={percent}%"] if percent else []))


def due(name: str, today: str) -> bool:
    try:
        return (STATE / f"{name}.tended").read_text().strip() != today
    except FileNotFoundError:
        return True


def publish(figures: dict[str, dict[str, float]]) -> None:
    help_of = {
        "latest_copy_timestamp_seconds": "When the newest copy arrived, 0 if there is none.",
        "copies": "Number of copies.",
        "size_bytes": "Bytes that the repository takes on disk.",
        "upkeep_success": "Whether the last removal and the last check went well; 1 without a key.",
    }
    lines = []
    for metric, text in help_of.items():
        full = f"chainops_backup_repository_{metric}"
        lines += [f"# HELP {full} {text}", f"# TYPE {full} gauge"]
        lines += [f'{full}{{job="{name}"}} {values[metric]:.0f}' for name, values in figures.items()]
    new = STATE / "metrics.new"
    new.write_text("\n".join(lines) + "\n")
    new.chmod(0o644)
    new.replace(STATE / "metrics.prom")


def main(path: str) -> int:
    config = json.loads(Path(path).read_text())
    today = datetime.date.today().isoformat()
    figures, failed = {}, False
    for job in config["jobs"]:
        name, repository = job["name"], Path(config["data_dir"], job["name"])
        marker = STATE / f"{name}.failed"
        if job["key_file"] and (repository / "config").exists() and due(name, today):
            try:
                tend(repository, job, config["check_percent"])
                marker.unlink(missing_ok=True)
            except RuntimeError as error:
                sys.stderr.write(f"<3>{name}: {error}\n")
                marker.write_text(f"{error}\n")
                failed = True
            (STATE / f"{name}.tended").write_text(today)
        figures[name] = measure(repository) | {"upkeep_success": 0 if marker.exists() else 1}
    publish(figures)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
