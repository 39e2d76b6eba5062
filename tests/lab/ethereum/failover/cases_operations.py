"""What an operator does on purpose: take a pair out and put it back."""

from __future__ import annotations

import time

from tests.lab.load import record as records

from .case import Figures, case, fresh_answers
from .world import EAST, WEST, World

SWITCHOVER = "chainops.infra.operations.switchover"


@case("switchover", limits=lambda world: fresh_answers(world) | {"answers_while_out": 0})
def switchover(world: World) -> Figures:
    """There and back under load; while the pair is out it answers nothing."""
    with world.load("switchover", EAST, WEST) as load:
        world.site.play(SWITCHOVER, "-e", "switchover_from=eth-a").check()
        out = time.time()
        assert world.status("eth-a")["drain"], "the pair is not drained"
        again = world.site.play(SWITCHOVER, "-e", "switchover_from=eth-a").check()
        assert not again.changed, f"a second run changed {again.changed}"
        back = time.time()
        world.site.play(SWITCHOVER, "-e", "switchover_back=eth-a").check()
        world.wait_serving(EAST, "eth-a")
        time.sleep(3)
    while_out = records.between(load.records(), out, back)
    return dict(load.figures) | {"answers_while_out": sum(record.node == "eth-a" for record in while_out)}


@case("switchover-refused", limits=lambda world: fresh_answers(world) | {"drained": 0})
def switchover_refused(world: World) -> Figures:
    """Where the partner does not serve, nothing is moved, and the message says why."""
    with world.load("switchover-refused", EAST, WEST) as load:
        world.faults.stop_unit("eth-b", "geth")
        world.wait_out("eth-b")
        run = world.site.play(SWITCHOVER, "-e", "switchover_from=eth-a")
        drained = world.status("eth-a")["drain"] is not None
        world.faults.undo_all()
        world.wait_admitted("eth-b", 180)
    assert run.returncode and "no other pair is in service" in run.output, run.output[-3000:]
    return dict(load.figures) | {"drained": int(drained)}
