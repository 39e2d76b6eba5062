"""What each policy can lose, fault by fault: a prover writes through the balancers while the cluster is broken.

Each fault says what it does to writes: nothing, a failover, or that they stop until it is mended. With a full disk
those are refused that need room, until PostgreSQL itself needs some and another member leads.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from . import names
from .case import Figures, case, nothing_lost, within
from .prover.ledger import acknowledged_between, together
from .world import World, median

GOES_ON, FAILS_OVER, STOPS, REFUSES = "goes on", "fails over", "stops", "refuses"
# Seconds. What nobody should notice; a cut session that comes back; from the mending to the first write.
UNNOTICED_S, RECONNECTED_S, MENDED_S = 3.0, 10.0, 60.0
OUTAGE_RUNS = 10
# https://www.postgresql.org/docs/17/errcodes-appendix.html
DISK_FULL = "53100"


@dataclass(frozen=True)
class Kind:
    """A fault of the table."""

    make: Callable[[World, str], object]
    """Given the world and the primary."""
    writes: str
    outage: Callable[[World], float]
    """The most that any run's outage may be, in seconds."""
    hold: Callable[[World], float] = lambda world: world.ttl + 15
    primary: str = ""
    """The host that the fault is made on, if not any."""


def failover(world: World) -> float:
    """For any one run: the lock's time to live, 7 s for what comes after it, and 4 s where etcd's leader was hit too.

    After it comes etcd's look at its leases (0.5 s), what Patroni waits for the answer of a member that is dead (2 s),
    the guard of the promotion, the promotion and the balancers' checks; 24.8 s was the longest of runs on an idle
    machine. A new leader of etcd is there after one to two election timeouts, and gives all leases their whole time
    and one election timeout more, anew. The median is held to ttl + 3 s by the case of the outage.
    """
    return within(world, world.ttl + 11)


def failover_of_the_living(world: World) -> float:
    """As failover, and one round of Patroni: it may renew the lock once more after it was hit."""
    return failover(world) + float(world.patroni_config()["loop_wait"])


def until_mended(world: World) -> float:
    return world.ttl + 15 + MENDED_S


def cut_off(world: World, primary: str) -> object:
    """Its clients still reach it: the balancers are on its side of the cut."""
    others = [host for host in world.everyone if host != primary and host not in names.BALANCERS]
    return world.faults.partition([primary], others)


def both_leaders(world: World, primary: str) -> object:
    world.lead_etcd(primary)
    return world.faults.kill_host(primary)


def without_etcd(world: World, _primary: str) -> object:
    return [world.faults.kill_unit(host, names.ETCD_UNIT, stay_dead=True) for host in names.ETCD]


def without_standbys(world: World, primary: str) -> object:
    standbys = [host for host in names.POSTGRESQL if host != primary]
    return [world.faults.kill_unit(host, names.PATRONI_UNIT, stay_dead=True) for host in standbys]


def without_region(world: World, primary: str) -> object:
    """Power cut of every host of the primary's region, its balancer and repository too."""
    return [world.faults.kill_host(host) for host in world.region_hosts(world.region(primary))]


def region_cut_off(world: World, primary: str) -> object:
    lost = world.region(primary)
    others = [region for region in ("east", "west", "witness") if region != lost]
    return world.faults.partition([lost], [*others, "machine"])


