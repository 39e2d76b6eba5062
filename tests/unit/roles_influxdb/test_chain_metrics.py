# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The stream of chain metrics as a process, between nodes and a server that come and go."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]


class Server:
    """Answers GET and POST by a function of path and body."""

    def __init__(self, answer: Callable[[str, bytes], tuple[int, Any]], port: int = 0) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                status, body = answer(self.path, self.rfile.read(int(self.headers.get("Content-Length") or 0)))
                text = b"" if body is None else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def node(path: str, body: bytes) -> tuple[int, Any]:
    if path == "/eth/v1/node/peer_count":
        return 200, {"data": {"connected": "4"}}
    if path == "/eth/v1/node/syncing":
        return 200, {"data": {"head_slot": "900", "sync_distance": "0"}}
    block = {
        "number": "0x10",
        "gasUsed": "0x5208",
        "gasLimit": "0x1c9c380",
        "baseFeePerGas": "0x7",
        "timestamp": hex(int(time.time()) - 3),
        "transactions": ["0x1", "0x2"],
    }
    results = {0: block, 1: "0x3"}
    return 200, [{"jsonrpc": "2.0", "id": call["id"], "result": results[call["id"]]} for call in json.loads(body)]


class Stream:
    """The program with its configuration; lines is what the server took."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lines, self.paths = folder, [], []
        self.status = 204
        home = folder / "lib"
        shutil.copytree(ROOT / "plugins" / "module_utils" / "influxdb", home / "influxdb")
        shutil.copy(ROOT / "roles" / "chain_metrics" / "files" / "chain_metrics.py", home)
        (folder / "password").write_text("canary\n")
        self.node, self.influxdb = Server(node), Server(self.take)
        self.process: subprocess.Popen[str] | None = None

    def take(self, path: str, body: bytes) -> tuple[int, Any]:
        if self.status != 204:
            return self.status, {"error": "not now"}
        self.paths.append(path)
        self.lines += body.decode().splitlines()
        return 204, None

    def start(self, **more: Any) -> None:
        config = {
            "url": self.influxdb.url,
            "database": "chain",
            "policy": "",
            "user": "chain_metrics",
            "password_file": str(self.folder / "password"),
            "ca_path": "",
            "sources": [{"name": "eth-a", "execution_url": self.node.url, "consensus_url": self.node.url}],
            "tags": {"region": "east"},
            "host": "eth-a",
            "interval": 0.1,
            "queue": 1000,
        }
        (self.folder / "config.json").write_text(json.dumps(config | more))
        program = str(self.folder / "lib" / "chain_metrics.py")
        words = [sys.executable, "-IB", program, str(self.folder / "config.json")]
        self.process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)

    def wait(self, what: Callable[[], bool]) -> None:
        until = time.monotonic() + 20
        while not what():
            assert time.monotonic() < until, self.lines[-3:]
            time.sleep(0.02)

    def stop(self) -> tuple[int, str]:
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        errors = self.process.communicate(timeout=20)[1]
        return self.process.returncode, errors

    def close(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        for server in (self.node, self.influxdb):
            server.close()


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[Stream]:
    made = Stream(tmp_path)
    yield made
    made.close()


def fields(line: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in line.split(" ")[1].split(","))


def test_what_a_node_says_becomes_points(stream: Stream) -> None:
    stream.start()
    stream.wait(lambda: len(stream.lines) >= 4)
    assert stream.stop() == (0, "")
    line = next(text for text in stream.lines if text.startswith("chain,"))
    assert line.startswith("chain,node=eth-a,region=east up=true,")
    found = fields(line)
    age = float(found.pop("head_age_s"))
    assert 2 <= age <= 6
    assert found == {
        "up": "true",
        "block": "16i",
        "gas_used": "21000i",
        "gas_limit": "30000000i",
        "base_fee_wei": "7i",
        "transactions": "2i",
        "peers": "3i",
        "consensus_peers": "4i",
        "head_slot": "900i",
        "sync_distance": "0i",
    }
    assert abs(int(line.split()[-1]) / 1000 - time.time()) < 30
    assert stream.paths[0] == "/write?db=chain&precision=ms"


def test_a_node_that_does_not_answer_is_down(stream: Stream) -> None:
    stream.start(sources=[{"name": "x", "execution_url": "http://127.0.0.1:1", "consensus_url": stream.node.url}])
    stream.wait(lambda: any(text.startswith("chain,") for text in stream.lines))
    stream.stop()
    line = next(text for text in stream.lines if text.startswith("chain,"))
    assert fields(line)["up"] == "false" and fields(line)["head_slot"] == "900i" and "block" not in fields(line)


def test_points_wait_for_a_server_and_arrive_in_order(stream: Stream) -> None:
    stream.status = 503
    stream.start()
    time.sleep(0.8)
    assert stream.lines == []
    stream.status = 204
    stream.wait(lambda: len(stream.lines) >= 12)
    code, errors = stream.stop()
    assert code == 0 and "points wait 1 s: not now (HTTP status 503)" in errors and "canary" not in errors
    times = [int(text.split()[-1]) for text in stream.lines if text.startswith("chain,")]
    assert times == sorted(times) and len(set(times)) == len(times)
    last = fields(next(text for text in reversed(stream.lines) if text.startswith("chain_metrics,")))
    assert last["dropped"] == "0i"


def test_a_full_queue_drops_the_oldest_and_says_so(stream: Stream) -> None:
    stream.status = 503
    stream.start(queue=4, interval=0.05)
    time.sleep(1.0)
    stream.status = 204
    stream.wait(lambda: bool(stream.lines))
    stream.stop()
    own = [fields(text) for text in stream.lines if text.startswith("chain_metrics,")]
    assert int(own[-1]["dropped"].removesuffix("i")) > 0


def test_points_that_are_refused_for_good_do_not_block_the_others(stream: Stream) -> None:
    stream.status = 400
    stream.start()
    time.sleep(0.5)
    stream.status = 204
    stream.wait(lambda: len(stream.lines) >= 2)
    _code, errors = stream.stop()
    assert "points are refused: not now (HTTP status 400)" in errors
    own = [fields(text) for text in stream.lines if text.startswith("chain_metrics,")]
    assert int(own[-1]["dropped"].removesuffix("i")) > 0


def test_a_missing_password_ends_it(stream: Stream) -> None:
    stream.start(password_file="/nowhere")
    assert stream.process
    _out, errors = stream.process.communicate(timeout=20)
    assert stream.process.returncode == 1 and "/nowhere cannot be read" in errors
