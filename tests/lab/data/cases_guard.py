"""The guard of a promotion: a client that stays with a primary whose Patroni hangs gets no promise that is not kept.

The balancers do not look at their servers meanwhile, so that the clients stay where they were. One standby can be
elected; the others do not reach etcd. They do not learn that the lock has ended, and so they answer the vote, and go on
to confirm what the old primary commits. What they confirm after the vote is what the guard is for. The clients write
seldom: voters that have had a row since are ahead of whoever asks them, and Patroni itself elects nobody. That happens
now and then all the same, so that a run in which nobody was to be promoted is made again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from . import names
from .case import Figures, case, nothing_lost
from .prover.ledger import acknowledged_between, together
from .world import World

GUARD = "/usr/lib/chainops/postgresql/promotion_guard.py"
RUNS, TRIES, RATE = 2, 6, 2.0
BLIND = "inter 600s"
"""Longer than a run takes: a balancer looks once when it starts, and not again."""
CUT = """\
add table inet case
add chain inet case out { type filter hook output priority 0; }
add rule inet case out tcp dport 2379 drop"""
MEND = "nft delete table inet case 2>/dev/null || true"


@contextmanager
def without_etcd(world: World, hosts: list[str]) -> Iterator[None]:
    """Clients on these hosts do not reach etcd; its members reach each other."""
    try:
        for host in hosts:
            world.sh(host, f"nft -f - <<'END'\n{CUT}\nEND")
        yield
    finally:
        for host in hosts:
            world.sh(host, MEND)


def one_run(world: World, name: str) -> Figures:
    """Patroni stands still on the primary, PostgreSQL works on, and its clients do not notice."""
    world.settle()
    primary = world.leader()
    _elected, *late = [host for host in names.POSTGRESQL if host != primary]
    with world.checks(BLIND):
        with world.prove_postgresql(name, rate=RATE) as prover:
            prover.wait_started()
            time.sleep(2)
            with without_etcd(world, late):
                at = time.monotonic()
                world.faults.freeze_unit(primary, names.PATRONI_UNIT, only=names.PATRONI)
                # the lock's end, the vote, and the guard's patience
                time.sleep(world.ttl + 20)
        rows = acknowledged_between(prover.ledger(), at + world.ttl + 5, time.monotonic())
        assert rows > 0, "nobody confirmed the old primary's rows once its lock had ended, so that nothing is shown"
        world.mend()
    world.settle()
    return prover.judge().figures


def guard_asked(world: World, since: float) -> int:
    """How often members wanted to be promoted and asked the guard."""
    journal = f"journalctl -u {names.PATRONI_UNIT} -o cat --since @{int(since)}"
    script = f"{journal} | grep -c 'pre_promote script .* exited with' || true"
    return sum(int(world.sh(host, script)) for host in names.POSTGRESQL)


@case("zero_host-clients-of-an-old-primary", "postgresql", limits=nothing_lost)
def guarded(world: World) -> Figures:
    """Nobody is promoted while others confirm the old primary: its clients have what they were promised."""
    world.policy(names.DEFAULT_RPO)
    done, asked = [], 0
    while len(done) < RUNS or (not asked and len(done) < TRIES):
        since = time.time()
        done.append(one_run(world, f"guarded-{len(done)}"))
        asked += guard_asked(world, since)
    assert asked, "the guard was never asked, so that nothing is shown"
    return together(done) | {"guard_asked": asked}


@case("control-without-guard", "postgresql", goes_red=["lost", "old_primary"], limits=nothing_lost)
def unguarded(world: World) -> Figures:
    """The same with a guard that always agrees, until it shows."""
    world.policy(names.DEFAULT_RPO)
    done: list[Figures] = []
    try:
        for host in names.POSTGRESQL:
            world.sh(host, f"cp -p {GUARD} {GUARD}.kept && : > {GUARD}")
        while len(done) < TRIES and not (done and (done[-1]["lost"] or done[-1]["old_primary"])):
            done.append(one_run(world, f"unguarded-{len(done)}"))
        return together(done)
    finally:
        for host in names.POSTGRESQL:
            world.sh(host, f"if test -e {GUARD}.kept; then mv {GUARD}.kept {GUARD}; fi")
