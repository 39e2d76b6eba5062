"""What an operator seldom does, and then at night: upgrade, replace a host that held a vote, restore in place."""

from __future__ import annotations

import json
import subprocess
import time

from tests.lab.site import ROOT, Run

from . import names
from .case import Figures, case, nothing_lost
from .cases_backup import back_up, switch_wal, wait_archived
from .cases_switchover import SWITCHOVER_S, started
from .world import World
from .world_postgresql import ETCDCTL

PROGRAM = f"{names.BIN_DIR}/postgres"
PATRONI_VERSION = "/usr/lib/python3/dist-packages/patroni/version.py"
# Debian has one version at a time: another build of it is what dpkg leaves, a new file under the name of the old one.
NEW_BUILD = (
    f"cp -p {PROGRAM} {PROGRAM}.new && mv {PROGRAM}.new {PROGRAM} && echo '# another build' >> {PATRONI_VERSION}"
)


@case("rolling-upgrade", "operations", limits=lambda world: nothing_lost(world) | {"outage_s": SWITCHOVER_S})
def rolling_upgrade(world: World) -> Figures:
    """Another build of PostgreSQL and Patroni: all members run it after one switchover; once more, nothing changes."""
    upgrade = names.playbook("postgresql_upgrade")
    leader, before = world.leader(), started(world)
    patroni = world.incarnations(names.PATRONI_UNIT, names.POSTGRESQL)
    with world.prove_postgresql("rolling-upgrade") as prover:
        prover.wait_started()
        for host in names.POSTGRESQL:
            world.sh(host, NEW_BUILD)
        world.site.play(upgrade, timeout=1200).check()
        prover.wait_acknowledged(time.monotonic(), 60)
        time.sleep(2)
    world.settle()
    after, later = started(world), world.incarnations(names.PATRONI_UNIT, names.POSTGRESQL)
    old = [host for host in names.POSTGRESQL if after[host] == before[host] or later[host] == patroni[host]]
    assert not old, f"still what ran before: {old}"
    assert world.leader() != leader, "the primary was restarted while it led"
    assert max(after, key=lambda host: after[host]) == leader, f"{leader} was not the last: {after}"
    again = world.site.play(upgrade, timeout=600).check()
    assert not again.changed, again.output[-3000:]
    return prover.judge().figures


def replaced_machine(host: str) -> None:
    """The same name and address on an empty disk."""
    for word in ("down", "up"):
        subprocess.run([ROOT / "tools" / "lab", word, host], check=True, capture_output=True, timeout=600)


def etcd_health(world: World) -> str:
    return world.sh(names.WITNESS, f"{ETCDCTL} endpoint health --cluster 2>&1", check=False)


@case("etcd-member-replaced", "operations", limits=lambda world: nothing_lost(world) | {"outage_s": 3, "restarted": 0})
def etcd_replaced(world: World) -> Figures:
    """A host with a vote, a standby and a Redis is lost with its disk: one operation, then the layer's playbook."""
    lost = names.ETCD[1]
    others = [host for host in names.ETCD if host != lost]
    if world.leader() == lost:
        world.lead(names.ETCD[0])
    if world.redis_master() == lost:
        world.site.play(names.playbook("redis_failover")).check()
        world.settle_redis()
    before = world.incarnations(names.ETCD_UNIT, others)
    with world.prove_postgresql("etcd-member-replaced") as prover:
        prover.wait_started()
        replaced_machine(lost)
        operation = world.site.play(names.playbook("etcd_replace"), "-e", f"replace_member={lost}", timeout=900).check()
        health = etcd_health(world)
        assert health.count(" is healthy") == len(names.ETCD), health
        layer = world.play_layer().check()
        seconds = world.until("every member streams without lag", world.in_sync, 180, 1)
        time.sleep(2)
    world.settle_redis()
    after = world.incarnations(names.ETCD_UNIT, others)
    again = world.play_layer().check()
    assert not again.changed, again.output[-4000:]
    return prover.judge().figures | {
        "restarted": sum(after[host] != before[host] for host in others),
        "replaced_s": round(operation.seconds, 1),
        "whole_s": round(operation.seconds + layer.seconds + seconds, 1),
    }


def streaming(world: World) -> int:
    return sum(member["state"] == "streaming" for member in world.members())


def restore_in_place(world: World, target: str, name: str, *, without: str = "") -> Run:
    extra = {
        "postgresql_restore_without": without,
        "postgresql_restore_to": "cluster",
        "postgresql_restore_type": "time",
        "postgresql_restore_target": target,
        "postgresql_restore_confirm": name,
    }
    return world.site.play(names.playbook("postgresql_restore"), "-e", json.dumps(extra), timeout=1200)


