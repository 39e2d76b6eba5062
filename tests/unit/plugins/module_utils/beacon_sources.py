"""Beacon APIs on loopback, with what each of them believes about the chain."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ansible_collections.chainops.infra.plugins.module_utils.checkpoint import Header


def block(slot: int, fork: int = 0) -> Header:
    """A block of a chain; another fork has other blocks."""
    byte = f"{(slot * 7 + fork * 101) % 256:02x}"
    return Header(slot, slot % 16, "0x" + byte * 32, "0x" + "aa" * 31 + byte, "0x" + "bb" * 32)


@dataclass
class Beacon:
    """One source: its chain, and how it misbehaves."""

    epoch: int
    fork: int = 0
    slots_per_epoch: int = 32
    delay: float = 0
    broken: dict[str, tuple[int, bytes]] = field(default_factory=dict)  # path -> status and body
    lies_about_headers: bool = False
    truncates: bool = False
    asked: list[str] = field(default_factory=list)
    url: str = ""

    @property
    def finalized(self) -> Header:
        return block(self.epoch * self.slots_per_epoch, self.fork)

    def header(self, root: str) -> Header | None:
        """A block that this source has finalised, by its root."""
        blocks = (block(epoch * self.slots_per_epoch, self.fork) for epoch in range(self.epoch + 1))
        return next((each for each in blocks if each.root() == root), None)

    def answer(self, path: str) -> tuple[int, str, bytes]:
        if path in self.broken:
            status, body = self.broken[path]
            return status, "application/json", body
        if path == "/eth/v1/beacon/states/head/finality_checkpoints":
            return self._json({"finalized": {"epoch": str(self.epoch), "root": self.finalized.root()}})
        if path == "/eth/v1/config/spec":
            return self._json({"SLOTS_PER_EPOCH": str(self.slots_per_epoch)})
        if path.startswith("/eth/v1/beacon/headers/"):
            return self._header(path.rsplit("/", maxsplit=1)[1])
        if path.startswith(("/eth/v2/beacon/blocks/", "/eth/v2/debug/beacon/states/")):
            return 200, "application/octet-stream", f"ssz of {path}".encode() * 1000
        return 404, "application/json", b"{}"

    def _header(self, root: str) -> tuple[int, str, bytes]:
        found = self.header(root)
        if not found:
            return 404, "application/json", b'{"code": 404, "message": "not found"}'
        message = {name: str(value) for name, value in vars(found).items()}
        if self.lies_about_headers:
            message["state_root"] = "0x" + "ee" * 32
        return self._json({"canonical": True, "header": {"message": message}})

    @staticmethod
    def _json(data: Any) -> tuple[int, str, bytes]:
        return 200, "application/json", json.dumps({"data": data}).encode()


@contextmanager
def serve(*beacons: Beacon) -> Iterator[list[str]]:
    """The URLs of these sources while they answer."""
    servers = []
    for beacon in beacons:

        class Handler(BaseHTTPRequestHandler):
            mine = beacon

            def do_GET(self) -> None:
                self.mine.asked.append(self.path)
                time.sleep(self.mine.delay)
                status, kind, body = self.mine.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if self.mine.truncates and kind.endswith("stream") else body)

            def log_message(self, *_arguments: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        beacon.url = f"http://127.0.0.1:{server.server_port}"
        servers.append(server)
    try:
        yield [beacon.url for beacon in beacons]
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
