# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A process that holds packets up: started by delays.py as ``python3 relay.py CONFIG``, ended by closing its devices.

Each delayed host is unplugged from its region's bridge and plugged into a bridge of its own; two tap devices and this
process join the two bridges again. Where a packet comes from is read from its DSCP field, which the rules of links.py
set at the host's port; it is cleared on the way into the host. Packets keep their order.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import ipaddress
import json
import os
import random
import select
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
OFFLOADS = 0x01 | 0x02 | 0x04 | 0x08  # checksums and TCP segmentation: large packets pass whole, with their header
VNET_HEADER, ETHERNET = 10, 14
FRAME_MAX = 70000
HELD_MAX = 20000  # packets in one direction; more are dropped, as by any full queue
REPLUG_EVERY = 0.5  # seconds: a host that boots again is plugged into its region's bridge by nspawn


def open_tap(name: str) -> int:
    """Make a tap device that lives as long as the returned descriptor."""
    handle = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(handle, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    fcntl.ioctl(handle, TUNSETOFFLOAD, OFFLOADS)
    return handle


def is_ipv4(frame: bytes) -> bool:
    """Whether a frame (with its virtio header) carries IPv4."""
    return frame[VNET_HEADER + 12 : VNET_HEADER + 14] == b"\x08\x00" and len(frame) >= VNET_HEADER + ETHERNET + 20


def dscp(frame: bytes) -> int:
    """The DSCP field of an IPv4 frame."""
    return frame[VNET_HEADER + ETHERNET + 1] >> 2


def without_dscp(frame: bytes) -> bytes:
    """The frame with its DSCP field cleared and the IP checksum put right (RFC 1624)."""
    start = VNET_HEADER + ETHERNET
    old = frame[start] << 8 | frame[start + 1]
    new = old & 0xFF03
    (checksum,) = struct.unpack_from("!H", frame, start + 10)
    total = (~checksum & 0xFFFF) + (~old & 0xFFFF) + new
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    changed = bytearray(frame)
    struct.pack_into("!H", changed, start, new)
    struct.pack_into("!H", changed, start + 10, ~total & 0xFFFF)
    return bytes(changed)


class Delay:
    """How long one class of packets is held: milliseconds, more or less by the jitter."""

    def __init__(self, given: dict[str, float]) -> None:
        self.seconds = given["ms"] / 1000
        self.jitter = given["jitter_ms"] / 1000

    def draw(self) -> float:
        """Seconds for one packet."""
        return max(0.0, self.seconds + random.uniform(-self.jitter, self.jitter))


class Relay:
    """Both directions of one host."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given
        self.network = ipaddress.IPv4Network(given["network"])
        self.gateways = {int(ipaddress.IPv4Address(address)) for address in given["gateways"]}
        self.inbound = {int(source): Delay(delay) for source, delay in given["inbound"].items()}
        self.outbound = {target: Delay(delay) for target, delay in given["outbound"].items()}
        self.host_side = open_tap(given["host_tap"])
        self.net_side = open_tap(given["net_tap"])
        self.held: dict[int, list[tuple[float, int, bytes]]] = {self.host_side: [], self.net_side: []}
        self.last: dict[int, float] = {self.host_side: 0.0, self.net_side: 0.0}
        self.number = 0

    def plug(self) -> None:
        """Put the two tap devices and the host's link where they belong; again after the host has booted again."""
        given = self.given
        for link, bridge in ((given["host_tap"], given["bridge"]), (given["net_tap"], given["region_bridge"])):
            if master(link) != bridge:
                ip("link", "set", link, "master", bridge, "up")
        if master(given["link"]) == given["region_bridge"]:
            ip("link", "set", given["link"], "master", given["bridge"])

    def delay(self, frame: bytes, outwards: bool) -> float:
        """How long a frame is to be held."""
        if not is_ipv4(frame):
            return 0.0
        if not outwards:
            found = self.inbound.get(dscp(frame))
        else:
            (address,) = struct.unpack_from("!I", frame, VNET_HEADER + ETHERNET + 16)
            if address in self.gateways:
                found = self.outbound.get("machine")
            else:
                found = self.outbound.get("outside") if ipaddress.IPv4Address(address) not in self.network else None
        return found.draw() if found else 0.0

    def take(self, handle: int, now: float) -> None:
        """Read what a tap has and hold it, or pass it on at once."""
        outwards = handle == self.host_side
        target = self.net_side if outwards else self.host_side
        for _packet in range(64):
            try:
                frame = os.read(handle, FRAME_MAX)
            except BlockingIOError:
                return
            due = max(now + self.delay(frame, outwards), self.last[target])
            if not outwards and is_ipv4(frame):
                frame = without_dscp(frame)
            if len(self.held[target]) < HELD_MAX:
                self.last[target] = due
                self.number += 1
                heapq.heappush(self.held[target], (due, self.number, frame))

    def give(self, now: float) -> float | None:
        """Pass on what is due; returns when the next packet is."""
        for target, held in self.held.items():
            while held and held[0][0] <= now:
                frame = heapq.heappop(held)[2]
                with contextlib.suppress(OSError):  # the device is down or its queue is full: the packet is lost
                    os.write(target, frame)
        return min((held[0][0] for held in self.held.values() if held), default=None)


def ip(*words: str) -> None:
    """One ``ip`` command; a link that has gone is no error."""
    subprocess.run(["ip", *words], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def master(link: str) -> str:
    """The bridge that a link is plugged into."""
    path = Path("/sys/class/net", link, "master")
    return path.resolve().name if path.exists() else ""


def main() -> None:
    """Relay until killed."""
    config = Path(sys.argv[1])
    relays = [Relay(given) for given in json.loads(config.read_text(encoding="utf-8"))]
    owners = {handle: relay for relay in relays for handle in (relay.host_side, relay.net_side)}
    for relay in relays:
        relay.plug()
    config.with_suffix(".ready").touch()
    replug = time.monotonic() + REPLUG_EVERY
    while True:
        now = time.monotonic()
        due = [when for relay in relays if (when := relay.give(now)) is not None]
        if now >= replug:
            for relay in relays:
                relay.plug()
            replug = now + REPLUG_EVERY
        readable, _writable, _failed = select.select(list(owners), [], [], max(0.0, min([*due, replug]) - now))
        now = time.monotonic()
        for handle in readable:
            owners[handle].take(handle, now)


if __name__ == "__main__":
    main()
