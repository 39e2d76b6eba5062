"""Faults of the chain around the pairs: it stalls."""

from __future__ import annotations

import time

from .case import Figures, case
from .world import SERVING, World


def served(_world: World) -> Figures:
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
        fault = world.faults.stop_unit("eth-c", "devnet-validators")
        at = time.time()
        ejected = count_ejected(world, world.hold)
        states = {world.status(host)["state"] for host in SERVING}
        healed = time.time()
        fault.undo()
        # the first block after a stall reaches the pairs one after the other
        ejected += count_ejected(world, 10)
    assert states == {"chain_stalled"}, states
    return world.figures(load, at, healed) | {"ejected": ejected}
