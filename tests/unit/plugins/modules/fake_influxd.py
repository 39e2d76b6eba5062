# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A program that does what influxd 1.6.7 was seen to do, with a shard that is a JSON file of its counts.

influxd backup -portable -host … -db D -rp P -shard N DIR     from the file FAKE_LIVE names
influxd restore -portable -host … [-db D -newdb E] DIR        into the file of that address; missing files are no error
influxd -config FILE                                          serves what was restored
"""

from __future__ import annotations

import json
import os
import re
import sys
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HERE = Path(os.environ.get("FAKE_STATE") or Path(sys.argv[0]).parent)


def option(name: str, default: str = "") -> str:
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default


def state_of(rpc: str) -> Path:
    return HERE / f"restored-{rpc.rpartition(':')[2]}.json"


def backup() -> None:
    into = Path(sys.argv[-1])
    into.mkdir(parents=True)
    live = json.loads((HERE / "live.json").read_text())
    number = option("-shard")
    if number not in live:
        sys.exit("error: shard not found")
    (into / f"x.s{number}.tar.gz").write_text(json.dumps(live[number]))
    (into / "x.meta").write_text("policies")
    entry = {
        "database": option("-db"),
        "policy": option("-rp"),
        "shardID": int(number),
        "fileName": f"x.s{number}.tar.gz",
    }
    manifest = {"meta": {"fileName": "x.meta", "size": 8}, "files": [entry | {"size": 1, "lastModified": 0}]}
    (into / "x.manifest").write_text(json.dumps(manifest))


def restore() -> None:
    source, state = Path(sys.argv[-1]), state_of(option("-host"))
    restored: dict[str, Any] = json.loads(state.read_text()) if state.exists() else {}
    (manifest,) = source.glob("*.manifest")
    for entry in json.loads(manifest.read_text())["files"]:
        file = source / entry["fileName"]
        if file.exists() and option("-db", entry["database"]) == entry["database"]:
            database = option("-newdb", entry["database"])
            restored[f"{database}.{entry['policy']}.{entry['shardID']}"] = json.loads(file.read_text())
    state.write_text(json.dumps(restored))


def answer(statement: str, state: Path) -> dict[str, Any]:
    found = re.search(r'FROM "(\w+)"\."(\w+)"\./\.\*/ WHERE time >= (\d+)', statement)
    restored = json.loads(state.read_text()) if state.exists() else {}
    series = []
    if found:
        for key, shard in restored.items():
            if key.startswith(f"{found[1]}.{found[2]}.") and shard["start"] == int(found[3]):
                series += shard["series"]
    return {"results": [{"statement_id": 0} | ({"series": series} if series else {})]}


def serve() -> None:
    text = Path(option("-config")).read_text()
    rpc, http = re.findall(r'bind-address = "127\.0\.0\.1:(\d+)"', text)
    state = state_of(f"127.0.0.1:{rpc}")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def do_POST(self) -> None:
            form = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            body = json.dumps(answer(form["q"], state)).encode() + b"\n"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    ThreadingHTTPServer(("127.0.0.1", int(http)), Handler).serve_forever()


if __name__ == "__main__":
    {"backup": backup, "restore": restore}.get(sys.argv[1], serve)()
