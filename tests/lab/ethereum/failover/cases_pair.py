"""Faults of one pair: its clients die, freeze, fall behind or lose their peers."""

from __future__ import annotations

import time

from .case import Figures, case, fresh_answers
from .world import PAIRS, World

# Seconds that the balancers give eth_call and its like by default (haproxy_ethereum_call_timeout_ms): one second more
# than geth's own limit for them.
CALL_TIMEOUT = 6.0


@case("geth-killed", short=True, limits=lambda world: fresh_answers(world) | {"detection_s": 3})
def geth_killed(world: World) -> Figures:
    """SIGKILL: geth loses what it had not written and comes back on an older head."""
    return kill_geth(world, "geth-killed")


def kill_geth(world: World, name: str) -> Figures:
    with world.load(name) as load:
        fault = world.faults.kill_unit("eth-a", "geth", stay_dead=True)
        at = time.time()
        time.sleep(world.hold)
        healed = time.time()
        fault.undo()
        world.wait_admitted("eth-a")
        came_back_behind = behind_head(world, "eth-a")
        time.sleep(3)
    assert came_back_behind <= 2, f"eth-a was let in {came_back_behind} blocks behind the references"
    return world.figures(load, at, healed)


@case("geth-frozen", limits=lambda world: fresh_answers(world) | {"ejected_s": 3, "slowest_s": CALL_TIMEOUT + 0.5})
def geth_frozen(world: World) -> Figures:
    """What it had in hand waits for its method's timeout and is then asked of the other pair; new requests go there."""
    with world.load("geth-frozen") as load:
        fault = world.faults.freeze_unit("eth-a", "geth")
        at = time.time()
        ejected = world.wait_out("eth-a")
        time.sleep(world.hold - ejected)
        healed = time.time()
        fault.undo()
        world.wait_admitted("eth-a")
        time.sleep(2)
    return world.figures(load, at, healed) | {"ejected_s": round(ejected, 3)}


@case(
    "consensus-stopped", short=True, limits=lambda world: fresh_answers(world) | {"detection_s": world.policy_age + 2}
)
def consensus_stopped(world: World) -> Figures:
    """The head stands still while eth_syncing stays false."""
    return consensus_fault(world, "consensus-stopped", wait_back=True)


def consensus_fault(world: World, name: str, wait_back: bool) -> Figures:
    """Stop the consensus client of the serving pair under load; ``wait_back``: it must be ejected and come back."""
    with world.load(name) as load:
        fault = world.faults.stop_unit("eth-a", "prysm")
        at = time.time()
        time.sleep(world.hold)
        assert world.rpc("eth-a", "eth_syncing") is False, "the case proves nothing: eth_syncing says it is syncing"
        if wait_back:
            assert world.status("eth-a")["state"] == "stale", world.pairs_say()
        healed = time.time()
        fault.undo()
        if wait_back:
            world.wait_admitted("eth-a")
            time.sleep(2)
    return world.figures(load, at, healed)


@case("pair-cut-off", limits=lambda world: fresh_answers(world) | {"detection_s": world.policy_age + 2})
def pair_cut_off(world: World) -> Figures:
    """Both clients alive, no peer and no reference in reach."""
    return cut_off(world, "pair-cut-off", ejected=True)


def cut_off(world: World, name: str, ejected: bool) -> Figures:
    """``ejected``: the balancers must learn of it."""
    with world.load(name) as load:
        fault = world.faults.partition(["eth-a"], [host for host in PAIRS if host != "eth-a"])
        at = time.time()
        time.sleep(world.hold)
        assert not (ejected and world.admitted("eth-a")), world.pairs_say()
        healed = time.time()
        fault.undo()
        world.wait_admitted("eth-a")
        time.sleep(2)
    return world.figures(load, at, healed)


@case("sync-from-empty", limits=lambda world: fresh_answers(world) | {"admitted_behind": 2})
def sync_from_empty(world: World) -> Figures:
    """A pair whose data is gone is not asked before it has caught up."""
    return start_from_empty(world, "sync-from-empty")


def start_from_empty(world: World, name: str) -> Figures:
    with world.load(name) as load:
        at = time.time()
        with world.faults.stop_unit("eth-a", "prysm"), world.faults.stop_unit("eth-a", "geth"):
            world.wait_out("eth-a")
            world.site.run("eth-a", "sh", "-c", "rm -rf /var/lib/geth/geth /var/lib/prysm/beaconchaindata")
            healed = time.time()
        world.wait_admitted("eth-a", 300)
        behind = behind_head(world, "eth-a")
        time.sleep(world.hold)
    return world.figures(load, at, healed) | {"admitted_behind": behind}


@case("disk-full", limits=lambda world: fresh_answers(world) | {"geth_stopped_first": 0})
def disk_full(world: World) -> Figures:
    """Ejected with a reason while geth still runs."""
    return fill_disk(world, "disk-full", leave_mb=200, watched=True)


def fill_disk(world: World, name: str, leave_mb: int, watched: bool) -> Figures:
    """``watched``: the daemon must see it, and say so."""
    with world.load(name) as load:
        fault = world.faults.fill_disk("eth-a", "/var/lib/geth", leave_bytes=leave_mb * 2**20)
        at = time.time()
        if watched:
            world.wait_out("eth-a", 10)
        else:
            world.until("geth stopped", lambda: not geth_runs(world), 120, interval=1)
        stopped_first = int(not geth_runs(world))
        status = world.status("eth-a")
        assert not watched or ("disk" in status["reason"] and "/var/lib/geth" in status["reason"]), status
        time.sleep(world.hold)
        healed = time.time()
        fault.undo()
        world.site.run("eth-a", "systemctl", "start", "geth")
        world.wait_admitted("eth-a")
    return world.figures(load, at, healed) | {"geth_stopped_first": stopped_first}


def geth_runs(world: World) -> bool:
    return world.site.run("eth-a", "systemctl", "is-active", "geth", check=False).returncode == 0


def behind_head(world: World, host: str) -> int:
    """Blocks between a pair's head and the first reference's, asked one after the other."""
    reference = int(world.rpc("eth-c", "eth_blockNumber"), 16)
    return max(0, reference - int(world.rpc(host, "eth_blockNumber"), 16))
