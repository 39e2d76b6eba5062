# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Small answers over HTTPS, from memory, in a bounded number of threads that no client can hold for long."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable

MAX_CONNECTIONS = 64
MAX_HEAD = 4096
# seconds from accepting a connection to its end, whatever the client does
PATIENCE = 3.0
WORDS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}
# linux/in.h: listen on an address that comes with the network, a moment later
IP_FREEBIND, IPV6_FREEBIND = 15, 78

Answer = tuple[int, str]


def listen(address: str, port: int) -> socket.socket:
    six = ":" in address
    sock = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_IPV6 if six else socket.IPPROTO_IP, IPV6_FREEBIND if six else IP_FREEBIND, 1)
    sock.bind((address, port))
    sock.listen(MAX_CONNECTIONS)
    return sock


class Server:
    def __init__(self, sock: socket.socket, certificate: str, key: str, answer: Callable[[str], Answer]) -> None:
        self._sock, self._answer = sock, answer
        self._files = certificate, key
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.reload()
        self._open: dict[socket.socket, float] = {}
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._accept, name="https", daemon=True)

    def reload(self) -> None:
        """Take a renewed certificate; connections that are open keep theirs."""
        self._context.load_cert_chain(*self._files)

    def start(self) -> None:
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def reap(self) -> None:
        """Close what has been open for too long; called again and again."""
        now = time.monotonic()
        with self._lock:
            late = [sock for sock, since in self._open.items() if now - since > PATIENCE]
        for sock in late:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                sock, _address = self._sock.accept()
            except OSError:
                if self._sock.fileno() < 0:
                    return
                # out of file descriptors: those that are open end within PATIENCE
                time.sleep(0.1)
                continue
            with self._lock:
                full = len(self._open) >= MAX_CONNECTIONS
                oldest = next(iter(self._open), None) if full else None
                self._open[sock] = time.monotonic()
            if oldest is not None:
                # the oldest goes, so that a load balancer's check always gets in
                with contextlib.suppress(OSError):
                    oldest.shutdown(socket.SHUT_RDWR)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            sock.settimeout(PATIENCE)
            # the plain socket stays the one that reap() knows
            with self._context.wrap_socket(sock.dup(), server_side=True) as tls:
                tls.sendall(render(*self._reply(head_of(tls))))
        except (OSError, ValueError):
            # a client that went away or speaks no HTTP is no concern of anybody's
            return
        finally:
            with self._lock:
                self._open.pop(sock, None)
            sock.close()

    def _reply(self, head: str) -> Answer:
        words = head.split("\r\n", 1)[0].split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return 400, "not an HTTP/1 request\n"
        if words[0] not in ("GET", "HEAD", "OPTIONS"):
            return 405, "only GET\n"
        return self._answer(words[1].partition("?")[0])


def head_of(tls: ssl.SSLSocket) -> str:
    data = b""
    while b"\r\n\r\n" not in data:
        more = tls.recv(2048)
        if not more or len(data) > MAX_HEAD:
            raise ValueError("no request")
        data += more
    return data.decode("latin-1")


def render(status: int, text: str) -> bytes:
    body = text.encode()
    head = (
        f"HTTP/1.1 {status} {WORDS.get(status, 'Unknown')}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
