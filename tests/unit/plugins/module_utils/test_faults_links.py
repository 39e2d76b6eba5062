"""Cuts, losses and delays: the rules and the relay say exactly what the journal says."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.faults import delays, links, relay
from ansible_collections.chainops.infra.plugins.module_utils.faults.journal import Entry
from ansible_collections.chainops.infra.plugins.module_utils.lab import cgroup
from ansible_collections.chainops.infra.plugins.module_utils.lab.shell import LabError
from ansible_collections.chainops.infra.plugins.module_utils.lab.site import Site
from ansible_collections.chainops.infra.plugins.module_utils.lab.spec import Host, Spec

HOSTS = {
    "eth-a": Host("eth-a", "10.87.1.11", "east"),
    "lb-a1": Host("lb-a1", "10.87.1.21", "east"),
    "eth-b": Host("eth-b", "10.87.2.11", "west"),
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(cgroup, "unified_root", lambda: tmp_path)
    return Site(Spec("lab", "10.87.0.0/16", HOSTS))


def entry(kind: str, pairs: list[list[str]], **data: Any) -> Entry:
    return Entry(1, kind, kind, {"pairs": pairs} | data, 0.0, None)


def test_ends_are_hosts_regions_and_two_names(site: Site) -> None:
    assert links.ends(site, ["west", "east", "eth-a", "machine"]) == ["eth-b", "eth-a", "lb-a1", "machine"]
    with pytest.raises(LabError, match="'north' is no end of a link; hosts: eth-a, lb-a1, eth-b; regions: east, west"):
        links.ends(site, ["north"])


def test_pairs_go_both_ways_or_one(site: Site) -> None:
    assert links.pairs(site, ["eth-a"], ["west"], one_way=True) == [["eth-a", "eth-b"]]
    assert links.pairs(site, ["eth-a"], ["west"], one_way=False) == [["eth-a", "eth-b"], ["eth-b", "eth-a"]]
    with pytest.raises(LabError, match="eth-a would be on both sides"):
        links.pairs(site, ["eth-a"], ["east"], one_way=False)
    with pytest.raises(LabError, match="at least one end on each side"):
        links.pairs(site, ["eth-a"], [], one_way=False)


def test_without_faults_the_rules_only_go(site: Site) -> None:
    script = links.ruleset(site, [])
    assert script.splitlines() == [
        "table bridge chainops_faults_lab",
        "delete table bridge chainops_faults_lab",
        "table inet chainops_faults_lab",
        "delete table inet chainops_faults_lab",
    ]


def test_a_cut_marks_the_sender_and_drops_at_the_receiver(site: Site) -> None:
    script = links.ruleset(site, [entry("partition", [["eth-a", "eth-b"]])])
    assert 'iifname { "vb-lab010b", "dn-lab010b" } meta mark set 0x4c42010b' in script
    assert 'oifname { "vb-lab020b", "dn-lab020b" } meta mark 0x4c42010b counter drop' in script
    assert script.count(" drop") == 1  # one way only
    assert "0x4c420115" not in script  # lb-a1 takes no part


def test_a_cut_from_the_machine_and_from_the_outside(site: Site) -> None:
    pairs = links.pairs(site, ["eth-a"], ["machine", "outside"], one_way=False)
    script = links.ruleset(site, [entry("partition", pairs)])
    tables = script.partition("table inet chainops_faults_lab {")[2]
    assert "meta mark 0x4c42010b counter drop" in tables.partition("chain to_machine")[2].partition("}")[0]
    assert 'oifname != { "lab-east", "lab-west" } meta mark 0x4c42010b counter drop' in tables
    for sender in ("0x4c42fffe", "0x4c42ffff"):
        assert f'oifname {{ "vb-lab010b", "dn-lab010b" }} meta mark {sender} counter drop' in script


def test_the_worst_of_two_losses_holds(site: Site) -> None:
    losses = [entry("loss", [["eth-a", "eth-b"]], percent=12.5), entry("loss", [["eth-a", "eth-b"]], percent=5)]
    script = links.ruleset(site, losses)
    assert script.count("drop") == 1
    assert "numgen random mod 10000 < 1250 counter drop" in script
    assert "numgen" not in links.ruleset(site, [*losses, entry("partition", [["eth-a", "eth-b"]])])


def test_a_delay_numbers_its_senders_and_clears_the_field_of_all_others(site: Site) -> None:
    script = links.ruleset(site, [entry("delay", [["eth-a", "eth-b"]], ms=50, jitter_ms=0)])
    assert 'iifname { "vb-lab010b", "dn-lab010b" } ip dscp set 1' in script
    assert 'iifname { "vb-lab020b", "dn-lab020b" } ip dscp set 0' in script
    assert 'iifname "db-lab020b" notrack' in script
    assert " drop" not in script


def test_packets_are_held_once_where_they_go_in_or_leave_the_lab(site: Site) -> None:
    pairs = links.pairs(site, ["eth-a"], ["eth-b", "machine"], one_way=False)
    relays = {given["link"]: given for given in delays.plan(site, [entry("delay", pairs, ms=50, jitter_ms=5)])}
    delay = {"ms": 50, "jitter_ms": 5}
    assert set(relays) == {"vb-lab010b", "vb-lab020b"}
    # senders in alphabetical order: eth-a 1, eth-b 2, machine 3
    assert relays["vb-lab020b"]["inbound"] == {1: delay}
    assert relays["vb-lab020b"]["outbound"] == {}
    assert relays["vb-lab010b"]["inbound"] == {2: delay, 3: delay}
    assert relays["vb-lab010b"]["outbound"] == {"machine": delay}


def test_the_longest_of_two_delays_holds(site: Site) -> None:
    entries = [entry("delay", [["eth-a", "eth-b"]], ms=ms, jitter_ms=0) for ms in (10, 70, 30)]
    (given,) = delays.plan(site, entries)
    assert given["inbound"] == {1: {"ms": 70, "jitter_ms": 0}}


def test_too_many_senders_are_refused() -> None:
    with pytest.raises(LabError, match="64 senders cannot be told apart"):
        delays.indices([entry("delay", [[f"h{number}", "x"] for number in range(64)], ms=1, jitter_ms=0)])


def frame(tos: int, target: str = "10.87.2.11") -> bytes:
    """An IPv4 frame as a tap device gives it: virtio header, Ethernet, IP with a right checksum, some payload."""
    addresses = bytes([10, 87, 1, 11]) + bytes(map(int, target.split(".")))
    header = bytearray(struct.pack("!BBHHHBBH", 0x45, tos, 120, 7, 0, 64, 1, 0) + addresses)
    struct.pack_into("!H", header, 10, checksum(bytes(header)))
    return bytes(10) + bytes(12) + b"\x08\x00" + bytes(header) + os.urandom(100)


def checksum(header: bytes) -> int:
    total = sum(struct.unpack("!10H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@pytest.mark.parametrize("tos", [0, 1, 0x04, 0x28, 0x4B, 0xFF])
def test_clearing_the_field_leaves_a_right_checksum_and_the_rest(tos: int) -> None:
    given = frame(tos)
    cleared = relay.without_dscp(given)
    assert relay.dscp(cleared) == 0
    assert cleared[10 + 14 + 1] == tos & 3  # congestion notification is not ours
    assert checksum(cleared[24:44]) == 0
    assert cleared[44:] == given[44:] and cleared[:24] == given[:24]


def test_only_whole_ipv4_packets_are_looked_into() -> None:
    assert relay.is_ipv4(frame(0))
    assert not relay.is_ipv4(frame(0)[:40])
    assert not relay.is_ipv4(bytes(10) + bytes(12) + b"\x08\x06" + bytes(40))  # ARP
    assert not relay.is_ipv4(b"")


class FakeTaps:
    """Two ends of pipes instead of tap devices."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.inside: dict[str, Any] = {}
        monkeypatch.setattr(relay, "open_tap", self.open)

    def open(self, name: str) -> int:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            end.setblocking(False)
        self.inside[name] = (theirs, ours)
        return ours.fileno()

    def received(self, name: str) -> list[bytes]:
        found = []
        while True:
            try:
                found.append(self.inside[name][0].recv(70000))
            except BlockingIOError:
                return found


