"""As much of PostgreSQL and Redis on the wire as the prover's writers speak with; what they answer is scripted."""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

COLUMNS = (("host", 25), ("timeline", 25), ("started", 1184))
ROW = ("10.0.0.1", "00000007", "2026-11-26 07:00:00+00")


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def report(kind: bytes, severity: str, state: str, words: str) -> bytes:
    """An ErrorResponse (E) or a NoticeResponse (N)."""
    fields = {"S": f"translated {severity}", "V": severity, "C": state, "M": words}
    return message(kind, b"".join(f"{name}{value}\0".encode() for name, value in fields.items()) + b"\0")


def complete(tag: str, state: bytes) -> bytes:
    """CommandComplete and ReadyForQuery."""
    return message(b"C", tag.encode() + b"\0") + message(b"Z", state)


def row() -> bytes:
    """The answer to the INSERT, up to but not with its end."""
    described = b"".join(name.encode() + b"\0" + struct.pack("!IhIhih", 0, 0, oid, -1, -1, 0) for name, oid in COLUMNS)
    values = b"".join(struct.pack("!I", len(value)) + value.encode() for value in ROW)
    count = struct.pack("!h", len(COLUMNS))
    return message(b"T", count + described) + message(b"D", count + values)


INSERTED = message(b"1", b"") + message(b"2", b"") + row() + complete("INSERT 0 1", b"T")
COMMITTED = complete("COMMIT", b"I")


class Postgres(socketserver.BaseRequestHandler):
    """``insert`` and ``commit`` are what follows the request; None closes the connection, b"" says nothing."""

    insert: bytes | None = INSERTED
    commit: bytes | None = COMMITTED
    asked: list[str] = []
    started: list[str] = []

    def handle(self) -> None:
        (length,) = struct.unpack("!I", self._take(4))
        self.started[:] = self._take(length - 4)[4:].decode().split("\0")
        hello = message(b"R", struct.pack("!I", 0))
        for name, value in {"server_version": "17.0", "client_encoding": "UTF8", "TimeZone": "UTC"}.items():
            hello += message(b"S", f"{name}\0{value}\0".encode())
        self.request.sendall(hello + message(b"K", struct.pack("!II", 1, 2)) + message(b"Z", b"I"))
        while True:
            try:
                kind = self._take(1)
                (length,) = struct.unpack("!I", self._take(4))
                body = self._take(length - 4)
            except EOFError:
                return
            answer: bytes | None = b""
            if kind == b"Q":
                text = body.rstrip(b"\0").decode()
                Postgres.asked.append(text)
                answer = {"COMMIT": Postgres.commit, "ROLLBACK": complete("ROLLBACK", b"I")}.get(
                    text, complete(text, b"T")
                )
            elif kind == b"S":
                answer = Postgres.insert
            if answer is None:
                return
            self.request.sendall(answer)

    def _take(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            part = self.request.recv(count - len(found))
            if not part:
                raise EOFError
            found += part
        return found


class Redis(socketserver.StreamRequestHandler):
    """``answers`` by command; None closes the connection."""

    answers: dict[str, bytes | None] = {}
    keys: set[bytes] = set()

    def handle(self) -> None:
        while header := self.rfile.readline():
            words = []
            for _word in range(int(header[1:])):
                length = int(self.rfile.readline()[1:])
                words.append(self.rfile.read(length))
                self.rfile.read(2)
            answer = self._answer(words)
            if answer is None:
                return
            self.wfile.write(answer)

    @staticmethod
    def _answer(words: list[bytes]) -> bytes | None:
        command = words[0].decode().upper()
        if command in Redis.answers:
            return Redis.answers[command]
        if command == "HELLO":
            return b"%1\r\n$5\r\nproto\r\n:3\r\n"
        if command == "INFO":
            text = b"role:master\r\nrun_id:aa\r\nmaster_replid:bb\r\n"
            return b"$%d\r\n%s\r\n" % (len(text), text)
        if command == "SET":
            Redis.keys.add(words[1])
        if command == "MGET":
            found = b"".join(b"$1\r\n1\r\n" if key in Redis.keys else b"_\r\n" for key in words[1:])
            return b"*%d\r\n%s" % (len(words) - 1, found)
        return b":2\r\n" if command == "WAIT" else b"+OK\r\n"


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def shutdown_request(self, request: Any) -> None:
        # without the wait of a second for the other side that closing in order would take
        request.close()


@contextmanager
def serving(handler: type[socketserver.BaseRequestHandler]) -> Iterator[str]:
    """The server's HOST:PORT."""
    with Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        host, port = socket.getnameinfo(server.server_address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
        try:
            yield f"{host}:{port}"
        finally:
            server.shutdown()
            thread.join()
