"""The guard of a shared address: its rules one by one, and whole regions of them on a simulated network."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "roles" / "keepalived" / "files"))

from vip_guard import addresses
from vip_guard.arbiter import Arbiter
from vip_guard.decide import CLAIM, CONTACT, Claim, Decision, Judge, Partner, View

NOW = 1000.0


def view(**changes: Any) -> View:
    """lb-a2 a while after its start, hearing lb-a1, which holds the address."""
    known = {
        "name": "lb-a2",
        "priority": 149,
        "now": NOW,
        "started": 0.0,
        "partners": {"lb-a1": Partner(heard=NOW - 0.05, holds=True, held_for=50.0, serves_since=0.0, priority=150)},
        "arbiters": 1,
        "claims": {"lb-b": Claim("lb-a1", NOW - 0.05, 150)},
        "answered": NOW - 0.05,
    }
    return View(**(known | changes))


def silent(since: float, **more: Any) -> dict[str, Partner]:
    return {"lb-a1": Partner(heard=NOW - since, holds=True, held_for=50.0, serves_since=0.0, priority=150, **more)}


def fault(seen: View) -> str:
    return Judge().decide(seen).fault


def test_a_backup_that_hears_the_holder_is_free() -> None:
    assert fault(view()) == ""


def test_a_partner_that_spoke_to_the_arbiter_since_is_alive() -> None:
    assert "cut from lb-a1" in fault(view(partners=silent(0.5)))


def test_a_partner_that_fell_silent_everywhere_at_once_is_dead() -> None:
    assert fault(view(partners=silent(0.5), claims={"lb-b": Claim("lb-a1", NOW - 0.45, 150)})) == ""


def test_a_claim_that_ran_out_says_nothing() -> None:
    assert fault(view(partners=silent(9.0), claims={"lb-b": Claim("lb-a1", NOW - CLAIM - 0.01, 150)})) == ""


def test_without_arbiters_vrrp_alone_decides() -> None:
    assert fault(view(partners=silent(9.0), arbiters=0, claims={}, answered=None)) == ""


def test_an_unknown_holder_counts_as_a_partner_that_was_never_heard() -> None:
    assert "cut from lb-a3" in fault(view(partners={}, claims={"lb-b": Claim("lb-a3", NOW, 10)}))


@pytest.mark.parametrize(
    ("claims", "gives_up"),
    [
        ({"lb-b": Claim("lb-a1", NOW, 150)}, True),
        ({"lb-b": Claim("lb-a2", NOW, 149)}, False),
        ({"lb-b": Claim("lb-a1", NOW, 150), "lb-c": Claim("lb-a2", NOW, 149)}, True),
        ({"lb-b": Claim("lb-a1", NOW, 140), "lb-c": Claim("lb-a2", NOW, 149)}, False),
        ({"lb-b": None}, False),
    ],
)
def test_of_two_holders_who_are_cut_from_each_other_one_gives_up(
    claims: dict[str, Claim | None], gives_up: bool
) -> None:
    assert bool(fault(view(partners=silent(5.0), held_since=NOW - 3, claims=claims))) is gives_up


def test_at_the_start_nothing_is_taken_before_a_word_is_heard() -> None:
    fresh = {"started": NOW - 0.2, "partners": {"lb-a1": Partner()}, "claims": {}, "answered": None}
    assert "just started" in fault(view(**fresh))
    assert fault(view(**fresh | {"claims": {"lb-b": None}})) == ""
    assert fault(view(**fresh | {"started": NOW - 1.5})) == ""
    assert fault(view(**fresh | {"held_since": NOW})) == "", "a guard that starts again does not take the address away"
    assert fault(view(**fresh | {"partners": {}, "arbiters": 0})) == ""


def test_a_host_without_a_healthy_server_gives_the_address_to_one_that_has_one() -> None:
    serving, none = Partner(NOW, serves_since=0.0), Partner(NOW)
    assert "lb-a1 has one" in fault(view(partners={"lb-a1": serving}, held_since=1.0, unfit_since=NOW - 2))
    assert fault(view(partners={"lb-a1": none}, held_since=1.0, unfit_since=NOW - 2)) == ""
    assert fault(view(partners={"lb-a1": serving}, held_since=1.0, unfit_since=NOW - 0.1)) == ""


def test_a_partner_that_finds_a_server_a_moment_earlier_does_not_get_the_address() -> None:
    """After a time without any healthy server, checks find the first one up to an interval apart."""
    moment, long = Partner(NOW, serves_since=NOW - 0.5), Partner(NOW, serves_since=NOW - 1.5)
    assert fault(view(partners={"lb-a1": moment}, held_since=1.0, unfit_since=NOW - 60)) == ""
    assert "lb-a1 has one" in fault(view(partners={"lb-a1": long}, held_since=1.0, unfit_since=NOW - 60))


def test_an_isolated_host_keeps_the_address_only_while_it_can_serve() -> None:
    alone = {"partners": silent(9.0), "claims": {}, "answered": NOW - 9, "held_since": 1.0}
    assert fault(view(**alone)) == ""
    assert "in reach" in fault(view(**alone | {"unfit_since": NOW}))
    assert fault(view(**alone | {"unfit_since": NOW, "partners": {}})) == "", (
        "the only balancer of a region answers 503"
    )


def test_a_frozen_keepalived_is_killed_once_and_kept_away() -> None:
    judge = Judge()

    def at(now: float, mine: float | None, theirs: bool = True) -> Decision:
        partner = Partner(now, holds=theirs, held_for=now - NOW, serves_since=0.0, priority=149)
        return judge.decide(
            view(name="lb-a1", priority=150, now=now, held_since=mine, partners={"lb-a2": partner}, claims={})
        )

    assert at(NOW + 0.1, mine=NOW - 50) == Decision()
    assert at(NOW + 0.9, mine=NOW - 50).fence
    assert at(NOW + 1.0, mine=None) == Decision("lb-a2 holds the address and does not hear this keepalived")
    assert at(NOW + 1.1, mine=None, theirs=False) == Decision()


def test_the_newer_of_two_owners_stays() -> None:
    judge = Judge()
    for now in (NOW, NOW + 1, NOW + 2):
        partner = Partner(now, holds=True, held_for=50.0, serves_since=0.0, priority=150)
        assert judge.decide(view(now=now, held_since=NOW - 1, partners={"lb-a1": partner})) == Decision()


# The arbiter

MEMBERS = {"east": {"lb-a1": "10.0.1.1", "lb-a2": "10.0.1.2"}}


def test_an_arbiter_keeps_the_first_claim_while_it_is_renewed() -> None:
    arbiter = Arbiter(MEMBERS)
    tokens: dict[str, str] = {}

    def say(kind: str, name: str, now: float, source: str = "", token: str = "") -> dict[str, Any] | None:
        source = source or MEMBERS["east"][name]
        message = {"kind": kind, "vip": "east", "from": name, "number": 7, "priority": 100}
        answer = arbiter.answer(message | {"token": token or tokens.get(source)}, source, now)
        if answer:
            tokens[source] = answer["token"]
        return answer

    assert "holder" not in (say("claim", "lb-a1", 0.0) or {}), (
        "without the token that an answer brings, nothing is claimed"
    )
    assert say("claim", "lb-a1", 0.1)["holder"] == "lb-a1"
    say("ask", "lb-a2", 0.1)
    assert say("claim", "lb-a2", 0.2)["holder"] == "lb-a1"
    assert say("claim", "lb-a2", 0.2 + CLAIM)["holder"] == "lb-a2"
    assert "holder" not in (say("release", "lb-a2", 0.3 + CLAIM) or {})
    assert say("claim", "lb-a1", 1.0, token="forged") is not None
    assert "holder" not in (say("ask", "lb-a2", 1.0) or {})
    assert say("ask", "lb-a1", 1.0, source="10.9.9.9") is None
    assert say("ask", "stranger", 1.0, source="10.0.1.1") is None


@pytest.mark.parametrize("message", [{}, {"vip": 1, "from": []}, {"vip": "west", "from": "lb-a1"}, {"vip": "east"}])
def test_an_arbiter_is_silent_to_what_it_does_not_know(message: dict[str, Any]) -> None:
    assert Arbiter(MEMBERS).answer(message, "10.0.1.1", 0.0) is None


# Regions


@dataclass
class Host:
    """One balancer: a guard's rules, and keepalived as far as it matters (silence for 0.7 s makes a master)."""

    name: str
    priority: int
    others: list[str]
    alive: bool = True
    master: bool = False
    advert_at: float = 0.0
    judge: Judge = field(default_factory=Judge)
    seen: View = field(init=False)
    wrong: Decision = field(default_factory=Decision)

    def __post_init__(self) -> None:
        self.seen = View(self.name, self.priority, 0.0, 0.0, partners={n: Partner() for n in self.others}, arbiters=1)


