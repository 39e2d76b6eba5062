# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A drill: restore to scratch, look at every page, compare with the manifest; and report it to machines and people."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
import typing as t
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from . import info
from . import manifest as manifests
from .command import Pgbackrest, PgbackrestError, identity, run
from .scratch import Scratch
from .target import Target, restore

MARK = ".chainops-drill"
POLL_SECONDS = 1.0
STEPS = ("repository", "restore", "recovery", "structure", "manifest", "checksums")


@dataclass
class Step:
    """One part of a drill."""

    name: str
    good: bool
    seconds: float
    detail: str


@dataclass
class Drill:
    """What is restored from where, and what came of it."""

    pgbackrest: Pgbackrest
    number: int
    manifest: dict[str, t.Any]
    work_dir: Path
    bin_dir: Path
    timeout: float = 3600
    memory_mb: int = 256
    amcheck: bool = True
    keep: bool = False
    archive_timeout: float = 120
    steps: list[Step] = field(default_factory=list)
    started: float = field(default_factory=time.time)
    backup: str = ""

    @property
    def good(self) -> bool:
        return len(self.steps) == len(STEPS) and all(step.good for step in self.steps)

    @property
    def home(self) -> Path:
        return self.work_dir / time.strftime("drill-%Y%m%dT%H%M%SZ", time.gmtime(self.started))

    def run(self) -> None:
        """Every step in order. The first that fails ends it, except that both looks at the data are always taken."""
        self._clear()
        data_dir = self.home / "data"
        scratch = Scratch(data_dir, self.home / "run", self.bin_dir, self.pgbackrest.user, memory_mb=self.memory_mb)
        try:
            self._step("repository", self._choose)
            self._step("restore", lambda: self._restore(data_dir))
            try:
                scratch.start()
                self._step("recovery", lambda: self._recover(scratch))
                good = [
                    self._tried("structure", lambda: self._structure(scratch)),
                    self._tried("manifest", lambda: self._compare(scratch)),
                ]
            finally:
                scratch.stop()
            good.append(self._tried("checksums", lambda: self._checksums(data_dir)))
        except PgbackrestError as error:
            if not self.steps or self.steps[-1].good:
                self.steps.append(Step("end", False, 0, str(error)))
            return
        if all(good) and not self.keep:
            shutil.rmtree(self.home)

    def _clear(self) -> None:
        """Make the place of this drill, and remove those of earlier ones, which carry this module's mark."""
        self.work_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
        for old in self.work_dir.glob("drill-*"):
            if (old / MARK).is_file() and not old.is_symlink():
                shutil.rmtree(old)
        self.home.mkdir(mode=0o755)
        (self.home / MARK).write_text("Made by a drill, and removed by the next one.\n")

    def _step(self, name: str, work: Callable[[], str]) -> None:
        began = time.monotonic()
        try:
            detail = work()
        except (PgbackrestError, OSError) as error:
            self.steps.append(Step(name, False, time.monotonic() - began, str(error)))
            raise PgbackrestError(str(error)) from None
        self.steps.append(Step(name, True, time.monotonic() - began, detail))

    def _tried(self, name: str, work: Callable[[], str]) -> bool:
        with contextlib.suppress(PgbackrestError):
            self._step(name, work)
        return self.steps[-1].good

    def refuse(self, reason: str) -> None:
        """Red without a restore: there is no manifest to compare with."""
        self.steps.append(Step("manifest", False, 0, reason))

    def _archived(self) -> info.Repository:
        """This repository, once it has the segment with the restore point; what the other one lacks does not count."""
        wal_file, end = self.manifest.get("wal_file", ""), time.monotonic() + self.archive_timeout
        while True:
            repository = info.read(self.pgbackrest, self.number)
            repository.must_be_good()
            if repository.archive_max >= wal_file:
                return repository
            if time.monotonic() >= end:
                raise PgbackrestError(
                    f"repository {self.number} lacks {wal_file}, which holds the restore point, after "
                    f"{self.archive_timeout:g} s; its last segment is {repository.archive_max or 'none'}"
                )
            time.sleep(POLL_SECONDS)

    def _choose(self) -> str:
        repository = self._archived()
        backup = repository.before(self.manifest["lsn"])
        if backup is None:
            raise PgbackrestError(
                f"repository {self.number} has no backup that ended before {self.manifest['lsn']}, where the point "
                f"{self.manifest['name']} is: make a backup first, then a manifest"
            )
        self.backup = backup.label
        return f"{backup.kind} backup {backup.label}, {backup.size} bytes"

    def _restore(self, data_dir: Path) -> str:
        target = Target("name", self.manifest["name"], backup=self.backup)
        spaces = self.home / "tablespaces"
        spaces.mkdir(mode=0o700)
        who = identity(self.pgbackrest.user)
        if who:
            os.chown(spaces, who["user"], who["group"])
        restore(self.pgbackrest, target, data_dir, self.number, [f"--tablespace-map-all={spaces}"])
        return f"to the restore point {self.manifest['name']}"

    def _recover(self, scratch: Scratch) -> str:
        scratch.wait_promoted(self.timeout)
        return "the restore point was reached"

    def _structure(self, scratch: Scratch) -> str:
        if not self.amcheck:
            return "left out"
        words = [
            str(self.bin_dir / "pg_amcheck"),
            "--all",
            "--install-missing",
            "--no-password",
            "-h",
            str(scratch.run_dir),
        ]
        done = run([*words, "-U", "postgres"], self.pgbackrest.user, timeout=self.timeout)
        if done.code:
            raise PgbackrestError(f"pg_amcheck found damage: {done.reason}")
        return "pg_amcheck found no damage in tables and B-tree indexes of all databases"

    def _compare(self, scratch: Scratch) -> str:
        problems = manifests.compare(scratch.psql(self.manifest["database"]), self.manifest)
        if problems:
            raise PgbackrestError("; ".join(problems[:20]))
        summed = sum(table["checksum"] is not None for table in self.manifest["tables"].values())
        tables = len(self.manifest["tables"])
        return f"{tables} tables have their rows, {summed} of them their content; the marker is there"

    def _checksums(self, data_dir: Path) -> str:
        words = [str(self.bin_dir / "pg_checksums"), "--check", "-D", str(data_dir)]
        done = run(words, self.pgbackrest.user, timeout=self.timeout)
        if done.code:
            raise PgbackrestError(f"pg_checksums: {done.reason}")
        scanned = next((line for line in done.out.splitlines() if "Blocks scanned" in line), "").split(":")[-1].strip()
        return f"{scanned} blocks have their checksums"

    def report(self) -> dict[str, t.Any]:
        return {
            "format": 1,
            "stanza": self.pgbackrest.stanza,
            "repository": self.number,
            "backup": self.backup,
            "restore_point": self.manifest["name"],
            "lsn": self.manifest["lsn"],
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.started)),
            "seconds": round(sum(step.seconds for step in self.steps), 1),
            "good": self.good,
            "steps": [
                {"name": step.name, "good": step.good, "seconds": round(step.seconds, 1), "detail": step.detail}
                for step in self.steps
            ],
        }


