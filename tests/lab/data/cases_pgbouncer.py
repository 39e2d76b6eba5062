"""PostgreSQL through PgBouncer on both balancers: a primary that goes costs idle clients nothing, and nobody a row."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg

from . import names
from .case import Figures, case, nothing_lost
from .prover import writer
from .world import World

IDLE_CLIENTS = 10
"""For each balancer, beside those that write: more than it has connections to lend."""


def limits(world: World) -> Figures:
    """What nothing_lost says, every client served again, and no more connections than the pools of both hosts have."""
    pools = world.site.variables(names.BALANCERS[0])["pgbouncer_databases"]
    most = sum(pool["connections"] for pool in pools) * len(names.BALANCERS)
    return nothing_lost(world) | {"clients_dropped": 0, "server_connections": most}


def client_of(world: World, balancer: str) -> psycopg.Connection[Any]:
    address = f"{world.address(balancer)}:{names.PGBOUNCER_PORT}"
    return writer.connect(address, world.postgresql_options(pooled=True), autocommit=True)


@contextlib.contextmanager
def idle_clients(world: World) -> Iterator[list[psycopg.Connection[Any]]]:
    """Clients that were served once and hold their connections since; none is ever opened anew."""
    with contextlib.ExitStack() as held:
        clients = []
        for balancer in names.BALANCERS * IDLE_CLIENTS:
            client = client_of(world, balancer)
            held.callback(client.close)
            clients.append(client)
        assert all(served(client) for client in clients)
        yield clients


def served(client: psycopg.Connection[Any]) -> bool:
    """Whether the primary answers on this very connection."""
    try:
        return client.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)
    except (psycopg.Error, OSError):
        return False


def every_pool_serves(world: World) -> bool:
    """Whether a new client of each balancer is served; one balancer may see the new primary later than the other."""
    for balancer in names.BALANCERS:
        try:
            with contextlib.closing(client_of(world, balancer)) as client:
                if not served(client):
                    return False
        except (psycopg.Error, OSError):
            return False
    return True


def through_pgbouncer(world: World, name: str, move: Callable[[], object]) -> Figures:
    """Move the primary while some clients write and others hold idle connections."""
    before = world.leader()
    prover = world.prove_postgresql(name, ports=(names.PGBOUNCER_PORT,), pooled=True)
    with prover, idle_clients(world) as idle:
        prover.wait_started()
        time.sleep(2)
        open_now = world.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'prover'", "postgres")
        moved_at = time.monotonic()
        move()
        assert world.wait_leader(other_than=before) != before
        prover.wait_acknowledged(moved_at + 1, 90)
        world.until("both pools serve", lambda: every_pool_serves(world), 30)
        dropped = sum(not served(client) for client in idle)
        world.mend()
        time.sleep(2)
    world.settle()
    return prover.judge().figures | {"clients_dropped": dropped, "server_connections": float(open_now)}


@case("pgbouncer-switchover", "operations", limits=limits)
def switchover(world: World) -> Figures:
    """A planned move to the other region."""
    target = next(host for host in names.POSTGRESQL if world.region(host) != world.region(world.leader()))
    playbook = names.playbook("postgresql_switchover")
    return through_pgbouncer(
        world,
        "pgbouncer-switchover",
        lambda: world.site.play(playbook, "-e", f"{names.SWITCHOVER_TO}={target}").check(),
    )


@case("pgbouncer-primary-killed", "operations", limits=limits)
def primary_killed(world: World) -> Figures:
    """SIGKILL of the primary's PostgreSQL; under the default policy a standby takes over at once."""
    primary = world.leader()
    return through_pgbouncer(
        world,
        "pgbouncer-primary-killed",
        lambda: world.faults.kill_unit(primary, names.PATRONI_UNIT, only=names.POSTGRES),
    )