@case(
    "restored-in-place",
    "operations",
    limits=lambda _world: {"wrong_rows": 0, "touched_unconfirmed": 0, "touched_again": 0, "written_since_lost": 0},
)
def restored_in_place(world: World) -> Figures:
    """Members go back to a moment before a table was lost, but for one that is lost too and clones when it is back.

    Without the cluster's name nothing is touched, nor with a lost member, nor by the same command again.
    """
    world.sql("DROP TABLE IF EXISTS case_in_place; CREATE TABLE case_in_place AS SELECT generate_series(1, 1000) AS n")
    back_up(world)
    world.sql("INSERT INTO case_in_place SELECT generate_series(1001, 1500)")
    time.sleep(2)
    target = world.sql("SELECT clock_timestamp()")
    time.sleep(2)
    world.sql("DROP TABLE case_in_place")
    wait_archived(world, switch_wal(world))
    units = world.incarnations(names.PATRONI_UNIT, names.POSTGRESQL)
    refused = restore_in_place(world, target, "another")
    assert refused.returncode != 0 and "postgresql_restore_confirm" in refused.output, refused.output[-3000:]
    now = world.incarnations(names.PATRONI_UNIT, names.POSTGRESQL)
    touched = sum(now[host] != units[host] for host in names.POSTGRESQL)
    lost = next(host for host in reversed(names.POSTGRESQL) if host not in (world.leader(), names.POSTGRESQL[0]))
    world.sh(lost, "systemctl stop patroni && mv /etc/patroni/config.yml /etc/patroni/config.away")
    left = [host for host in names.POSTGRESQL if host != lost]
    units = world.incarnations(names.PATRONI_UNIT, left)
    refused = restore_in_place(world, target, names.STANZA)
    assert refused.returncode != 0 and f"{lost}: /etc/patroni/config.yml" in refused.output, refused.output[-3000:]
    now = world.incarnations(names.PATRONI_UNIT, left)
    touched += sum(now[host] != units[host] for host in left)
    world.until("its lease has ended", lambda: lost not in [each["name"] for each in world.members()], 90, 1)
    run = restore_in_place(world, target, names.STANZA, without=lost).check()
    world.until("the restored member takes writes", lambda: world.leader() == names.POSTGRESQL[0], 60, 1)
    world.sql("CREATE TABLE case_in_place_since AS SELECT generate_series(1, 100) AS n")
    world.until("two others have cloned it", lambda: streaming(world) == len(left) - 1, 180, 1)
    units = world.incarnations(names.PATRONI_UNIT, left)
    same = restore_in_place(world, target, names.STANZA, without=lost).check()
    assert not same.changed, same.output[-4000:]
    # it is back: the same command, for all of them, has it clone
    world.sh(lost, "mv /etc/patroni/config.away /etc/patroni/config.yml")
    restore_in_place(world, target, names.STANZA).check()
    now = world.incarnations(names.PATRONI_UNIT, left)
    touched_again = sum(now[host] != units[host] for host in left)
    seconds = world.until("every member streams without lag", world.in_sync, 180, 1)
    since = world.sql("SELECT count(*) FROM case_in_place_since")
    world.sql("DROP TABLE case_in_place_since")
    rows = {host: world.sql("SELECT count(*), sum(n) FROM case_in_place", host=host) for host in names.POSTGRESQL}
    for host in names.POSTGRESQL:
        world.sh(
            host, f"ls -d {names.DATA_DIR}.before-restore-*/PG_VERSION && rm -rf {names.DATA_DIR}.before-restore-*"
        )
    for host in (names.REPOSITORY, names.OFFSITE):
        back_up(world, "full", host)
    world.play_layer().check()
    world.settle()
    again = world.play_layer().check()
    assert not again.changed, again.output[-4000:]
    with world.prove_postgresql("restored-in-place") as prover:
        prover.wait_started()
        time.sleep(2)
    assert prover.judge().red() == []
    world.sql("DROP TABLE case_in_place")
    wanted = f"1500|{1500 * 1501 // 2}"
    return {
        "wrong_rows": sum(found != wanted for found in rows.values()),
        "touched_unconfirmed": touched,
        "touched_again": touched_again,
        "written_since_lost": 100 - int(since),
        "restored_s": round(run.seconds + seconds, 1),
    }
