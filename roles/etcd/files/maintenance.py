# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Daily work on one member of etcd: a verified snapshot, and space given back where much of the file is empty.

    maintenance.py CONFIG                 snapshot, then defragmentation under the cluster's lock
    maintenance.py CONFIG --defragment    what the holder of the lock does

A defragmentation stops its member for seconds. So it is done by one member at a time, only while every member is well,
only where it is worth it, and by the leader last, after it has given leadership away.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LOCK = "chainops/defragment"
LOCK_TTL = 120  # seconds that the lock outlives a holder that dies; longer than a defragmentation takes
QUICK, SLOW = 30, 900  # seconds that an answer, a snapshot or a defragmentation may take


class Failed(Exception):
    """What went wrong, for the journal."""


class Member:
    """This host's member and how the others are reached."""

    def __init__(self, config: dict) -> None:
        self.config = config
        self.local: str = config["local"]
        self.others: list[str] = config["others"]

    def command(self, *words: str, endpoints: list[str] | None = None) -> list[str]:
        files = [f"--{name}={path}" for name, path in self.config["files"].items()]
        at = ",".join(endpoints or [self.local])
        return ["etcdctl", f"--endpoints={at}", *files, "--dial-timeout=5s", *words]

    def etcdctl(self, *words: str, endpoints: list[str] | None = None, timeout: int = QUICK) -> str:
        return run(self.command(f"--command-timeout={timeout}s", *words, endpoints=endpoints), timeout + 10)

    def statuses(self) -> list[dict]:
        """Every member's own words. One that does not answer, or has an error, is an end of it."""
        members = json.loads(self.etcdctl("member", "list", "--write-out=json"))["members"]
        silent = [member for member in members if not member.get("clientURLs")]
        if silent:
            raise Failed(f"{len(silent)} members have not started yet")
        endpoints = [member["clientURLs"][0] for member in members]
        self.etcdctl("endpoint", "health", endpoints=endpoints)
        answers = json.loads(self.etcdctl("endpoint", "status", "--write-out=json", endpoints=endpoints))
        if len(answers) < len(members) or any(answer["Status"].get("errors") for answer in answers):
            raise Failed("a member is not well")
        return answers

    def own(self) -> dict:
        return json.loads(self.etcdctl("endpoint", "status", "--write-out=json"))[0]["Status"]


def run(command: list[str], timeout: int) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(f"{command[0]}: {error}") from error
    if done.returncode:
        raise Failed(f"{' '.join(command[-3:])}: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    return done.stdout


def snapshot(member: Member) -> dict[str, float]:
    """Save what the member has, read it back, and only then count it and let old ones go."""
    directory = Path(member.config["backup_dir"])
    now = datetime.datetime.now(datetime.UTC)
    final = directory / f"etcd-{member.config['name']}-{now:%Y%m%dT%H%M%SZ}.db"
    beside = final.with_suffix(".new")
    for left in directory.glob("*.new*"):
        left.unlink()
    member.etcdctl("snapshot", "save", str(beside), timeout=SLOW)
    status = json.loads(run(["etcdutl", "snapshot", "status", str(beside), "--write-out=json"], SLOW))
    if not status.get("totalKey") and not status.get("revision"):
        raise Failed(f"{beside} is empty")
    beside.replace(final)
    saved = sorted(directory.glob(f"etcd-{member.config['name']}-*.db"))
    for old in saved[: -member.config["backup_keep"]]:
        old.unlink()
    return {
        "snapshot_time_seconds": now.timestamp(),
        "snapshot_size_bytes": final.stat().st_size,
        "snapshot_revision": status.get("revision", 0),
        "snapshot_keys": status.get("totalKey", 0),
    }


def worthwhile(status: dict, config: dict) -> bool:
    """Whether much of the file is empty: less than the ratio in use, or large and less than nine tenths in use."""
    size, used = status["dbSize"], status.get("dbSizeInUse", status["dbSize"])
    large = size > config["defrag_size"]
    return size > 0 and (used < config["defrag_ratio"] * size if not large else used < 0.9 * size)


def defragment(member: Member) -> str:
    """Under the lock: look again at everybody, then give back this member's space."""
    answers = member.statuses()
    own = member.own()
    if not worthwhile(own, member.config):
        return "not needed"
    mine = own["header"]["member_id"]
    if own["leader"] == mine:
        waiting = [
            each
            for each in answers
            if each["Status"]["header"]["member_id"] != mine and worthwhile(each["Status"], member.config)
        ]
        if waiting:
            return "left to another day: this is the leader, and it comes last"
        heir = next((each for each in answers if each["Status"]["header"]["member_id"] != mine), None)
        if heir is not None:
            member.etcdctl("move-leader", f"{heir['Status']['header']['member_id']:x}")
            time.sleep(1)
    member.etcdctl("defrag", timeout=SLOW)
    member.statuses()  # not before everybody is well again does the lock go to the next
    return f"done: {own['dbSize']} bytes before, {member.own()['dbSize']} after"


def take_turn(member: Member, config: Path) -> str:
    """Ask for the lock only if there is something to do. It is held through others, as this member will stand still."""
    member.statuses()
    if not worthwhile(member.own(), member.config):
        return "not needed"
    holder = [sys.executable, "-IB", str(Path(__file__).resolve()), str(config), "--defragment"]
    endpoints = member.others or [member.local]
    command = member.command("lock", f"--ttl={LOCK_TTL}", LOCK, "--", *holder, endpoints=endpoints)
    return run(command, SLOW * 2).strip()


def write_metrics(path: Path, values: dict[str, float], name: str) -> None:
    text = ""
    for key, value in values.items():
        text += f"# TYPE etcd_maintenance_{key} gauge\n"
        text += f'etcd_maintenance_{key}{{member="{name}"}} {value:.0f}\n'
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    Path(beside).chmod(0o644)
    Path(beside).replace(path)


def kept_metrics(path: Path) -> dict[str, float]:
    """Those of the run before: the age of the last good snapshot must grow while new ones fail."""
    values = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("etcd_maintenance_"):
                name, value = line.split("{")[0], line.rsplit(maxsplit=1)[1]
                values[name.removeprefix("etcd_maintenance_")] = float(value)
    return values


def daily(config_file: Path) -> int:
    config = json.loads(config_file.read_text(encoding="utf-8"))
    member, metrics = Member(config), Path(config["metrics"])
    values, failed = kept_metrics(metrics), 0
    for step in ("snapshot", "defragmentation"):
        try:
            if step == "snapshot":
                values |= snapshot(member)
                print(f"snapshot: {values['snapshot_size_bytes']:.0f} bytes")
            else:
                done = take_turn(member, config_file)
                print(f"defragmentation: {done}")
                if "done:" in done:
                    values["defragmentation_time_seconds"] = time.time()
            values[f"{step}_ok"] = 1
        except (Failed, OSError, ValueError, KeyError) as error:
            print(f"{step}: {error}", file=sys.stderr)
            values[f"{step}_ok"], failed = 0, 1
    write_metrics(metrics, values, config["name"])
    return failed


def main(arguments: list[str]) -> int:
    if arguments[1:] == ["--defragment"]:
        try:
            print(defragment(Member(json.loads(Path(arguments[0]).read_text(encoding="utf-8")))))
        except (Failed, ValueError, KeyError) as error:
            print(error, file=sys.stderr)
            return 1
        return 0
    return daily(Path(arguments[0]))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
