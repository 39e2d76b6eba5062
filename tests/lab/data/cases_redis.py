"""What Redis can lose, and how long it takes no writes: a prover sets keys through the balancers and WAITs."""

from __future__ import annotations

import time

from . import names
from .case import Figures, case, nothing_lost, within
from .prover import redis_writer
from .prover.engine import Pace
from .prover.ledger import together
from .prover.run import Prover
from .prover.stores import Store
from .world import KEEP, World, run_name

# Seconds: a fault's length, and the time from Sentinel's patience to the first write.
HOLD_S, MARGIN_S = 20.0, 2.0
KEYS = 2000


def down_after(world: World) -> float:
    """Seconds of silence after which a Sentinel calls the master down."""
    return float(world.site.variables(names.WITNESS).get("redis_sentinel_down_after_ms", 3000)) / 1000


def writes_again(world: World) -> Figures:
    return nothing_lost(world) | {"write_outage_s": within(world, down_after(world) + MARGIN_S)}


def broken_master(world: World, name: str, fault: str) -> Figures:
    """Break the master under load, mend it, and compare when it follows the new one."""
    master = world.redis_master()
    with world.prove_redis(name) as prover:
        prover.wait_started()
        time.sleep(2)
        if fault == "killed":
            world.faults.kill_unit(master, names.REDIS_UNIT, stay_dead=True)
        elif fault == "without power":
            world.faults.kill_host(master)
        elif fault == "frozen":
            world.faults.freeze_unit(master, names.REDIS_UNIT)
        else:
            world.faults.isolate(master)
        new = world.wait_redis_master(60, other_than=master)
        time.sleep(HOLD_S if world.full_length else 3)
        mended = time.monotonic()
        world.mend()
        # WAIT asks for all replicas, so there is no acknowledgement before the old master follows the new one
        prover.wait_acknowledged(mended, 120)
        time.sleep(5)
    world.settle_redis()
    assert world.redis_master() == new, f"{new} was master, and now {world.redis_master()} is"
    return prover.judge().figures


@case("redis-master-killed", "redis", short=True, limits=writes_again)
def master_killed(world: World) -> Figures:
    return broken_master(world, "redis-master-killed", "killed")


@case("redis-host-killed", "redis", limits=writes_again)
def host_killed(world: World) -> Figures:
    """The master and perhaps a Sentinel, which was one of three votes."""
    return broken_master(world, "redis-host-killed", "without power")


@case("redis-master-frozen", "redis", limits=writes_again)
def master_frozen(world: World) -> Figures:
    """It thaws as a master in its own eyes, and nobody is led to it."""
    return broken_master(world, "redis-master-frozen", "frozen")


@case("redis-master-cut-off", "redis", limits=writes_again)
def master_cut_off(world: World) -> Figures:
    return broken_master(world, "redis-master-cut-off", "cut off")


@case("redis-minority", "redis", limits=lambda _world: {"accepted_late": 0})
def minority(world: World) -> Figures:
    """A client that sits with the cut-off master and writes to it past the balancers is soon refused."""
    master = world.redis_master()
    store = Store("redis", [f"{world.address(master)}:6379"], run_name("minority"), world.redis_options(0))
    lag = float(world.site.variables(master).get("redis_min_replicas_lag_s", 3))
    with Prover(store, KEEP / "redis-minority.jsonl", Pace(rate=50, connections=2)) as prover:
        prover.wait_started()
        at = time.monotonic()
        world.faults.isolate(master)
        world.wait_redis_master(60, other_than=master)
        time.sleep(HOLD_S)
        mended = time.monotonic()
        world.mend()
        time.sleep(1)
    # a replica's last word is a second old at most, and the count is made each second
    written = [row.written for row in prover.ledger().rows.values() if row.written]
    late = [moment for moment in written if at + lag + 3 < moment < mended]
    world.settle_redis()
    return {
        "accepted_late": len(late),
        "accepted_s": round(max((moment - at for moment in written if moment < mended), default=0.0), 3),
    }


@case("redis-converge", "redis", limits=lambda _world: {"changed": 0, "restarted": 0, "moved": 0, "lost": 0})
def converge(world: World) -> Figures:
    """The playbook while the old master is away and after it is back: the topology is what Sentinel made of it."""
    hosts = world.site.hosts("redis")
    before = world.redis_master()
    with world.prove_redis("redis-converge") as prover:
        prover.wait_started()
        world.faults.kill_host(before)
        new = world.wait_redis_master(60, other_than=before)
        others = [host for host in hosts if host != before]
        during = world.play_layer("--limit", ",".join(others)).check()
        moved = int(world.redis_master() != new)
        mended = time.monotonic()
        world.mend()
        prover.wait_acknowledged(mended, 120)
        units = world.incarnations(names.REDIS_UNIT, hosts)
        after = world.play_layer("--limit", ",".join(hosts)).check()
        moved += int(world.redis_master() != new)
    world.settle_redis()
    now = world.incarnations(names.REDIS_UNIT, hosts)
    return {
        "changed": sum(during.changed.values()) + sum(after.changed.values()),
        "restarted": sum(now[host] != units[host] for host in hosts),
        "moved": moved,
        "lost": prover.judge().figures["lost"],
    }