def as_text(report: dict[str, t.Any]) -> str:
    """A report for people."""
    lines = [
        f"Drill of {report['stanza']}, repository {report['repository']}: {'GREEN' if report['good'] else 'RED'}",
        f"began {report['started']}, took {report['seconds']} s",
        f"backup {report['backup'] or 'none'}, restore point {report['restore_point']}",
    ]
    lines += [
        f"  {'good' if s['good'] else 'BAD '}  {s['name']:<11} {s['seconds']:>8.1f} s  {s['detail']}"
        for s in report["steps"]
    ]
    return "\n".join(lines) + "\n"


def as_metrics(report: dict[str, t.Any], ended: float) -> str:
    """A report for Prometheus."""
    labels = f'stanza="{report["stanza"]}",repository="{report["repository"]}"'
    lines = [
        "# HELP postgresql_drill_success Whether the last drill was green.",
        "# TYPE postgresql_drill_success gauge",
        f"postgresql_drill_success{{{labels}}} {int(report['good'])}",
        "# HELP postgresql_drill_timestamp_seconds When the last drill ended.",
        "# TYPE postgresql_drill_timestamp_seconds gauge",
        f"postgresql_drill_timestamp_seconds{{{labels}}} {ended:.0f}",
        "# HELP postgresql_drill_duration_seconds How long it took; the part of a recovery time that this host shows.",
        "# TYPE postgresql_drill_duration_seconds gauge",
        f"postgresql_drill_duration_seconds{{{labels}}} {report['seconds']}",
    ]
    return "\n".join(lines) + "\n"


def write(path: Path, text: str) -> None:
    """By rename, so that nobody reads half of it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text)
    beside.chmod(0o644)
    beside.replace(path)


def publish(report: dict[str, t.Any], report_dir: Path, metrics: Path | None, ended: float) -> list[str]:
    """Write the dated report twice, and the metrics; returns the paths."""
    report_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    stem = f"{report['started'].replace(':', '').replace('-', '')}-{report['stanza']}-{report['repository']}"
    paths = [report_dir / f"{stem}.json", report_dir / f"{stem}.txt"]
    write(paths[0], json.dumps(report, indent=2) + "\n")
    write(paths[1], as_text(report))
    if metrics is not None:
        metrics.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        paths.append(metrics)
        write(metrics, as_metrics(report, ended))
    return [str(path) for path in paths]
