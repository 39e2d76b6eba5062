# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Real HTTP servers on loopback that behave like clients of a chain, well or badly."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.unit.plugins.module_utils.chain.world import CHAIN_ID, EPOCH, block, block_hash, final_at


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, *_args: Any) -> None:
        """A client that hangs up is no news."""


class Server:
    """Answers with ``respond(method, path, body) -> (status, bytes)``; ``fault`` takes over the connection instead."""

    def __init__(self, respond: Callable[[str, str, bytes], tuple[int, bytes]] | None = None) -> None:
        self.respond = respond or (lambda _method, _path, _body: (200, b"{}"))
        self.fault: Callable[[BaseHTTPRequestHandler], None] | None = None
        self.requests: list[tuple[str, str, bytes]] = []
        self.connections = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                outer.connections += 1
                super().setup()

            def log_message(self, *_args: Any) -> None:
                pass

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.requests.append((self.command, self.path, body))
                if outer.fault:
                    outer.fault(self)
                    return
                status, data = outer.respond(self.command, self.path, body)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_DELETE = handle_any

        self._server = _Quiet(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def closed_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


# --- faults: each takes the connection over


def raw(data: bytes, close: bool = True) -> Callable[[BaseHTTPRequestHandler], None]:
    def fault(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(data)
        handler.close_connection = close

    return fault


def hang(seconds: float = 5.0, first: bytes = b"") -> Callable[[BaseHTTPRequestHandler], None]:
    def fault(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(first)
        time.sleep(seconds)
        handler.close_connection = True

    return fault


def drip(data: bytes, pause: float, first: bytes = b"") -> Callable[[BaseHTTPRequestHandler], None]:
    """One byte at a time, for ever shorter than any timeout of a socket."""

    def fault(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(first)
        for byte in data:
            handler.wfile.write(bytes([byte]))
            time.sleep(pause)
        handler.close_connection = True

    return fault


HEADERS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class Node:
    """A pair of clients behind two servers, whose head is moved by tests. Numbers of the Beacon API are strings."""

    def __init__(self, head: int = 1000, *, strings: bool = True) -> None:
        self.head = head
        self.head_block = block
        self.timestamps: dict[int, int] = {}
        self.fork, self.forked_from = "main", 10**9
        self.chain_id = CHAIN_ID
        self.syncing: Any = False
        self.beacon_syncing = False
        self.el_offline = False
        self.slot: int | None = None
        self.execution_peers = self.consensus_peers = 8
        self.finalizes = True
        self.strings = strings
        self.results: dict[str, Any] = {}  # method: result or {"error": …} instead of the usual one
        self.execution = Server(self._execution)
        self.consensus = Server(self._consensus)

    def close(self) -> None:
        self.execution.close()
        self.consensus.close()

    def hash(self, number: int) -> str:
        return block_hash(number, self.fork if number >= self.forked_from else "main")

    def _block(self, number: int) -> dict[str, Any] | None:
        if number > self.head:
            return None
        timestamp = self.timestamps.get(number, block(number).timestamp)
        return {"number": hex(number), "hash": self.hash(number), "timestamp": hex(timestamp), "transactions": []}

    def final(self) -> int:
        return final_at(self.head) if self.finalizes else 0

    def call(self, method: str, params: list[Any]) -> Any:
        if method in self.results:
            return self.results[method]
        if method == "eth_getBlockByNumber":
            tag = params[0]
            number = self.head if tag == "latest" else self.final() if tag in ("safe", "finalized") else int(tag, 16)
            return {"result": self._block(number)}
        return {
            "result": {
                "eth_syncing": self.syncing,
                "eth_chainId": hex(self.chain_id),
                "net_peerCount": hex(self.execution_peers),
                "web3_clientVersion": "Geth/v1.17.8-fake",
            }[method]
        }

    def _execution(self, _method: str, _path: str, body: bytes) -> tuple[int, bytes]:
        request = json.loads(body)
        requests = request if isinstance(request, list) else [request]
        answers = [{"jsonrpc": "2.0", "id": r["id"], **self.call(r["method"], r["params"])} for r in requests]
        answers.reverse()  # the order of a batch's answers is the server's choice
        return 200, json.dumps(answers if isinstance(request, list) else answers[0]).encode()

    def _number(self, number: int) -> Any:
        return str(number) if self.strings else number

    def _body(self, number: int) -> dict[str, Any]:
        header = {"block_hash": self.hash(number), "block_number": self._number(number)}
        return {"message": {"body": {"execution_payload_header": header}}}

    def beacon_root(self, number: int) -> str:
        return "0x" + f"{number:064x}"

    def _consensus(self, _method: str, path: str, _body: bytes) -> tuple[int, bytes]:
        final = self.final()
        slot = self.head if self.slot is None else self.slot
        if path.startswith("/eth/v1/beacon/blinded_blocks/"):
            data: Any = self._body(int(path.rsplit("/", 1)[1], 16))
        elif path == "/eth/v1/node/health":
            return (206 if self.beacon_syncing else 200), b""
        else:
            finalized = {"epoch": self._number(final // EPOCH), "root": self.beacon_root(final)}
            data = {
                "/eth/v1/node/syncing": {
                    "head_slot": self._number(self.head),
                    "sync_distance": self._number(slot - self.head),
                    "is_syncing": self.beacon_syncing,
                    "is_optimistic": False,
                    "el_offline": self.el_offline,
                },
                "/eth/v1/beacon/headers/head": {"root": self.beacon_root(self.head)},
                "/eth/v1/beacon/states/head/finality_checkpoints": {"finalized": finalized},
                "/eth/v1/node/peer_count": {"connected": self._number(self.consensus_peers)},
                "/eth/v1/node/version": {"version": "Prysm/v6-fake"},
            }.get(path)
        if data is None:
            return 404, json.dumps({"code": 404, "message": f"no such route: {path}"}).encode()
        return 200, json.dumps({"data": data}).encode()
