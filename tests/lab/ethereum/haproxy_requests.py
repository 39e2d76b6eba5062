"""Requests that a balancer must refuse, byte by byte, and what it must answer, for a real HAProxy and real nodes.

python -m tests.lab.ethereum.haproxy_requests 10.87.1.100
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import time
from dataclasses import dataclass
from typing import Any

RPC, WS, TLS = 8545, 8546, 443
BODY_LIMIT = 294_912

CALL = '{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}'


@dataclass
class Case:
    """One request on a connection of its own. ``error`` is the JSON-RPC code wanted; None wants a result."""

    name: str
    status: int
    error: int | None = None
    body: str | bytes = ""
    raw: bytes = b""
    port: int = RPC
    pause: float = 0.0
    """Seconds between the head and the rest."""

    def request(self) -> bytes:
        if self.raw:
            return self.raw
        body = self.body.encode() if isinstance(self.body, str) else self.body
        return post(f"Content-Length: {len(body)}\r\n", body)


def post(headers: str, body: bytes, line: str = "POST / HTTP/1.1") -> bytes:
    head = f"{line}\r\nHost: rpc.example.org\r\nContent-Type: application/json\r\nConnection: close\r\n{headers}\r\n"
    return head.encode() + body


def sized(headers: str = "", line: str = "POST / HTTP/1.1") -> bytes:
    """CALL with its length, further headers, or another first line."""
    return post(f"{headers}Content-Length: {len(CALL)}\r\n", CALL.encode(), line)


def pieces(*chunks: bytes) -> bytes:
    """A body in pieces."""
    return post("Transfer-Encoding: chunked\r\n", chunked(*chunks))


def chunked(*chunks: bytes) -> bytes:
    return b"".join(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n" for chunk in chunks) + b"0\r\n\r\n"


def method(name: str) -> str:
    return '{"jsonrpc":"2.0","id":1,"method":"' + name + '","params":[]}'


def padded(size: int) -> str:
    """A body of this size that every node answers: the precompile at 4 gives back what it is given."""
    to = "0x" + "4".zfill(40)
    start = '{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{"to":"' + to + '","data":"0x'
    end = '"},"latest"]}'
    return start + "0" * (size - len(start) - len(end)) + end


REFUSED = -32601
UNREADABLE = -32700
INVALID = -32600

REFUSED_METHODS = [
    *[
        "admin_peers",
        "admin_nodeInfo",
        "admin_addPeer",
        "debug_traceTransaction",
        "debug_setHead",
        "engine_newPayloadV4",
    ],
    *["personal_listAccounts", "miner_start", "txpool_content", "clique_propose", "rpc_modules", "ethash_getWork"],
    *[
        "eth_newFilter",
        "eth_newBlockFilter",
        "eth_getFilterChanges",
        "eth_subscribe",
        "eth_accounts",
        "eth_sendTransaction",
    ],
    *[
        r"ADMIN_peers",
        r"Admin_peers",
        r"ad\u006din_peers",
        r"\u0061dmin\u005fpeers",
        r"admin\u005Fpeers",
        r"eth_blockNumber\u0000",
    ],
    *[r"eth_blockNumber\t", r"eth", r"_", r"eth_", r"\ud800"],
    *("", " admin_peers", "admin_peers "),
]

CASES = [
    Case("an allowed method", 200, None, CALL),
    Case("an allowed batch", 200, None, f"[{CALL},{CALL}]"),
    Case("in pieces", 200, None, raw=pieces(CALL[:20].encode(), CALL[20:].encode())),
    Case("over TLS", 200, None, CALL, port=TLS),
    *(Case(name, 200, REFUSED, method(name)) for name in REFUSED_METHODS),
    Case("escaped member", 200, REFUSED, '{"id":1,"\\u006dethod":"admin_peers"}'),
    Case("member in capitals", 200, REFUSED, '{"id":1,"METHOD":"admin_peers"}'),
    Case("refused in a batch", 200, REFUSED, f"[{CALL},{method('admin_peers')}]"),
    Case("escaped in a batch", 200, REFUSED, "[" + CALL + "," + method("ad\\u006din_peers") + "]"),
    Case("refused over TLS", 200, REFUSED, method("admin_peers"), port=TLS),
    Case("blanks around it", 200, REFUSED, f"\r\n\t  {method('admin_peers')}  \n"),
    Case("method given twice", 400, UNREADABLE, '{"id":1,"method":"eth_blockNumber","method":"admin_peers"}'),
    Case("twice in two cases", 400, UNREADABLE, '{"id":1,"method":"eth_blockNumber","Method":"admin_peers"}'),
    Case("two documents", 400, UNREADABLE, CALL + method("admin_peers")),
    Case("a batch in a batch", 400, UNREADABLE, f"[[{method('admin_peers')}]]"),
    Case("not JSON", 400, UNREADABLE, "admin_peers"),
    Case("cut off", 400, UNREADABLE, CALL[:-1]),
    Case("byte order mark", 400, UNREADABLE, b"\xef\xbb\xbf" + CALL.encode()),
    Case("UTF-16", 400, UNREADABLE, CALL.encode("utf-16")),
    Case("empty body", 400, UNREADABLE, ""),
    Case("no body", 400, UNREADABLE, raw=post("", b"")),
    Case("more calls than allowed", 400, UNREADABLE, "[" + ",".join([CALL] * 101) + "]"),
    Case("nested deeply", 400, UNREADABLE, '{"method":"eth_call","params":' + "[" * 100_000 + "]" * 100_000 + "}"),
    Case("as large as allowed", 200, None, padded(BODY_LIMIT)),
    Case("one byte more", 413, INVALID, padded(BODY_LIMIT + 1)),
    Case("a megabyte", 413, INVALID, padded(1 << 20)),
    Case("a megabyte in pieces", 413, INVALID, raw=pieces(*[b" " * 65536] * 16)),
    Case(
        "a second document behind blanks that fill the buffer",
        413,
        INVALID,
        raw=pieces(CALL.encode(), b" " * 400_000, method("admin_peers").encode()),
    ),
    Case("declared longer than sent", 408, None, raw=post("Content-Length: 500\r\n", CALL.encode())),
    Case("encoded body", 400, INVALID, raw=sized("Content-Encoding: gzip\r\n")),
    Case("two lengths", 400, None, raw=sized("Content-Length: 5\r\n")),
    Case("length and pieces", 400, None, raw=sized("Transfer-Encoding: xchunked\r\n")),
    Case("GET", 405, INVALID, raw=post("", b"", "GET / HTTP/1.1")),
    Case("PUT", 405, INVALID, raw=sized(line="PUT / HTTP/1.1")),
    Case("another path", 404, raw=sized(line="POST /admin HTTP/1.1")),
    Case("a browser of an unknown page", 403, raw=sized("Origin: https://evil.example\r\n")),
    Case("RPC on the WebSocket port", 400, INVALID, CALL, port=WS),
    Case("upgrade on the RPC port", 400, INVALID, raw=post("Upgrade: websocket\r\n", b"", "GET / HTTP/1.1")),
    Case("slow head", 200, None, CALL, pause=1.0),
]


def ask(address: str, case: Case, timeout: float = 12.0) -> tuple[int, dict[str, str], bytes]:
    with socket.create_connection((address, case.port), timeout=timeout) as plain:
        connection: socket.socket = plain
        if case.port == TLS:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            connection = context.wrap_socket(plain, server_hostname="rpc.example.org")
        data = case.request()
        head = data.index(b"\r\n\r\n") + 2
        try:
            connection.sendall(data[:head])
            time.sleep(case.pause)
            connection.sendall(data[head:])
        except OSError:
            pass  # refused before it was all sent; the answer is there to be read
        answer = b""
        try:
            while block := connection.recv(65536):
                answer += block
        except OSError:
            pass
    head_text, _dummy, body = answer.partition(b"\r\n\r\n")
    lines = head_text.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
    return int(lines[0].split()[1]) if lines[0] else 0, headers, body


def wrong(case: Case, status: int, headers: dict[str, str], body: bytes) -> str | None:
    """What is wrong with the answer, if anything."""
    if status != case.status:
        return f"HTTP {status} instead of {case.status}: {body[:120]!r}"
    if case.error is None:
        return f"no result: {body[:120]!r}" if status == 200 and b'"result"' not in body else None
    try:
        document: Any = json.loads(body)
    except ValueError:
        return f"the answer is not JSON: {body[:120]!r}"
    codes = [entry["error"]["code"] for entry in (document if isinstance(document, list) else [document])]
    if case.error not in codes:
        return f"errors {codes} instead of {case.error}"
    return f"the node {headers['x-node']} got it" if "x-node" in headers else None


def problems(address: str) -> dict[str, str]:
    """Every case that goes wrong, and how."""
    found = {}
    for case in CASES:
        trouble = wrong(case, *ask(address, case))
        if trouble:
            found[case.name] = trouble
    return found


def main() -> int:
    found = problems(sys.argv[1])
    for name, trouble in found.items():
        print(f"{name}: {trouble}")
    print(f"{len(CASES) - len(found)} of {len(CASES)} requests answered as they must be")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
