# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A backup of InfluxDB: one file for each shard, what holds the policies, and a manifest with counts and sums.

The set on the host is always a whole backup. A run copies only the shards whose files have changed since they were
copied last (a shard is a span of time, so that is mostly the newest one of each policy), and the repository stores only
what it does not hold yet. So every copy in the repository is complete by itself: no chain of increments must be intact.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from . import counts
from .client import Client, InfluxError

MANIFEST = "chainops-manifest.json"
VERSION = 1


class BackupError(Exception):
    """What went wrong, for a person; never with a secret."""


def run(words: list[str], what: str, **options: Any) -> str:
    """The output of a program; its last line if it fails. No secret is ever among the words."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BackupError(f"{what}: {type(error).__name__}") from None
    if done.returncode:
        last = ((done.stderr.strip() or done.stdout.strip()).splitlines() or ["no message"])[-1]
        raise BackupError(f"{what} ended with {done.returncode}: {last}")
    return done.stdout


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of a set; an empty one where there is none."""
    try:
        found = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"version": VERSION, "shards": {}}
    except (OSError, ValueError) as error:
        raise BackupError(f"the manifest in {directory} cannot be read: {type(error).__name__}") from None
    if not isinstance(found, dict) or found.get("version") != VERSION:
        raise BackupError(f"the manifest in {directory} is of a version that is not known here")
    return found


@dataclasses.dataclass
class Server:
    """The server that is copied: its HTTP API, the address of its backup service, and where its files are."""

    client: Client
    rpc: str
    data_dir: Path
    wal_dir: Path
    influxd: str = "/usr/bin/influxd"

    def fingerprint(self, shard: counts.Shard) -> str:
        """Changes whenever points are written to the shard, or its files are compacted."""
        found = []
        for root in (self.data_dir, self.wal_dir):
            folder = root / shard.database / shard.policy / str(shard.number)
            for path in sorted(folder.glob("*")):
                if path.is_file():
                    state = path.stat()
                    found.append(f"{path} {state.st_size} {state.st_mtime_ns}")
        return hashlib.sha256("\n".join(found).encode()).hexdigest()

    def copy_shard(self, shard: counts.Shard, into: Path) -> tuple[Path, Path, dict[str, Any]]:
        """The shard's archive, the policies' file, and what influxd says of both."""
        shutil.rmtree(into, ignore_errors=True)  # what an earlier run left, if there is any
        words = [self.influxd, "backup", "-portable", "-host", self.rpc, "-db", shard.database]
        words += ["-rp", shard.policy, "-shard", str(shard.number), str(into)]
        run(words, f"influxd backup of shard {shard.number}", timeout=6 * 3600)
        manifests = list(into.glob("*.manifest"))
        if len(manifests) != 1:
            raise BackupError(f"influxd backup of shard {shard.number} left {len(manifests)} manifests, not one")
        said = json.loads(manifests[0].read_text(encoding="utf-8"))
        files = [entry for entry in said["files"] if entry["shardID"] == shard.number]
        if len(files) != 1:
            raise BackupError(f"influxd backup of shard {shard.number} holds {len(files)} files of it, not one")
        archive, meta = into / files[0]["fileName"], into / said["meta"]["fileName"]
        return archive, meta, {"size": files[0]["size"], "meta_size": said["meta"]["size"]}


def bring_up_to_date(server: Server, directory: Path, everything: bool = False) -> dict[str, Any]:
    """Copy what has changed into the set; its new manifest. A run that is killed leaves the set as it was."""
    directory.mkdir(parents=True, exist_ok=True)
    old = {"shards": {}} if everything else read_manifest(directory)
    manifest: dict[str, Any] = {"version": VERSION, "began": time.time(), "shards": {}, "copied": 0}
    if "meta" in old:
        manifest["meta"] = old["meta"]
    for shard in counts.shards(server.client):
        number, whose = str(shard.number), dataclasses.asdict(shard)
        fingerprint = server.fingerprint(shard)
        known = old["shards"].get(number)
        same = known and known["shard"] == whose and known["fingerprint"] == fingerprint
        if same and (directory / known["file"]).is_file():
            manifest["shards"][number] = known
            continue
        copied = copy(server, shard, directory)
        if copied:
            entry, manifest["meta"] = copied
            manifest["shards"][number] = entry | {"shard": whose, "fingerprint": fingerprint}
            manifest["copied"] += 1
    manifest["ended"] = time.time()
    write_manifest(directory, manifest)
    wanted = {MANIFEST, *files_of(manifest)}
    for path in directory.iterdir():
        if path.name not in wanted and path.is_file():
            path.unlink()
    return manifest


