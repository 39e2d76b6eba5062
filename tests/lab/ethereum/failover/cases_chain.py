"""Faults of the chain around a pair: it stalls, references are gone or lie, a pair is on another chain."""

from __future__ import annotations

import time

from .case import Figures, case, fresh_answers
from .liar import lying_reference
from .world import EAST, PAIRS, SERVING, World, call


def served(world: World) -> Figures:
    """What holds while nobody may be ejected, whatever the age of the answers."""
    return {"failed": 0, "tx_lost": 0, "ejected": 0}


def count_ejected(world: World, seconds: float) -> int:
    """Serving pairs that were seen out of service at any moment of this time."""
    seen: set[str] = set()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        seen |= {host for host in SERVING if not world.admitted(host)}
        time.sleep(0.25)
    return len(seen)


@case("chain-stalled", limits=served)
def chain_stalled(world: World) -> Figures:
    """No validator proposes: the chain stands still, nobody is ejected one by one, and policy here is to serve."""
    with world.load("chain-stalled") as load:
        fault = world.faults.stop_unit("eth-c", "devnet-validator")
        at = time.time()
        ejected = count_ejected(world, world.hold)
        states = {world.status(host)["state"] for host in SERVING}
        fault.undo()
        # the first block after a stall reaches the pairs one after the other
        ejected += count_ejected(world, 10)
    assert states == {"chain_stalled"}, states
    return world.figures(load, at) | {"ejected": ejected}


@case("chain-stalled-refuse", limits=lambda _world: {"stale_answers": 0, "wrong_refusals": 0})
def chain_stalled_refuse(world: World) -> Figures:
    """The same where policy refuses: a JSON-RPC error with 503 and Retry-After, never an old head."""
    with world.policy(on_stall="refuse"):
        world.faults.stop_unit("eth-c", "devnet-validator")
        world.until("both pairs out", lambda: not any(map(world.admitted, SERVING)), world.policy_age + 10)
        time.sleep(1)
        answers = [world.raw_answer(EAST) for _ in range(20)]
        stale = sum(answer.status == 200 for answer in answers)
        wrong = sum(
            answer.status != 503 or not answer.headers.get("Retry-After") or "error" not in answer.document
            for answer in answers
        )
        world.faults.undo_all()
        for host in SERVING:
            world.wait_admitted(host, 180)
    return {"stale_answers": stale, "wrong_refusals": wrong}


@case("references-unreachable", limits=lambda world: fresh_answers(world) | {"ejected": 0})
def references_unreachable(world: World) -> Figures:
    with world.load("references-unreachable") as load:
        world.faults.stop_unit("eth-d", "geth")
        world.faults.partition(list(SERVING), ["eth-d"])
        # eth-c also holds the validators, so its P2P stays: only its RPC is taken away
        world.drop_port("eth-c", 8545)
        at = time.time()
        ejected = count_ejected(world, world.hold)
    return world.figures(load, at) | {"ejected": ejected}


@case("reference-lying", limits=lambda world: fresh_answers(world) | {"ejected": 0})
def reference_lying(world: World) -> Figures:
    """One reference claims a head far ahead, with hashes nobody else has."""
    with world.load("reference-lying") as load, lying_reference(world, "eth-d", blocks_ahead=1000):
        at = time.time()
        lie = int(call(f"http://{PAIRS['eth-d']}:8545", "eth_blockNumber"), 16)
        truth = int(world.rpc("eth-a", "eth_blockNumber"), 16)
        assert lie > truth + 500, "the case proves nothing: the reference does not lie"
        ejected = count_ejected(world, world.hold)
    return world.figures(load, at) | {"ejected": ejected}


@case("other-genesis", limits=lambda world: fresh_answers(world) | {"admitted": 0})
def other_genesis(world: World) -> Figures:
    """A pair whose geth is on another genesis never comes in."""
    with world.load("other-genesis") as load, world.other_genesis("eth-a"):
        at = time.time()
        world.wait_out("eth-a")
        admitted = sum(world.admitted("eth-a") for _ in range(int(world.hold * 4)) if not time.sleep(0.25))
    world.wait_admitted("eth-a", 300)
    return world.figures(load, at) | {"admitted": admitted}


@case("forked", limits=lambda world: fresh_answers(world) | {"readmitted": 0})
def forked(world: World) -> Figures:
    """A pair that builds blocks of its own, fresh in age and wrong: its validators are a copy of the chain's."""
    with world.load("forked") as load, world.own_fork("eth-a"):
        at = time.time()
        world.wait_out("eth-a", 120)
        readmitted = sum(world.admitted("eth-a") for _ in range(int(world.hold * 4)) if not time.sleep(0.25))
        state = world.status("eth-a")["state"]
    assert state == "forked", state
    world.wait_admitted("eth-a", 300)
    return world.figures(load, at) | {"readmitted": readmitted}
