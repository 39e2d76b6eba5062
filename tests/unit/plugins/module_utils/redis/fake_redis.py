"""Redis servers and Sentinels on loopback that speak the protocol, and follow whom they are told to.

They are real TCP (and TLS) servers with the commands that the collection sends, and little behind them.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.chainops.infra.plugins.module_utils.redis.resp import Node

PASSWORD = "a-password-of-the-tests"


class Reply(Exception):
    """An error that the server answers with."""


@dataclass
class Fake:
    """One server; ``mode`` is normal, frozen (takes connections and says nothing) or drip (a byte at a time)."""

    site: Site
    name: str
    sentinel: bool = False
    mode: str = "normal"
    passwords: dict[str, str] = field(
        default_factory=lambda: {"sentinel": PASSWORD, "agent": PASSWORD, "admin": PASSWORD}
    )
    calls: list[tuple[str, ...]] = field(default_factory=list)
    # a server's state
    follows: Node | None = None
    linked: bool = True
    offset: int = 100
    flags: str = "slave"
    keys: dict[str, str] = field(default_factory=dict)
    loading: bool = False
    config: dict[str, str] = field(default_factory=dict)
    immutable: set[str] = field(default_factory=set)
    # a Sentinel's
    master: Node | None = None
    settings: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.node = Node(*self._listener.getsockname())
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _peer = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            if self.site.context is not None:
                sock = self.site.context.wrap_socket(sock, server_side=True)
            with sock, sock.makefile("rb") as stream:
                user = "" if self.passwords else "nobody asks"
                while words := read(stream):
                    if self.mode == "frozen":
                        continue
                    if words[0].upper() == "AUTH":
                        good = self.passwords.get(words[1]) == words[2]
                        user = words[1] if good else ""
                        sock.sendall(b"+OK\r\n" if good else b"-WRONGPASS invalid username-password pair\r\n")
                        continue
                    if not user:
                        sock.sendall(b"-NOAUTH Authentication required.\r\n")
                        continue
                    self._send(sock, self._answer(words))
        except (OSError, ValueError):
            return

    def _send(self, sock: socket.socket, data: bytes) -> None:
        if self.mode == "drip":
            for index in range(len(data)):
                sock.sendall(data[index : index + 1])
                threading.Event().wait(0.05)
        else:
            sock.sendall(data)

    def _answer(self, words: list[str]) -> bytes:
        self.calls.append(tuple(words))
        try:
            with self.site.lock:
                return write((self._as_sentinel if self.sentinel else self._as_server)(words))
        except Reply as error:
            return f"-{error}\r\n".encode()

    def _as_server(self, words: list[str]) -> Any:
        command = (
            " ".join(words[:2]).upper()
            if words[0].upper() in ("CONFIG", "CLIENT", "ACL", "LATENCY", "SLOWLOG")
            else words[0].upper()
        )
        if command == "REPLICAOF":
            self.follows, self.keys = Node(words[1], int(words[2])), {}
        elif command == "SET":
            self.keys[words[1]] = words[2]
            for other in self.site.servers:
                if other.follows == self.node:
                    other.keys[words[1]] = words[2]
        elif command == "CONFIG SET":
            for name, value in zip(words[2::2], words[3::2], strict=True):
                if name in self.immutable:
                    raise Reply(f"ERR CONFIG SET failed - can't set immutable config {name} {value}")
                self.config[name] = value
        answers: dict[str, Any] = {
            "PING": "+PONG",
            "INFO": self._info(),
            "GET": self.keys.get(words[1]) if len(words) > 1 else None,
            "CONFIG GET": [part for pair in self.config.items() for part in pair],
            "LATENCY LATEST": [["fork", 1, 7, 9]],
            "SLOWLOG LEN": 3,
        }
        return answers.get(command, "+OK")

    def _info(self) -> str:
        replicas = [other for other in self.site.servers if other.follows == self.node and other.linked]
        lines = [
            f"role:{'slave' if self.follows else 'master'}",
            f"connected_slaves:{len(replicas)}",
            "master_repl_offset:100",
        ]
        for index, other in enumerate(replicas):
            address, port = other.node.address, other.node.port
            lines.append(f"slave{index}:ip={address},port={port},state=online,offset={other.offset},lag=0")
        if self.follows:
            lines += [f"master_host:{self.follows.address}", f"master_port:{self.follows.port}"]
            lines += [f"master_link_status:{'up' if self.linked else 'down'}", "master_last_io_seconds_ago:0"]
        lines += [f"loading:{int(self.loading)}", "used_memory:1000", "maxmemory:2000", "aof_last_write_status:ok"]
        if self.keys:
            lines.append(f"db0:keys={len(self.keys)},expires=0,avg_ttl=0")
        return "# Replication\r\n" + "\r\n".join(lines) + "\r\n"

    def _as_sentinel(self, words: list[str]) -> Any:
        command = words[1].upper()
        if command == "MONITOR":
            self.master = Node(words[3], int(words[4]))
            self.settings = {"quorum": words[5], "down-after-milliseconds": "30000"}
        elif command == "REMOVE":
            self.master = None
        elif self.master is None:
            if command == "GET-MASTER-ADDR-BY-NAME":
                return None
            raise Reply("ERR No such master with that name")
        elif command == "SET":
            self.settings |= dict(zip(words[3::2], words[4::2], strict=True))
        elif command == "FAILOVER":
            self.site.fail_over()
        elif command == "GET-MASTER-ADDR-BY-NAME":
            return [self.master.address, str(self.master.port)]
        elif command == "MASTER":
            shown = {"name": words[2], "ip": self.master.address, "port": str(self.master.port)} | self.settings
            shown["num-other-sentinels"] = str(sum(1 for each in self.site.sentinels if each.master) - 1)
            return [part for pair in shown.items() for part in pair]
        elif command == "REPLICAS":
            known = [each for each in self.site.servers if each.follows == self.master or each.node in self.site.known]
            return [
                ["ip", each.node.address, "port", str(each.node.port), "flags", each.flags]
                for each in known
                if each.node != self.master
            ]
        return "+OK"


class Site:
    """Three servers and three Sentinels."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.context = context
        self.lock = threading.RLock()
        self.known: set[Node] = set()
        self.servers: list[Fake] = []
        self.sentinels: list[Fake] = []
        for name in ("db-a", "db-b", "db-c"):
            self.servers.append(Fake(self, name))
            self.sentinels.append(Fake(self, name, sentinel=True))

    def fail_over(self, to: int = 1) -> None:
        """What Sentinels do together; the old master learns of it later."""
        new = self.servers[to]
        old = next(each for each in self.servers if each.follows is None)
        self.known = {each.node for each in self.servers}
        new.follows = None
        for each in self.servers:
            if each not in (new, old):
                each.follows = new.node
        for sentinel in self.sentinels:
            sentinel.master = new.node

    def founded(self) -> Site:
        for each in self.servers[1:]:
            each.follows = self.servers[0].node
        for sentinel in self.sentinels:
            sentinel.master = self.servers[0].node
            sentinel.settings = {"quorum": "2", "down-after-milliseconds": "3000"}
        return self

    def stop(self) -> None:
        for each in (*self.servers, *self.sentinels):
            each.stop()

    @property
    def writes(self) -> list[tuple[str, ...]]:
        """Commands that change something, of all of them."""
        changing = {"REPLICAOF", "MONITOR", "SET", "REMOVE", "FAILOVER", "CONFIG"}
        every = [call for each in (*self.servers, *self.sentinels) for call in each.calls]
        return [call for call in every if {word.upper() for word in call[:2]} & changing]


def read(stream: Any) -> list[str]:
    line = stream.readline()
    if not line:
        return []
    words = []
    for _word in range(int(line[1:])):
        size = int(stream.readline()[1:])
        words.append(stream.read(size + 2)[:-2].decode())
    return words


def write(value: Any) -> bytes:
    if value is None:
        return b"$-1\r\n"
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, list):
        return b"*%d\r\n" % len(value) + b"".join(write(item) for item in value)
    if value[:1] == "+":
        return f"{value}\r\n".encode()
    data = value.encode()
    return b"$%d\r\n%s\r\n" % (len(data), data)
