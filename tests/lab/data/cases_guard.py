"""The guard of a promotion: a client that stays with a primary whose Patroni hangs gets no promise that is not kept.

The balancers do not look at their servers meanwhile, so that the clients stay where they were. Two standbys answer when
they are asked for their vote, and are late to leave the old primary, as hosts that swap: what they confirm to it in
between is what the guard is for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from . import names
from .case import Figures, case, nothing_lost
from .prover.ledger import acknowledged_between, together
from .world import World

GUARD = "/usr/lib/chainops/postgresql/promotion_guard.py"
RUNS = 3
BLIND = "inter 600s"
"""Longer than a run takes: a balancer looks once when it starts, and not again."""


# Seconds. A vote waits 2 s for an answer, so that it is had in the next moment of work at the latest.
STANDS_STILL_S, WORKS_S = 1.5, 0.3


@contextmanager
def sluggish(world: World, hosts: list[str]) -> Iterator[None]:
    """Patroni of some members stands still most of the time; their PostgreSQL does not."""
    ended = threading.Event()

    def press(host: str) -> None:
        while not ended.is_set():
            with world.faults.freeze_unit(host, names.PATRONI_UNIT, only=names.PATRONI):
                ended.wait(STANDS_STILL_S)
            ended.wait(WORKS_S)

    threads = [threading.Thread(target=press, args=(host,)) for host in hosts]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


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
            swift, *late = [host for host in names.POSTGRESQL if host != primary]
            with sluggish(world, late):
                world.until(
                    f"{swift} or another leads", lambda: leads(world, swift) not in ("", primary), world.ttl + 40
                )
                time.sleep(5)
        # the lock of the frozen Patroni cannot end sooner: until then its PostgreSQL is the rightful primary
        least = world.ttl - float(world.patroni_config()["loop_wait"])
        rows = acknowledged_between(prover.ledger(), at + 3, at + least)
        assert rows > 0, "the clients did not stay with the old primary, so that nothing is shown"
        world.mend()
    world.settle()
    return prover.judge().figures


def leads(world: World, ask: str) -> str:
    """The leader by the word of a member that answers at once; "" while there is none."""
    return next((member["name"] for member in world.members((ask,)) if member["role"] == "leader"), "")


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
