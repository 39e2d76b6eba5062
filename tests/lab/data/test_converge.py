"""One run brings the data layer up, a second changes nothing, --check works before and after, no secret is printed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.lab.data import names
from tests.lab.data.case import SUITE
from tests.lab.data.world import World
from tests.lab.results import Case, save
from tests.lab.site import Run, Site

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
    run = site.play(names.LAYER, timeout=1800).check()
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


def secrets_of(world: World) -> dict[str, str]:
    """Every secret of the layer, by where it is: the control node's, and each host's key."""
    found = {}
    for path in sorted(names.SECRETS.rglob("*")):
        if path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines()
            # the second line of a key in PEM is its first with secret bits
            text = lines[1] if lines and lines[0].startswith("-----") else (lines or [""])[0]
            if len(text) >= 8:
                found[str(path)] = text
    for host in world.everyone:
        lines = world.sh(host, "cat /etc/chainops/tls/host.key").splitlines()
        found[f"{host}:host.key"] = lines[1]
    return found


def traces(directory: Path) -> str:
    return "".join(path.read_text(errors="replace") for path in directory.rglob("*") if path.is_file())


@pytest.mark.full
def test_no_secret_is_printed_at_full_verbosity(site: Site, world: World, tmp_path: Path) -> None:
    """The canaries are the real secrets: output, log file, fact cache and hosts' temporary files are searched."""
    secrets = secrets_of(world)
    assert any("postgresql_prover" in place for place in secrets), sorted(secrets)
    # what a run shows when it writes the secret files anew, not only when nothing changes
    world.sh(names.WITNESS, "rm -f /etc/chainops/tls/host.pem")
    run = site.play(
        names.LAYER,
        "-vvvv",
        "--diff",
        env={
            "ANSIBLE_LOG_PATH": str(tmp_path / "ansible.log"),
            "ANSIBLE_CACHE_PLUGIN": "ansible.builtin.jsonfile",
            "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(tmp_path / "facts"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        },
        timeout=1800,
    ).check()
    left = "".join(
        world.sh(host, "cat /home/ops/.ansible/tmp/*/* /root/.ansible_async/* 2>/dev/null || true")
        for host in world.everyone
    )
    everything = run.output + traces(tmp_path) + left
    shown = [place for place, secret in secrets.items() if secret in everything]
    assert not shown, f"printed: {shown}"
    assert_search_would_find(everything, world, run)


def assert_search_would_find(everything: str, world: World, run: Run) -> None:
    """The control: the search does find a value that is printed, in the output and in the log alike."""
    address = world.address(names.WITNESS)
    assert address in run.output, "the search would not find anything: the output is not there"
    assert address in everything.replace(run.output, ""), "neither the log nor the cache of facts was searched"
