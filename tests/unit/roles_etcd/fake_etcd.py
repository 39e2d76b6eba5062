# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A program that answers as etcdctl 3.5 does, of a cluster that is a JSON file; every call is noted."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

PROGRAM = r"""#!%(python)s
import json, os, subprocess, sys
state_file = %(state)r
state = json.load(open(state_file))
words = [word for word in sys.argv[1:] if not word.startswith("--") or word.startswith(("--peer-urls", "--ttl"))]
options = dict(word[2:].split("=", 1) for word in sys.argv[1:] if word.startswith("--") and "=" in word)
endpoints = options["endpoints"].split(",")
state["calls"].append(words[:3])

def done(text="", code=0):
    json.dump(state, open(state_file, "w"))
    (sys.stderr if code else sys.stdout).write(text + "\n")
    sys.exit(code)

alive = [member for member in state["members"] if member.get("alive")]
reached = [member for member in alive if set(member.get("clientURLs", [])) & set(endpoints)]
quorum = len(alive) > len(state["members"]) // 2
if not reached or (not quorum and words[0] != "snapshot"):
    done("Error: context deadline exceeded", 1)
if words[:2] == ["member", "list"]:
    keys = ("ID", "name", "peerURLs", "clientURLs")
    done(json.dumps({"members": [{k: m[k] for k in keys if m.get(k)} for m in state["members"]]}))
if words[:2] == ["member", "remove"]:
    state["members"] = [member for member in state["members"] if "%%x" %% member["ID"] != words[2]]
    done()
if words[:2] == ["member", "add"]:
    state["members"].append({"ID": 99, "peerURLs": [options["peer-urls"]]})
    done()
if words[:2] == ["endpoint", "health"]:
    done("" if len(reached) == len(endpoints) else "Error: unhealthy cluster", int(len(reached) != len(endpoints)))
if words[:2] == ["endpoint", "status"]:
    done(json.dumps([{"Status": {
        "header": {"member_id": m["ID"]}, "leader": state["leader"], "dbSize": m["size"], "dbSizeInUse": m["used"],
        **({"errors": m["errors"]} if m.get("errors") else {})}} for m in reached]))
if words[:2] == ["snapshot", "save"]:
    open(words[2], "w").write("data")
    done()
if words[0] == "move-leader":
    state["leader"] = int(words[1], 16)
    done()
if words[0] == "defrag":
    reached[0]["size"] = reached[0]["used"]
    done()
if words[0] == "lock":
    json.dump(state, open(state_file, "w"))
    command = sys.argv[sys.argv.index("--") + 1:]
    sys.exit(subprocess.run(command).returncode)
done("Error: unknown command", 1)
"""
UTIL = r"""#!%(python)s
import json, os, sys
state = json.load(open(%(state)r))
print(json.dumps(state["snapshot"]))
"""


class FakeCluster:
    """db-a, db-b and db-c, with db-a as the leader."""

    def __init__(self, root: Path) -> None:
        self.root, self.state = root, root / "state.json"
        members = [member(number, name) for number, name in enumerate(("db-a", "db-b", "db-c"), start=10)]
        self.write({"members": members, "leader": 10, "calls": [], "snapshot": {"totalKey": 3, "revision": 7}})
        self.bin = root / "bin"
        self.bin.mkdir()
        for name, text in (("etcdctl", PROGRAM), ("etcdutl", UTIL)):
            (self.bin / name).write_text(text % {"python": sys.executable, "state": str(self.state)})
            (self.bin / name).chmod(0o755)

    @property
    def path(self) -> str:
        return f"{self.bin}{os.pathsep}{os.environ['PATH']}"

    def read(self) -> dict[str, Any]:
        return json.loads(self.state.read_text())

    def write(self, state: dict[str, Any]) -> None:
        self.state.write_text(json.dumps(state))

    def change(self, name: str, **values: Any) -> None:
        state = self.read()
        next(each for each in state["members"] if each.get("name") == name).update(values)
        self.write(state)

    def calls(self) -> list[str]:
        return [" ".join(words) for words in self.read()["calls"]]

    def members(self) -> list[str]:
        return [each.get("name", "") for each in self.read()["members"]]


def client(name: str) -> str:
    return f"https://{name}:2379"


def peer(name: str) -> str:
    return f"https://{name}:2380"


def member(number: int, name: str) -> dict[str, Any]:
    urls = {"peerURLs": [peer(name)], "clientURLs": [client(name)]}
    return {"ID": number, "name": name, **urls, "alive": True, "size": 1000, "used": 900}