KINDS = {
    "host-killed": Kind(lambda world, primary: world.faults.kill_host(primary), FAILS_OVER, failover),
    "both-leaders-killed": Kind(both_leaders, FAILS_OVER, failover, primary=names.ETCD[0]),
    "postgresql-frozen": Kind(
        lambda world, primary: world.faults.freeze_unit(primary, names.PATRONI_UNIT, only=names.POSTGRES),
        FAILS_OVER,
        failover_of_the_living,
    ),
    "patroni-frozen": Kind(
        lambda world, primary: world.faults.freeze_unit(primary, names.PATRONI_UNIT, only=names.PATRONI),
        FAILS_OVER,
        failover_of_the_living,
    ),
    "patroni-killed": Kind(
        lambda world, primary: world.faults.kill_unit(primary, names.PATRONI_UNIT, stay_dead=True, only=names.PATRONI),
        FAILS_OVER,
        failover_of_the_living,
    ),
    "patroni-killed-once": Kind(
        lambda world, primary: world.faults.kill_unit(primary, names.PATRONI_UNIT, only=names.PATRONI),
        GOES_ON,
        lambda _world: RECONNECTED_S,
    ),
    "primary-cut-off": Kind(cut_off, FAILS_OVER, failover_of_the_living),
    "primary-isolated": Kind(lambda world, primary: world.faults.isolate(primary), FAILS_OVER, failover_of_the_living),
    "etcd-leader-killed": Kind(
        lambda world, _primary: world.faults.kill_unit(world.etcd_leader(), names.ETCD_UNIT, stay_dead=True),
        GOES_ON,
        lambda _world: UNNOTICED_S,
    ),
    "etcd-lost": Kind(without_etcd, GOES_ON, lambda _world: UNNOTICED_S, lambda world: world.ttl + 25),
    "disk-full": Kind(
        lambda world, primary: world.faults.fill_disk(primary, names.POSTGRESQL_DISK),
        REFUSES,
        until_mended,
        primary=names.DISK_HOST,
    ),
    "standbys-lost": Kind(without_standbys, STOPS, until_mended),
    "region-killed": Kind(without_region, FAILS_OVER, failover_of_the_living),
    "region-cut-off": Kind(region_cut_off, FAILS_OVER, failover_of_the_living),
}
# How often each fault is made at full length: twenty runs a policy, or more.
RUNS = {
    "zero_host": {
        "host-killed": 3,
        "both-leaders-killed": 2,
        "postgresql-frozen": 3,
        "patroni-frozen": 2,
        "patroni-killed": 2,
        "primary-cut-off": 2,
        "primary-isolated": 1,
        "patroni-killed-once": 1,
        "etcd-leader-killed": 1,
        "etcd-lost": 2,
        "disk-full": 2,
        "standbys-lost": 1,
    },
    "zero_region": {
        "host-killed": 2,
        "postgresql-frozen": 2,
        "patroni-frozen": 2,
        "patroni-killed": 2,
        "primary-cut-off": 2,
        "etcd-leader-killed": 1,
        "etcd-lost": 2,
        "disk-full": 2,
        "standbys-lost": 1,
        "region-killed": 3,
        "region-cut-off": 1,
    },
}


def one_run(world: World, name: str, kind: Kind, brief: bool = False) -> Figures:
    """Break, wait, mend, and compare when all members are in line again: what an old primary knew is then gone.

    A brief one mends when there is a new primary, as where it is the seconds until then that are asked for.
    """
    world.settle()
    if kind.primary:
        world.lead(kind.primary)
    primary = world.leader()
    with world.prove_postgresql(name) as prover:
        prover.wait_started()
        time.sleep(2)
        at = time.monotonic()
        kind.make(world, primary)
        if kind.writes != FAILS_OVER or not brief:
            time.sleep(kind.hold(world))
        else:
            prover.wait_acknowledged(at + 0.5, kind.hold(world))
            time.sleep(UNNOTICED_S + 1)
        mended = time.monotonic()
        world.mend()
        prover.wait_acknowledged(mended, 180)
        # who thaws or comes back now must not be listened to
        time.sleep(5)
    world.settle()
    verdict = prover.judge()
    ledger = prover.ledger()
    meanwhile = acknowledged_between(ledger, at + UNNOTICED_S, mended)
    if kind.writes == STOPS:
        assert meanwhile == 0, f"{meanwhile} rows were acknowledged by nobody but the primary"
    elif kind.writes == REFUSES:
        assert any(DISK_FULL in reason for reason in ledger.reasons()), f"no disk was full: {ledger.reasons()}"
    else:
        assert meanwhile > 0, f"no row was acknowledged before the fault was mended: {ledger.reasons()}"
    for words in verdict.red():
        print(f"\n{name}: {words}")
    return verdict.figures