class Region:
    """Two balancers and an arbiter, stepped every 50 ms; ``cut`` holds the pairs that do not hear each other."""

    def __init__(self) -> None:
        self.hosts = {n: Host(n, p, [o]) for n, p, o in [("lb-a1", 150, "lb-a2"), ("lb-a2", 149, "lb-a1")]}
        self.claim: Claim | None = None
        self.cut: set[frozenset[str]] = set()
        self.now = 0.0
        self.double = self.none = 0.0

    def linked(self, one: str, other: str) -> bool:
        return frozenset((one, other)) not in self.cut

    def run(self, seconds: float) -> list[str]:
        self.double = self.none = 0.0
        for _dummy in range(round(seconds / 0.05)):
            self.now += 0.05
            for host in self.hosts.values():
                if host.alive:
                    self.step(host)
            holders = [host.name for host in self.hosts.values() if host.alive and host.master]
            self.double += 0.05 * (len(holders) > 1)
            self.none += 0.05 * (not holders)
        return holders

    def step(self, host: Host) -> None:
        seen = host.seen
        seen.now = self.now
        seen.held_since = (seen.held_since or self.now) if host.master else None
        if self.linked(host.name, "lb-b"):
            if host.master and (
                self.claim is None or self.now - self.claim.at > CLAIM or self.claim.holder == host.name
            ):
                self.claim = Claim(host.name, self.now, host.priority)
            seen.claims["lb-b"], seen.answered = self.claim, self.now
        for other in self.hosts.values():
            if other is not host and other.alive and self.linked(host.name, other.name):
                other.seen.partners[host.name] = Partner(
                    self.now, host.master, self.now - (seen.held_since or self.now), True, host.priority
                )
                if host.master:
                    other.advert_at = self.now
                    if other.master and other.priority < host.priority:
                        other.master = False
        host.wrong = host.judge.decide(seen)
        if host.wrong.fault:
            host.master, host.advert_at = False, self.now
        elif not host.master and self.now - host.advert_at > 0.7 + (150 - host.priority) / 100:
            host.master = True


