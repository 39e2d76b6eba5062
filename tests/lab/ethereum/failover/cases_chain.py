"""Faults of the chain around the pairs: it stalls, references fall silent or lie, a pair is on another chain."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from tests.lab.load import record as records

from . import tricks
from .case import Figures, case, fresh_answers
from .world import SERVING, World


def served(_world: World) -> Figures:
    """What holds while nobody may be ejected, whatever the age of the answers."""
    return {"failed": 0, "tx_lost": 0, "ejected": 0}


def served_fresh(world: World) -> Figures:
    """Nobody may be ejected, and the chain goes on."""
    return served(world) | fresh_answers(world)


def count_ejected(world: World, seconds: float) -> int:
    """Serving pairs that were seen out of service at any moment of this time."""
    seen: set[str] = set()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        seen |= {host for host in SERVING if not world.admitted(host)}
        time.sleep(0.25)
    return len(seen)


def reasons(world: World, host: str) -> str:
    """All that the daemon finds, in one line."""
    return "; ".join(reason["text"] for reason in world.status(host)["reasons"])


def stalled(world: World, name: str) -> Figures:
    """No validator proposes: the chain stands still for everybody."""
    with world.load(name) as load:
        fault = world.faults.stop_unit("eth-c", "devnet-validators")
        at = time.time()
        ejected = count_ejected(world, world.hold)
        states = {world.status(host)["state"] for host in SERVING}
        fault.undo()
        healed = time.time()
        # the first block after a stall reaches the pairs one after the other
        ejected += count_ejected(world, 10)
        for host in SERVING:
            world.wait_admitted(host)
    assert states == {"chain_stalled"}, states
    return world.figures(load, at, healed) | {"ejected": ejected}


@case("chain-stalled", limits=served)
def chain_stalled(world: World) -> Figures:
    """Nobody is ejected one by one, and the policy here is to serve."""
    return stalled(world, "chain-stalled")


@case(
    "chain-stalled-refuse",
    limits=lambda world: {"tx_lost": 0, "oldest_answer_s": world.policy_age + 2, "in_service": 0},
)
def chain_stalled_refuse(world: World) -> Figures:
    """The other policy: no answer rather than an old one, from all pairs at once, and clients are told so."""
    with tricks.daemons(world, policy={"on_stall": "refuse"}), world.load("chain-stalled-refuse") as load:
        fault = world.faults.stop_unit("eth-c", "devnet-validators")
        time.sleep(world.policy_age + 3)
        in_service = sum(world.admitted(host) for host in SERVING)
        time.sleep(world.hold - world.policy_age)
        fault.undo()
        for host in SERVING:
            world.wait_admitted(host)
        time.sleep(2)
    told = {error for error in load.result["errors"] if "no node is healthy" not in error}
    assert not told, f"clients were told {told}"
    return dict(load.figures) | {"in_service": in_service}


@case("references-unreachable", limits=served_fresh)
def references_unreachable(world: World) -> Figures:
    with world.load("references-unreachable") as load, tricks.references_silent(world):
        at = time.time()
        ejected = count_ejected(world, world.hold)
        said = {host: reasons(world, host) for host in SERVING}
    assert all("nothing to compare with" in text for text in said.values()), said
    return world.figures(load, at) | {"ejected": ejected}


def lied_to(world: World, name: str, mode: str, *liars: str) -> Figures:
    """References lie while the load runs."""
    with world.load(name) as load, ExitStack() as stack:
        for liar in liars:
            stack.enter_context(tricks.lying(world, liar, mode))
        tricks.reconnect(world)
        ejected = count_ejected(world, world.hold)
        said = {host: reasons(world, host) for host in SERVING}
        stack.close()
        for host in SERVING:
            world.wait_admitted(host)
    assert all(liar in text for text in said.values() for liar in liars) or mode == "ahead", said
    return dict(load.figures) | {"ejected": ejected}


@case("reference-lying-hashes", limits=served_fresh)
def reference_lying_hashes(world: World) -> Figures:
    """One reference names another hash for every block."""
    return lied_to(world, "reference-lying-hashes", "fork", "eth-d")


@case("reference-lying-ahead", limits=served_fresh)
def reference_lying_ahead(world: World) -> Figures:
    """One reference claims to be a thousand blocks ahead."""
    return lied_to(world, "reference-lying-ahead", "ahead", "eth-d")


def elsewhere(
    world: World, name: str, trick: Callable[[World, str], AbstractContextManager[None]], state: str, seconds: float
) -> Figures:
    """The serving pair gets onto another chain while it is drained; the drain is lifted, and it must stay out."""
    world.site.run("eth-a", "chain-health", "drain", "--reason", name)
    try:
        world.wait_out("eth-a")
        with trick(world, "eth-a"):
            if state:
                world.until(f"eth-a {state}", lambda: world.status("eth-a").get("state") == state, 90)
            else:
                time.sleep(20)
            with world.load(name) as load:
                at = time.time()
                world.site.run("eth-a", "chain-health", "undrain")
                admitted, until = 0, time.monotonic() + seconds
                while time.monotonic() < until:
                    admitted += world.admitted("eth-a")
                    time.sleep(0.25)
    finally:
        world.site.run("eth-a", "chain-health", "undrain")
    during = records.between(load.records(), at, at + seconds)
    foreign = sum(record.ok and record.node == "eth-a" for record in during)
    return dict(load.figures) | {"admitted": admitted, "foreign_answers": foreign}


def never_admitted(world: World) -> Figures:
    return fresh_answers(world) | {"admitted": 0, "foreign_answers": 0}


@case("other-genesis", limits=never_admitted)
def other_genesis(world: World) -> Figures:
    return elsewhere(world, "other-genesis", tricks.other_genesis, "forked", world.hold)


@case("fork", limits=never_admitted)
def fork(world: World) -> Figures:
    """Its clients are well and its head is fresh, but its blocks are those of its own validators."""
    return elsewhere(world, "fork", tricks.own_fork, "", world.hold + 30)


def fork_limits(world: World) -> Figures:
    """A reorganisation has its time; the next block of a fork is up to two slots away."""
    policy = world.status("eth-a")["policy"]
    return {"failed": 0, "detection_s": (policy["fork_slots"] + 2) * policy["slot_seconds"] + 2}


@case("fork-in-service", limits=fork_limits)
def fork_in_service(world: World) -> Figures:
    """A pair that goes onto a fork of its own while it serves: the others outvote it before anything is final."""
    with world.load("fork-in-service") as load, tricks.own_fork(world, "eth-a"):
        at = time.time()
        world.wait_out("eth-a")
        assert world.status("eth-a")["state"] == "forked", world.pairs_say()
        time.sleep(world.hold)
        healed = time.time()
    return world.figures(load, at, healed)