def files_of(manifest: dict[str, Any]) -> dict[str, str]:
    """The SHA-256 sum of each file of a set."""
    entries = [*manifest["shards"].values(), *([manifest["meta"]] if "meta" in manifest else [])]
    return {entry["file"]: entry["sha256"] for entry in entries}


def copy(server: Server, shard: counts.Shard, directory: Path) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Count, copy, count: what was written meanwhile may be in the copy or not. None for a shard that is gone.

    The second value is the file with all policies, which comes with every shard.
    """
    work = directory / "work"
    try:
        first = counts.points(server.client, shard)
        archive, meta, said = server.copy_shard(shard, work)
        last = counts.points(server.client, shard)
    except (BackupError, InfluxError):
        # A policy may have let go of it meanwhile; anything else is an error.
        if shard.number in {other.number for other in counts.shards(server.client)}:
            raise
        return None
    entry = keep(archive, directory, f"{shard.number}-", ".tar.gz") | {
        "size": said["size"],
        "series": counts.between(first, last),
    }
    policies = keep(meta, directory, "meta-", "") | {"size": said["meta_size"]}
    shutil.rmtree(work, ignore_errors=True)  # empty but for influxd's own manifest
    return entry, policies


def keep(path: Path, directory: Path, prefix: str, suffix: str) -> dict[str, Any]:
    """Move a file into the set, under a name of its content: the manifest of before refers to the file of before."""
    sha256 = digest(path)
    file = f"{prefix}{sha256[:16]}{suffix}"
    path.replace(directory / file)
    return {"file": file, "sha256": sha256}


def write_manifest(directory: Path, manifest: dict[str, Any]) -> None:
    new = directory / f"{MANIFEST}.new"
    with new.open("w", encoding="utf-8") as file:
        json.dump(manifest, file, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    new.replace(directory / MANIFEST)


def faults(directory: Path, manifest: dict[str, Any]) -> list[str]:
    """What is missing from a set, or not as it was when it was copied."""
    found = []
    for file, sha256 in files_of(manifest).items():
        path = directory / file
        if not path.is_file():
            found.append(f"{file} is missing")
        elif digest(path) != sha256:
            found.append(f"{file} is not what was copied (SHA-256)")
    return found


def compose(directory: Path, manifest: dict[str, Any], database: str = "") -> None:
    """The manifest that influxd restores by, of one database or of all."""
    files = [
        {
            "database": entry["shard"]["database"],
            "policy": entry["shard"]["policy"],
            "shardID": entry["shard"]["number"],
            "fileName": entry["file"],
            "size": entry["size"],
            "lastModified": 0,
        }
        for entry in manifest["shards"].values()
        if database in ("", entry["shard"]["database"])
    ]
    if not files:
        raise BackupError(f"the copy holds nothing of database {database}" if database else "the copy holds no shard")
    whole = {
        "meta": {"fileName": manifest["meta"]["file"], "size": manifest["meta"]["size"]},
        "limited": False,
        "files": files,
    }
    (directory / "chainops.manifest").write_text(json.dumps(whole), encoding="utf-8")


def databases(manifest: dict[str, Any]) -> list[str]:
    return sorted({entry["shard"]["database"] for entry in manifest["shards"].values()})


def compare(
    client: Client, manifest: dict[str, Any], names: dict[str, str], patience: float = 60
) -> tuple[list[str], int]:
    """What restored databases lack or hold too much of, and how many series were compared; names are old to new.

    A shard that was just restored may answer with nothing for a moment, so one that differs is counted again until the
    patience with all of them is over.
    """
    wrong: list[str] = []
    compared, until = 0, time.monotonic() + patience
    for entry in manifest["shards"].values():
        shard = counts.Shard(**entry["shard"])
        if shard.database not in names:
            continue
        restored = dataclasses.replace(shard, database=names[shard.database])
        while True:
            found = counts.differences(entry["series"], counts.points(client, restored))
            if not found or time.monotonic() > until:
                break
            time.sleep(0.5)
        wrong += [f"{shard.database}.{shard.policy} shard {shard.number}: {text}" for text in found]
        compared += len(entry["series"])
    return wrong, compared


def valid_name(text: str) -> bool:
    """A database's name that is plain on a command line and in a path."""
    return bool(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}", text))
