# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Decides at each start of etcd how it may start, and writes the configuration that it is given.

    start.py prepare MEMBERS CONFIG RESULT      before etcd
    start.py ready MEMBERS                      after etcd was ready
    start.py spared MEMBERS                     whether the cluster can do without this member for a moment

A member with data goes on with it. One without founds a cluster only while the file says so that the playbook writes
when all members are empty, and that goes away when etcd was ready once. Otherwise it may only join, and for that the
others must have agreed on a place for it: an empty member under the identity that it had before could vote again, and
so undo what was acknowledged.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

TIMEOUT = 5  # seconds for one answer of etcdctl
PATIENCE = 20  # seconds for members that were just restarted


class NotAllowed(Exception):
    """Why etcd must not start, and what to do."""


def ask_members(clients: list[str], files: dict[str, str], program: str = "etcdctl") -> list[dict]:
    """The members that the cluster has agreed on, by any of the others."""
    reasons = []
    for client in clients:
        command = [program, f"--endpoints={client}", *(f"--{name}={path}" for name, path in files.items())]
        command += [f"--dial-timeout={TIMEOUT}s", f"--command-timeout={TIMEOUT}s"]
        command += ["member", "list", "--write-out=json"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT * 3)
        except subprocess.TimeoutExpired:
            reasons.append(f"{client}: no answer")
            continue
        if done.returncode == 0:
            return json.loads(done.stdout)["members"]
        reasons.append(f"{client}: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    raise NotAllowed(
        "this host has no data, and no other member can be asked whether it may join; "
        f"if the cluster lives, repair the others first ({'; '.join(reasons) or 'there are no others'})"
    )


def place_in(members: list[dict], config: dict) -> dict[str, str]:
    """initial-cluster of a member that joins: what the cluster has agreed on, with this host's name at its place."""
    own = [member for member in members if config["peer_url"] in member["peerURLs"]]
    if not own or own[0].get("name"):
        state = "knows it as a member with data" if own else "has no place for it"
        raise NotAllowed(
            f"this host has no data, and the cluster {state}: it must be replaced, with the playbook "
            f"chainops.infra.operations.etcd_replace -e replace_member={config['name']}"
        )
    named = {url: name for name, url in config["members"].items()}
    cluster = {}
    for number, member in enumerate(members):
        url = member["peerURLs"][0]
        name = member.get("name") or (config["name"] if member is own[0] else named.get(url, f"waiting-{number}"))
        cluster[name] = url
    return cluster


def decide(config: dict, program: str = "etcdctl") -> tuple[str, dict[str, str]]:
    """initial-cluster-state and initial-cluster."""
    if Path(config["data_dir"], "member").exists():
        # etcd goes by its data; only a founding that was interrupted before its first write would still read this.
        return ("new" if Path(config["founding"]).exists() else "existing"), config["members"]
    if Path(config["founding"]).exists():
        return "new", config["members"]
    return "existing", place_in(ask_members(config["clients"], config["files"], program), config)


def prepare(members: Path, source: Path, result: Path, program: str = "etcdctl") -> str:
    state, cluster = decide(json.loads(members.read_text(encoding="utf-8")), program)
    line = ",".join(f"{name}={url}" for name, url in cluster.items())
    text = source.read_text(encoding="utf-8")
    result.write_text(f"{text}initial-cluster-state: {state}\ninitial-cluster: {json.dumps(line)}\n", encoding="utf-8")
    return f"state {state}, {line}"


def healthy(client: str, files: dict[str, str], program: str = "etcdctl") -> bool:
    command = [program, f"--endpoints={client}", *(f"--{name}={path}" for name, path in files.items())]
    command += [f"--dial-timeout={TIMEOUT}s", f"--command-timeout={TIMEOUT}s", "endpoint", "health"]
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=TIMEOUT * 3).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def spared(config: dict, patience: float) -> str:
    """Why this member must stay up; the others are given a while, as one of them may be just back from a restart."""
    clients, needed = config["clients"], len(config["members"]) // 2 + 1
    if not clients:
        return ""
    end = time.monotonic() + patience
    while True:
        ill = [client for client in clients if not healthy(client, config["files"])]
        if len(clients) - len(ill) >= needed:
            return ""
        if time.monotonic() > end:
            well = len(clients) - len(ill)
            return (
                f"of the other members {well} are healthy, and {needed} must be while this one is down "
                f"({', '.join(ill)} not): repair them first"
            )
        time.sleep(1)


def main(arguments: list[str]) -> int:
    try:
        config = json.loads(Path(arguments[1]).read_text(encoding="utf-8"))
        if arguments[0] == "ready":
            Path(config["founding"]).unlink(missing_ok=True)
            return 0
        if arguments[0] == "spared":
            why = spared(config, PATIENCE)
            print(why, file=sys.stderr)
            return 1 if why else 0
        print(prepare(*map(Path, arguments[1:4])))
    except NotAllowed as error:
        print(f"etcd must not start: {error}", file=sys.stderr)
        return 1
    except (OSError, KeyError, ValueError) as error:
        print(f"etcd must not start: {error!r}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