@pytest.fixture
def taps(monkeypatch: pytest.MonkeyPatch) -> FakeTaps:
    return FakeTaps(monkeypatch)


def make_relay(**delay: Any) -> relay.Relay:
    return relay.Relay(
        {
            "network": "10.87.0.0/16",
            "gateways": ["10.87.1.1", "10.87.2.1"],
            "host_tap": "host",
            "net_tap": "net",
            "inbound": delay.get("inbound", {}),
            "outbound": delay.get("outbound", {}),
        }
    )


def test_the_relay_holds_what_its_sender_s_number_says(taps: FakeTaps) -> None:
    held = make_relay(inbound={"1": {"ms": 100, "jitter_ms": 0}})
    taps.inside["net"][0].send(frame(2 << 2))  # of another sender
    taps.inside["net"][0].send(frame(1 << 2))
    held.take(held.net_side, now=10.0)
    assert held.give(now=10.0) == pytest.approx(10.1)
    assert len(taps.received("host")) == 1
    assert held.give(now=10.2) is None
    (late,) = taps.received("host")
    assert relay.dscp(late) == 0


def test_the_relay_keeps_packets_in_order(taps: FakeTaps) -> None:
    held = make_relay(inbound={"1": {"ms": 100, "jitter_ms": 0}})
    first, second = frame(1 << 2), frame(0)
    taps.inside["net"][0].send(first)
    taps.inside["net"][0].send(second)
    held.take(held.net_side, now=1.0)
    held.give(now=1.05)
    assert taps.received("host") == []
    held.give(now=1.11)
    assert [packet[44:] for packet in taps.received("host")] == [first[44:], second[44:]]


@pytest.mark.parametrize(
    ("target", "delay"), [("10.87.2.1", 0.02), ("192.0.2.7", 0.3), ("10.87.2.11", 0.0), ("10.87.1.21", 0.0)]
)
def test_on_the_way_out_the_target_decides(taps: FakeTaps, target: str, delay: float) -> None:
    held = make_relay(outbound={"machine": {"ms": 20, "jitter_ms": 0}, "outside": {"ms": 300, "jitter_ms": 0}})
    assert held.delay(frame(0, target), outwards=True) == pytest.approx(delay)


def test_jitter_stays_within_its_bounds(taps: FakeTaps) -> None:
    drawn = [relay.Delay({"ms": 20, "jitter_ms": 5}).draw() for _number in range(500)]
    assert 0.015 <= min(drawn) < 0.017 and 0.023 < max(drawn) <= 0.025


def test_a_full_queue_drops(taps: FakeTaps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "HELD_MAX", 2)
    held = make_relay(inbound={"0": {"ms": 100, "jitter_ms": 0}})
    for _number in range(4):
        taps.inside["net"][0].send(frame(0))
    held.take(held.net_side, now=1.0)
    held.give(now=2.0)
    assert len(taps.received("host")) == 2