@case("control-redis-one-replica", "redis", goes_red=["lost"], limits=nothing_lost)
def control_one_replica(world: World) -> Figures:
    """WAIT 1 promises too little: only one replica has the keys, and it stands still when the master dies."""
    master = world.redis_master()
    acking, behind = world.redis_replicas()
    with world.prove_redis("control-redis-one-replica", replicas=1) as prover:
        prover.wait_started()
        # from here on only one replica gets and acknowledges anything
        cut = world.faults.partition([master], [behind])
        time.sleep(min(3.0, down_after(world)))
        world.faults.freeze_unit(acking, names.REDIS_UNIT)
        world.faults.kill_host(master)
        cut.undo()
        world.wait_redis_master(90, other_than=master)
        time.sleep(5)
        world.mend()
        time.sleep(5)
    world.settle_redis()
    verdict = prover.judge()
    assert verdict.red(), "acknowledged keys are lost, and the prover stays green"
    return verdict.figures


def fill(world: World, run: str, count: int, size: int = 10) -> None:
    """Keys of a size through the balancers, until there are so many or the server takes no more."""
    address = f"{world.address(world.wait_redis_master())}:6379"
    value = "x" * size

    def put(connection: redis_writer.AbstractConnection) -> None:
        for number in range(1, count + 1):
            redis_writer.ask(connection, "SET", redis_writer.key(run, number), value)

    redis_writer.insist([address], world.redis_options(0), put, 10)


def left(world: World, run: str, count: int) -> int:
    address = f"{world.address(world.wait_redis_master())}:6379"
    return len(redis_writer.find([address], world.redis_options(0), run, range(1, count + 1)))


# What of the keys must be there after all servers were killed at once: (least, most). A snapshot is made after an hour
# at the soonest with so few keys, so none is on disk.
PROFILES = {"cache": (0, 0), "durable": (KEYS, KEYS), "durable_always": (KEYS, KEYS), "snapshot": (0, 0)}


@case("redis-persistence", "redis", limits=lambda _world: {"wrong_profiles": 0})
def persistence(world: World) -> Figures:
    """Every server killed at once, two seconds after the last write, and started again."""
    figures: Figures = {"wrong_profiles": 0}
    hosts = world.site.hosts("redis")
    try:
        for profile, (least, most) in PROFILES.items():
            world.play_layer("-e", f"redis_profile={profile}", "--limit", ",".join(hosts)).check()
            restart_where_due(world)
            run = run_name(f"persistence-{profile}")
            fill(world, run, KEYS)
            time.sleep(2)
            for host in hosts:
                world.faults.kill_unit(host, names.REDIS_UNIT, stay_dead=True)
            world.mend()
            world.settle_redis()
            kept = left(world, run, KEYS)
            figures[f"kept_{profile}"] = kept
            figures["wrong_profiles"] += not least <= kept <= most
    finally:
        world.play_layer("--limit", ",".join(hosts)).check()
        restart_where_due(world)
    return figures


def restart_where_due(world: World) -> None:
    """A changed configuration waits for the operation that restarts one server after the other."""
    world.site.play(names.playbook("redis_restart")).check()
    world.settle_redis()


@case("redis-eviction", "redis", limits=lambda _world: {"refused_by_cache": 0, "evicted_by_durable": 0})
def eviction(world: World) -> Figures:
    """More than fits: a cache makes room, a durable store refuses the write and keeps what it has."""
    hosts = world.site.hosts("redis")
    figures: Figures = {"refused_by_cache": 0, "evicted_by_durable": 0}
    size, count = 100_000, 3000  # three times the memory that is allowed here
    try:
        for profile in ("cache", "durable"):
            extra = ["-e", f"redis_profile={profile}", "-e", "redis_memory_mb=100"]
            world.play_layer(*extra, "--limit", ",".join(hosts)).check()
            restart_where_due(world)
            run = run_name(f"eviction-{profile}")
            refused = 0
            try:
                fill(world, run, count, size)
            except redis_writer.CannotConnect as error:
                assert "maxmemory" in str(error), error
                refused = 1
            evicted = int(world.redis_info(world.redis_master()).get("evicted_keys", "0"))
            figures[f"evicted_{profile}"] = evicted
            if profile == "cache":
                figures["refused_by_cache"] = refused
                assert evicted > 0, "nothing was evicted: the memory was not full"
            else:
                assert refused, "nothing was refused: the memory was not full"
                figures["evicted_by_durable"] = evicted
            redis_writer.remove(
                [f"{world.address(world.redis_master())}:6379"], world.redis_options(0), run, range(1, count + 1)
            )
    finally:
        world.play_layer("--limit", ",".join(hosts)).check()
        restart_where_due(world)
    return figures


@case("redis-failover-by-hand", "redis", limits=writes_again)
def failover_by_hand(world: World) -> Figures:
    """The operation, under load: a few seconds without writes at most, and nothing lost."""
    before = world.redis_master()
    with world.prove_redis("redis-failover-by-hand") as prover:
        prover.wait_started()
        world.site.play(names.playbook("redis_failover")).check()
        assert world.wait_redis_master() != before, "the master is the same"
        prover.wait_acknowledged(time.monotonic(), 60)
    world.settle_redis()
    return together([prover.judge().figures]) | {"write_outage_s": prover.judge().figures["write_outage_s"]}


@case("redis-drill", "redis", limits=lambda _world: {"red": 0})
def drill(world: World) -> Figures:
    """The last copy in the repository is loaded into a server of its own and compared with the newest marker."""
    hosts = world.site.hosts("redis")
    # whose turn it is makes the copy
    for host in hosts:
        world.sh(host, "systemctl start redis-copy.service", timeout=300)
    run = world.site.play(names.playbook("redis_drill"))
    samples = list(world.metric(hosts[-1], "chainops_redis_drill_success").values())
    assert samples and bool(samples[0]) == (run.returncode == 0), f"{samples}: {run.output[-3000:]}"
    return {"red": int(run.returncode != 0), "seconds": round(run.seconds, 1)}
