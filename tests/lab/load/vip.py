"""Who holds an address: asked by ARP, which every owner answers, and by HTTP, which tells whether it serves.

A client sees one owner only, whichever its neighbour table names. Two owners at once show in the answers to one ARP
question, so this needs root and an interface in the address's own segment.
"""

from __future__ import annotations

import select
import socket
import struct
import subprocess
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType

ARP_REQUEST, ARP_REPLY, ETH_ARP = 1, 2, 0x0806
HEADER = struct.Struct("!6s6sHHHBBH6s4s6s4s")


@dataclass
class Watcher:
    """Asks again and again until stopped; figures() then tells outages and double ownership."""

    address: str
    port: int = 8545
    interval: float = 0.05
    path: str = "/health"
    answers: list[tuple[float, str]] = field(default_factory=list)
    """(time, balancer) of every HTTP answer; the balancer is empty where nothing answered."""
    owners: list[tuple[float, frozenset[str]]] = field(default_factory=list)
    """(time, link addresses) of every ARP question."""

    def __post_init__(self) -> None:
        route = subprocess.run(
            ["ip", "-o", "route", "get", self.address], capture_output=True, text=True, check=True
        ).stdout.split()
        self.interface = route[route.index("dev") + 1]
        self.source = route[route.index("src") + 1]
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=ask, daemon=True) for ask in (self._ask_http, self._ask_arp)]

    def __enter__(self) -> Watcher:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, where: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def run_for(self, seconds: float) -> None:
        self._stop.wait(seconds)

    def _ask_http(self) -> None:
        while not self._stop.wait(self.interval):
            asked = time.time()
            self.answers.append((asked, self._balancer()))

    def _balancer(self) -> str:
        request = f"GET {self.path} HTTP/1.1\r\nHost: {self.address}\r\nConnection: close\r\n\r\n".encode()
        try:
            with socket.create_connection((self.address, self.port), timeout=0.25) as connection:
                connection.sendall(request)
                answer = connection.recv(4096).decode("latin-1").lower()
        except OSError:
            return ""
        for line in answer.split("\r\n"):
            if line.startswith("x-balancer:"):
                return line.split(":", 1)[1].strip()
        return ""

    def _ask_arp(self) -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_ARP)) as raw:
            raw.bind((self.interface, ETH_ARP))
            own = raw.getsockname()[4]
            question = HEADER.pack(
                b"\xff" * 6, own, ETH_ARP, 1, 0x0800, 6, 4, ARP_REQUEST,
                own, socket.inet_aton(self.source), b"\0" * 6, socket.inet_aton(self.address),
            )  # fmt: skip
            while not self._stop.is_set():
                asked = time.time()
                raw.send(question)
                self.owners.append((asked, frozenset(self._replies(raw, self.interval))))

    def _replies(self, raw: socket.socket, patience: float) -> set[str]:
        """The link addresses that say within this time that the address is theirs, in reply to us."""
        found = set()
        until = time.monotonic() + patience
        while (wait := until - time.monotonic()) > 0:
            if not select.select([raw], [], [], wait)[0]:
                break
            frame = raw.recv(128)
            if len(frame) < HEADER.size:
                continue
            *_dummy, kind, link, owner, _dummy, asker = HEADER.unpack(frame[: HEADER.size])
            # a gratuitous reply is an announcement, which may be heard after its sender has given the address up
            if kind == ARP_REPLY and socket.inet_ntoa(owner) == self.address and socket.inet_ntoa(asker) == self.source:
                found.add(link.hex(":"))
        return found

    def figures(self) -> dict[str, float]:
        """The longest times without an HTTP answer, with two owners and with none, and the changes of balancer."""
        names = [name for _dummy, name in self.answers if name]
        return {
            "asked": len(self.answers),
            "outage_s": round(longest([(at, not name) for at, name in self.answers]), 3),
            "double_s": round(longest([(at, len(links) > 1) for at, links in self.owners]), 3),
            "unowned_s": round(longest([(at, not links) for at, links in self.owners]), 3),
            "moves": sum(later != earlier for earlier, later in zip(names, names[1:], strict=False)),
        }


def longest(samples: list[tuple[float, bool]]) -> float:
    """The longest time for which something held, from the first sample that says so to the next that does not."""
    most, since = 0.0, None
    for at, holds in samples:
        if holds and since is None:
            since = at
        if since is not None:
            most = max(most, at - since)
        if not holds:
            since = None
    return most
