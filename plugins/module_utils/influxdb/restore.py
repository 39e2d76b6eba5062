# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A copy of the repository, brought back: to a scratch server that proves it, or to a new database of the real one."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import backups, influxql
from .backups import BackupError
from .client import InfluxError
from .restic import Restic
from .scratch import Scratch

# A report names that many differences; the number of all of them is beside.
SHOWN = 20


@contextlib.contextmanager
def workplace(path: str) -> Iterator[Path]:
    """A directory that is gone afterwards. One run at a time: the directory is the lock."""
    directory = Path(path)
    try:
        directory.mkdir(parents=True)
        # Whatever the umask: the scratch server's user passes through.
        directory.chmod(0o711)
    except FileExistsError:
        raise BackupError(f"{path} exists: another run is under way, or was killed; remove it if none is") from None
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)  # what a server held open goes with its end


def chosen(restic: Restic, copy: str) -> dict[str, Any]:
    """The copy of that id, or the newest."""
    copies = restic.copies()
    found = [each for each in copies if copy == "latest" or each["id"].startswith(copy)]
    if not found:
        raise BackupError(f"the repository holds no copy {copy}" if copies else "the repository holds no copy")
    return found[-1]


def age_hours(copy: dict[str, Any]) -> float:
    when = datetime.datetime.fromisoformat(str(copy["time"])[:19]).replace(tzinfo=datetime.UTC)
    zone = str(copy["time"])[-6:]
    if zone[0] in "+-":
        sign = -1 if zone[0] == "+" else 1
        when += sign * datetime.timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
    return (time.time() - when.timestamp()) / 3600


def fetch(restic: Restic, copy: dict[str, Any], into: Path, database: str = "") -> dict[str, Any]:
    """Bring a copy and check its files: influxd restores a set that lacks a file without a word."""
    restic.fetch(copy["id"], into)
    # It holds hashes of passwords.
    into.chmod(0o700)
    manifest = backups.read_manifest(into)
    wrong = backups.faults(into, manifest)
    if wrong:
        raise BackupError(f"copy {copy['short_id']}: {'; '.join(wrong)}")
    backups.compose(into, manifest, database)
    return manifest


def drill(restic: Restic, copy: str, place: str, influxd: str, user: str) -> dict[str, Any]:
    """Restore everything into a scratch server and count; what was found, without raising for what is only wrong."""
    with workplace(place) as directory:
        picked = chosen(restic, copy)
        result: dict[str, Any] = {"copy": picked["short_id"], "age_hours": round(age_hours(picked), 2)}
        manifest = fetch(restic, picked, directory / "copy")
        names = {name: name for name in backups.databases(manifest)}
        with Scratch(directory / "server", influxd, user) as server:
            words = [influxd, "restore", "-portable", "-host", server.rpc, str(directory / "copy")]
            backups.run(words, "influxd restore", timeout=12 * 3600)
            wrong, compared = backups.compare(server.client, manifest, names)
        return result | {
            "databases": sorted(names),
            "shards": len(manifest["shards"]),
            "series": compared,
            "differences": len(wrong),
            "shown": wrong[:SHOWN],
        }


def mark(place: str, new: str) -> Path:
    """A file that is there while a database is restored and not yet counted, whatever ends the run."""
    return Path(f"{place}.unfinished", new)


def begun(place: str, new: str, copy: str) -> None:
    path = mark(place, new)
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.write(f"{copy}\n")
        file.flush()
        os.fsync(file.fileno())


def refuse_unfinished(place: str, new: str) -> None:
    """A database that is there, of which no run has said that it is whole."""
    path = mark(place, new)
    if path.is_file():
        copy = path.read_text(encoding="utf-8").strip()
        raise BackupError(
            f"{new} is what a restore of copy {copy} left that did not end, and may lack points: drop it "
            f"(DROP DATABASE {influxql.name(new)}) and run this again, or remove {path} to keep it as it is"
        )


def into_new(restic: Restic, copy: str, place: str, server: backups.Server, names: tuple[str, str]) -> dict[str, Any]:
    """Restore one database under a new name beside the real ones, and count."""
    database, new = names
    with workplace(place) as directory:
        picked = chosen(restic, copy)
        manifest = fetch(restic, picked, directory / "copy", database)
        words = [server.influxd, "restore", "-portable", "-host", server.rpc, "-db", database, "-newdb", new]
        begun(place, new, picked["short_id"])
        try:
            backups.run([*words, str(directory / "copy")], "influxd restore", timeout=12 * 3600)
            wrong, compared = backups.compare(server.client, manifest, {database: new})
            if wrong:
                raise BackupError(f"{len(wrong)} differences to the manifest, such as {'; '.join(wrong[:3])}")
        except Exception as error:
            # It is new and nobody has counted it: nobody can have used it yet.
            try:
                server.client.query(f"DROP DATABASE {influxql.name(new)}", post=True)
            except InfluxError as other:
                raise BackupError(f"{error}; and {new} could not be dropped again: {other}") from None
            mark(place, new).unlink()
            raise
        mark(place, new).unlink()
        return {"copy": picked["short_id"], "age_hours": round(age_hours(picked), 2), "series": compared}


HELP = {
    "success": "Whether the last drill was green.",
    "last_run_timestamp_seconds": "When the last drill ended.",
    "last_success_timestamp_seconds": "When the last green drill ended, 0 if there was none.",
    "series": "Series that the last drill counted.",
    "differences": "Counts that were not as in the manifest.",
    "copy_age_hours": "Age of the copy that was drilled.",
    "duration_seconds": "How long the last drill took.",
}


def decimal(value: float) -> str:
    """A time in seconds has ten digits: the six of :g would move it by hours."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def publish(path: Path, figures: dict[str, float]) -> None:
    """Figures for the textfile collector; the time of the last green drill is kept from the file of before."""
    lines = []
    for name, text in HELP.items():
        full = f"chainops_influxdb_drill_{name}"
        lines += [f"# HELP {full} {text}", f"# TYPE {full} gauge", f"{full} {decimal(figures.get(name, 0))}"]
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_text("\n".join(lines) + "\n", encoding="utf-8")
    new.chmod(0o644)
    new.replace(path)


def last_success(path: Path) -> float:
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("chainops_influxdb_drill_last_success_timestamp_seconds "):
                return float(line.split()[1])
    except (OSError, ValueError):
        pass
    return 0.0


def report(directory: Path, result: dict[str, Any]) -> Path:
    """A dated file for whoever asks whether the backups were ever restored."""
    directory.mkdir(parents=True, exist_ok=True)
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    path = directory / f"influxdb-{stamp}.json"
    path.write_text(json.dumps(result | {"ended": stamp}, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return path