@pytest.fixture
def region() -> Region:
    started = Region()
    assert started.run(3) == ["lb-a1"]
    assert started.run(5) == ["lb-a1"]
    assert (started.double, started.none) == (0, 0)
    return started


def test_region_cut_between_its_balancers(region: Region) -> None:
    region.cut = {frozenset(("lb-a1", "lb-a2"))}
    assert region.run(20) == ["lb-a1"]
    assert (region.double, region.none) == (0, 0)
    region.cut = set()
    assert region.run(5) == ["lb-a1"]
    assert (region.double, region.none) == (0, 0)


def test_region_holder_dies(region: Region) -> None:
    region.hosts["lb-a1"].alive = False
    assert region.run(3) == ["lb-a2"]
    assert region.none < 1.0


def test_region_holder_dies_during_a_cut(region: Region) -> None:
    region.cut = {frozenset(("lb-a1", "lb-a2"))}
    region.run(5)
    region.hosts["lb-a1"].alive = False
    assert region.run(5) == ["lb-a2"]
    assert region.none < 1.7


def test_region_holder_dies_while_no_arbiter_is_in_reach(region: Region) -> None:
    region.cut = {frozenset((name, "lb-b")) for name in region.hosts}
    region.run(3)
    region.hosts["lb-a1"].alive = False
    assert region.run(3) == ["lb-a2"]


def test_region_holder_cut_from_everyone(region: Region) -> None:
    region.cut = {frozenset(("lb-a1", "lb-a2")), frozenset(("lb-a1", "lb-b"))}
    region.hosts["lb-a1"].seen.unfit_since = region.now
    assert region.run(10) == ["lb-a2"]
    assert region.double < 1.0


def test_region_control_without_an_arbiter_a_cut_makes_two_owners(region: Region) -> None:
    region.cut = {frozenset((a, b)) for a in ("lb-a1", "lb-a2") for b in ("lb-a1", "lb-a2", "lb-b")}
    assert region.run(10) == ["lb-a1", "lb-a2"]
    assert region.double > 8


def test_the_kernel_says_which_addresses_there_are() -> None:
    kernel = addresses.Kernel()
    assert kernel.has("127.0.0.1")
    assert not kernel.has("192.0.2.77")


def test_contact_is_lost_before_vrrp_acts() -> None:
    assert CONTACT + 0.2 < 3 * 0.2 + 0.08
