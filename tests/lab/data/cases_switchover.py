"""What an operator does on purpose with PostgreSQL, under load: move the primary, restart, replace a lost host."""

from __future__ import annotations

import json
import subprocess
import time

from tests.lab.site import ROOT

from . import names
from .case import Figures, case, nothing_lost
from .world import World

# Seconds without writes in a planned move.
SWITCHOVER_S = 5.0
# It takes effect with a restart, and a standby may have less of it than its primary.
SETTING = {"track_activity_query_size": 2048}


def moved(world: World) -> Figures:
    return nothing_lost(world) | {"outage_s": SWITCHOVER_S}


@case("switchover", "operations", limits=moved)
def switchover(world: World) -> Figures:
    """To the other region and back, then once more to where it is already: nothing changes."""
    before = world.leader()
    target = next(host for host in names.POSTGRESQL if world.region(host) != world.region(before))
    playbook = names.playbook("postgresql_switchover")
    with world.prove_postgresql("switchover") as prover:
        prover.wait_started()
        for to in (target, before):
            world.site.play(playbook, "-e", f"{names.SWITCHOVER_TO}={to}").check()
            assert world.leader() == to, world.members()
            prover.wait_acknowledged(time.monotonic(), 60)
        again = world.site.play(playbook, "-e", f"{names.SWITCHOVER_TO}={before}").check()
        assert not again.changed, again.output[-3000:]
        time.sleep(2)
    world.settle()
    return prover.judge().figures


@case("rolling-restart", "operations", limits=moved)
def rolling_restart(world: World) -> Figures:
    """For a setting that needs it: every member is restarted, the primary last and by a switchover; then nobody."""
    restart = names.playbook("postgresql_restart")
    limit = ("--limit", ",".join(names.POSTGRESQL))
    before = started(world)
    try:
        with world.prove_postgresql("rolling-restart") as prover:
            prover.wait_started()
            world.play_layer("-e", json.dumps({"postgresql_settings": SETTING}), *limit).check()
            waiting = started(world)
            assert waiting == before, "the playbook restarted members by itself"
            world.site.play(restart).check()
            prover.wait_acknowledged(time.monotonic(), 60)
            time.sleep(2)
        world.settle()
        after = started(world)
        unchanged = [host for host in names.POSTGRESQL if after[host] == before[host]]
        assert not unchanged, f"not restarted: {unchanged}"
        ((name, value),) = SETTING.items()
        assert world.sql(f"SHOW {name}") == f"{value // 1024}kB", world.sql(f"SHOW {name}")
        world.site.play(restart).check()
        assert started(world) == after, "restarted without need"
        return prover.judge().figures
    finally:
        world.play_layer(*limit).check()
        world.site.play(restart).check()


def started(world: World) -> dict[str, str]:
    """When each member's PostgreSQL was started."""
    return {host: world.sql("SELECT pg_postmaster_start_time()", "postgres", host) for host in names.POSTGRESQL}


@case("lost-node", "operations", limits=lambda world: nothing_lost(world) | {"others_touched": 0})
def lost_node(world: World) -> Figures:
    """A standby whose machine is replaced by an empty one: the playbook builds it, and nothing else is touched."""
    lost = next(host for host in reversed(names.POSTGRESQL) if host not in (world.leader(), *names.ETCD))
    others = [host for host in names.POSTGRESQL if host != lost]
    before = world.incarnations(names.PATRONI_UNIT, others)
    with world.prove_postgresql("lost-node") as prover:
        prover.wait_started()
        for word in ("down", "up"):
            subprocess.run([ROOT / "tools" / "lab", word, lost], check=True, capture_output=True, timeout=600)
        run = world.play_layer().check()
        seconds = world.until("every member streams without lag", world.in_sync, 180, 1)
        time.sleep(2)
    touched = world.incarnations(names.PATRONI_UNIT, others)
    return prover.judge().figures | {
        "rebuilt_s": round(run.seconds + seconds, 1),
        "others_touched": sum(touched[host] != before[host] for host in others),
        "others_changed": len(set(run.changed) - {lost}),
    }


@case("converge-after-failover", "operations", limits=lambda _world: {"changed": 0, "restarted": 0, "lost": 0})
def converge_after_failover(world: World) -> Figures:
    """The playbook right after a failover: whoever leads now goes on leading, nothing changes, nothing is restarted."""
    with world.prove_postgresql("converge-after-failover") as prover:
        prover.wait_started()
        before = world.leader()
        fault = world.faults.kill_host(before)
        leader = world.wait_leader(other_than=before)
        prover.wait_acknowledged(time.monotonic(), 60)
        fault.undo()
        world.until("every member streams without lag", world.in_sync, 180, 1)
        units = world.incarnations(names.PATRONI_UNIT, names.POSTGRESQL)
        run = world.play_layer("--diff").check()
        assert world.leader() == leader, f"{leader} had to give way to {world.leader()}"
    after = world.incarnations(names.PATRONI_UNIT, names.POSTGRESQL)
    print(run.output[-4000:] if run.changed else "")
    return {
        "changed": sum(run.changed.values()),
        "restarted": sum(after[host] != units[host] for host in names.POSTGRESQL),
        "lost": prover.judge().figures["lost"],
    }
