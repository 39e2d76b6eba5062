"""The guard of a promotion: a client that stays with a primary whose Patroni hangs gets no promise that is not kept.

The balancers do not look at their servers meanwhile, so that the clients stay where they were.
"""

from __future__ import annotations

import time

from . import names
from .case import Figures, case, nothing_lost
from .prover.ledger import acknowledged_between, together
from .world import World

GUARD = "/usr/lib/chainops/postgresql/promotion_guard.py"
RUNS = 3
BLIND = "inter 600s"
"""Longer than a run takes: a balancer looks once when it starts, and not again."""


def one_run(world: World, name: str) -> Figures:
    """Patroni stands still on the primary, PostgreSQL works on, and its clients do not notice."""
    world.settle()
    primary = world.leader()
    with world.checks(BLIND):
        with world.prove_postgresql(name, rate=300) as prover:
            prover.wait_started()
            time.sleep(2)
            at = time.monotonic()
            world.faults.freeze_unit(primary, names.PATRONI_UNIT, only=names.PATRONI)
            world.wait_leader(world.ttl + 30, other_than=primary)
            time.sleep(5)
        # the lock of the frozen Patroni cannot end sooner: until then its PostgreSQL is the rightful primary
        least = world.ttl - float(world.patroni_config()["loop_wait"])
        rows = acknowledged_between(prover.ledger(), at + 3, at + least)
        assert rows > 0, "the clients did not stay with the old primary, so that nothing is shown"
        world.mend()
    world.settle()
    return prover.judge().figures


@case("zero_host-clients-of-an-old-primary", "postgresql", limits=nothing_lost)
def guarded(world: World) -> Figures:
    world.policy(names.DEFAULT_RPO)
    return together([one_run(world, f"guarded-{number}") for number in range(RUNS)])


@case("control-without-guard", "postgresql", goes_red=["lost", "old_primary"], limits=nothing_lost)
def unguarded(world: World) -> Figures:
    """The same with a guard that always agrees: what a standby confirmed to the old primary after the vote is lost."""
    world.policy(names.DEFAULT_RPO)
    done = []
    for host in names.POSTGRESQL:
        world.sh(host, f"cp -p {GUARD} {GUARD}.kept && : > {GUARD}")
    try:
        for number in range(2 * RUNS):
            done.append(one_run(world, f"unguarded-{number}"))
            if done[-1]["lost"] or done[-1]["old_primary"]:
                break
    finally:
        for host in names.POSTGRESQL:
            world.sh(host, f"mv {GUARD}.kept {GUARD}")
    return together(done)