def runs_of(world: World, name: str, policy: str, kind: Kind, count: int) -> Figures:
    world.policy(policy)
    before = world.rebuilt
    runs = []
    for number in range(count if world.full_length else 1):
        runs.append(one_run(world, f"{name}-{number}", kind, brief=not world.full_length))
        world.until("every standby has the primary's rows", lambda: not world.diverged(), 10)
    return together(runs) | {"rebuilt": world.rebuilt - before}


def register(policy: str, fault: str, count: int) -> None:
    kind = KINDS[fault]
    name = f"{policy}-{fault}"

    def limits(world: World) -> Figures:
        world.policy(policy)
        return nothing_lost(world) | {"worst_outage_s": round(kind.outage(world), 3), "rebuilt": 0}

    def show(world: World) -> Figures:
        return runs_of(world, name, policy, kind, count)

    case(name, "postgresql", limits=limits, short=name == "zero_host-host-killed")(show)


for _policy, _faults in RUNS.items():
    for _fault, _count in _faults.items():
        register(_policy, _fault, _count)


@case("control-fast", "postgresql", goes_red=["lost"], limits=nothing_lost)
def control_fast(world: World) -> Figures:
    """Asynchronous replication loses what the old primary acknowledged alone; the same faults, until it shows."""
    world.policy("fast")
    done = []
    for number, fault in enumerate(("host-killed", "primary-cut-off", "postgresql-frozen", "primary-cut-off")):
        done.append(one_run(world, f"control-fast-{number}", KINDS[fault]))
        if done[-1]["lost"]:
            break
    return together(done)


@case(
    "bounded-primary-cut-off",
    "postgresql",
    limits=lambda world: {"old_primary": 0, "foreign": 0, "seconds_lost": world.ttl + 2},
)
def bounded(world: World) -> Figures:
    """At most the allowed lag and what is written in the time to live of the lock."""
    world.policy("bounded")
    figures = together([one_run(world, f"bounded-{number}", KINDS["primary-cut-off"]) for number in range(2)])
    return figures | {"seconds_lost": round(figures["lost"] / 2 / 100.0, 3)}


@case("zero_host-region-killed", "postgresql", limits=nothing_lost)
def region_under_zero_host(world: World) -> Figures:
    """Its price: writes stop when a whole region is gone, until it is back or an operator decides."""
    world.policy("zero_host")
    kind = Kind(without_region, STOPS, until_mended)
    return together([one_run(world, "zero_host-region-killed-0", kind)])


def outage_limits(world: World) -> Figures:
    return {"ratio": 0.80, "outage_s": world.ttl + 3, "lost": 0, "old_primary": 0}


@case("outage-of-a-primary-s-death", "postgresql", limits=outage_limits)
def outage(world: World) -> Figures:
    """The default times against autobase's, each with its own checks in the balancers, by turns."""
    world.policy(names.DEFAULT_RPO)
    ours, theirs = [], []
    for number in range(OUTAGE_RUNS):
        ours.append(one_run(world, f"outage-{number}", KINDS["host-killed"], brief=True))
        with world.timing(names.AUTOBASE_TIMING), world.checks(names.AUTOBASE_CHECKS):
            theirs.append(one_run(world, f"outage-autobase-{number}", KINDS["host-killed"], brief=True))
    mine, other = (median([run["outage_s"] for run in runs]) for runs in (ours, theirs))
    everything = together(ours + theirs)
    return {
        "runs": len(ours),
        "outage_s": mine,
        "worst_outage_s": max(run["outage_s"] for run in ours),
        "autobase_outage_s": other,
        "ratio": round(mine / other, 3),
        "lost": everything["lost"],
        "old_primary": everything["old_primary"],
    }
