"""One run brings the data layer up, a second changes nothing, --check works before and after."""

from __future__ import annotations

import shlex
import time

import pytest

from tests.lab.data import names
from tests.lab.data.canary import FIRST_RUN, loud
from tests.lab.data.case import SUITE
from tests.lab.data.cases_backup import switch_wal, wait_archived
from tests.lab.data.world import World
from tests.lab.results import Case, save
from tests.lab.site import Site

# Seconds from the end of the first run to a write through every store's front.
SERVES_WITHIN = 60


def fresh(site: Site) -> bool:
    """Whether no run has reached the hosts yet; what is already converged cannot show a first run."""
    return site.run(names.POSTGRESQL[0], "test", "-e", names.DATA_DIR, check=False).returncode != 0


@pytest.fixture(scope="module")
def was_fresh(site: Site) -> bool:
    return fresh(site)


@pytest.mark.full
def test_check_mode_works_before_the_first_run(site: Site, was_fresh: bool) -> None:
    run = site.play(names.LAYER, "--check", "--diff").check()
    assert run.changed or not was_fresh, "--check saw nothing to do on fresh hosts"
    assert fresh(site) == was_fresh, "--check has changed a host"


def test_first_run_brings_the_layer_up(site: Site, world: World, was_fresh: bool) -> None:
    # at full length it says all it can, as this is the run that writes every secret
    run = (loud(site, names.LAYER, FIRST_RUN) if world.full_length else site.play(names.LAYER, timeout=1800)).check()
    untouched = set(world.everyone) - set(run.changed)
    assert not untouched or not was_fresh, f"unchanged: {untouched}"
    save(SUITE, [Case("first-run", True, {"seconds": round(run.seconds, 1)}, note=f"fresh: {was_fresh}")], True)


def test_every_store_takes_writes(world: World) -> None:
    world.until("every member streams without lag", world.in_sync, SERVES_WITHIN, 1)
    world.settle_redis()
    for prover in (
        world.prove_postgresql("first-rows", rate=20),
        world.prove_redis("first-keys", rate=20),
        world.prove_influxdb("first-points", batches=2, points=500),
    ):
        with prover:
            prover.wait_started(SERVES_WITHIN)
            time.sleep(1)
        verdict = prover.judge()
        assert verdict.red() == []
        assert verdict.figures["acknowledged"] == verdict.figures["offered"], prover.ledger().reasons()


def test_every_standby_fetches_from_the_archive(world: World) -> None:
    """With the command that its PostgreSQL has; one that always fails is not seen while members stream."""
    target = "/var/tmp/fetched"
    segment = switch_wal(world)
    wait_archived(world, segment)
    for host in world.standbys():
        command = world.sql("SHOW restore_command", "postgres", host).replace("%f", segment).replace("%p", target)
        assert segment in command, f"{host} has no restore_command"
        world.sh(host, f"cd / && runuser -u postgres -- sh -c {shlex.quote(command)}")
        assert world.sh(host, f"stat -c %s {target}; rm {target}") == str(16 << 20)
        missing = command.replace(segment, "0000000F" + segment[8:])
        said = world.sh(
            host, f"cd / && runuser -u postgres -- sh -c {shlex.quote(missing)} && echo there || echo not there"
        )
        assert said.endswith("not there"), said


def test_second_run_changes_nothing(site: Site, world: World) -> None:
    units = {unit: world.incarnations(unit, hosts) for unit, hosts in watched(world).items()}
    run = site.play(names.LAYER, "--diff", timeout=900).check()
    assert run.changed == {}, run.output[-8000:]
    for unit, hosts in watched(world).items():
        assert world.incarnations(unit, hosts) == units[unit], f"{unit} was restarted"
    save(SUITE, [Case("second-run", True, {"seconds": round(run.seconds, 1)})], True)


def watched(world: World) -> dict[str, list[str]]:
    """Every unit that must not be restarted without need, and its hosts."""
    return {
        names.PATRONI_UNIT: world.site.hosts("postgresql"),
        names.ETCD_UNIT: world.site.hosts("etcd"),
        names.REDIS_UNIT: world.site.hosts("redis"),
        names.INFLUXDB_UNIT: world.site.hosts("influxdb"),
        names.PGBOUNCER_UNIT: world.site.hosts("pgbouncer"),
    }


@pytest.mark.full
def test_check_mode_sees_nothing_to_do_afterwards(site: Site) -> None:
    run = site.play(names.LAYER, "--check", "--diff", timeout=900).check()
    assert run.changed == {}, run.output[-8000:]
