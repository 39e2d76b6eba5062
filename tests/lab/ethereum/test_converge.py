"""One run brings fresh hosts up, a second changes nothing, --check works before and after, and no secret is printed."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.lab.ethereum.failover.world import PAIRS, call
from tests.lab.results import Case, save
from tests.lab.site import Run, Site

SITE = "chainops.infra.site"
# Seconds until a site of lab hosts on a young chain must serve after the first run.
SERVES_WITHIN = 120


def fresh(site: Site) -> bool:
    """Whether no run has reached the hosts yet; what is already converged cannot show a first run."""
    return site.run("eth-c", "test", "-e", "/etc/ethereum", check=False).returncode != 0


@pytest.fixture(scope="module")
def was_fresh(site: Site) -> bool:
    return fresh(site)


@pytest.mark.full
def test_check_mode_works_before_the_first_run(site: Site, was_fresh: bool) -> None:
    run = site.play(SITE, "--check", "--diff").check()
    assert run.changed or not was_fresh, "--check saw nothing to do on fresh hosts"
    assert fresh(site) == was_fresh, "--check has changed a host"


def test_first_run_brings_the_site_up(site: Site, was_fresh: bool) -> None:
    run = site.play(SITE).check()
    assert set(run.changed) == set(site.hosts()) or not was_fresh, f"unchanged: {set(site.hosts()) - set(run.changed)}"
    save("converge", [Case("first-run", True, {"seconds": round(run.seconds, 1)}, note=f"fresh: {was_fresh}")], True)


def test_every_pair_is_in_service_and_the_chain_finalises(site: Site) -> None:
    until = time.monotonic() + SERVES_WITHIN
    waiting = set(PAIRS)
    while waiting and time.monotonic() < until:
        waiting -= {host for host in waiting if site.run(host, "chain-health", "status", check=False).returncode == 0}
        time.sleep(1)
    said = {host: site.run(host, "chain-health", "status", check=False).stdout for host in waiting}
    assert not waiting, f"not in service after {SERVES_WITHIN} s: {said}"
    while time.monotonic() < until:
        # until there is one, geth answers with an error
        with suppress(RuntimeError):
            if call(f"http://{PAIRS['eth-a']}:8545", "eth_getBlockByNumber", "finalized", False):
                return
        time.sleep(1)
    raise AssertionError(f"no block is final after {SERVES_WITHIN} s")


def test_second_run_changes_nothing(site: Site) -> None:
    run = site.play(SITE, "--diff").check()
    assert run.changed == {}, run.output[-8000:]
    # how long it may take is for tests/bench, which measures it on a machine that does nothing else
    save("converge", [Case("second-run", True, {"seconds": round(run.seconds, 1)})], True)


@pytest.mark.full
def test_check_mode_sees_nothing_to_do_afterwards(site: Site) -> None:
    run = site.play(SITE, "--check", "--diff").check()
    assert run.changed == {}, run.output[-8000:]


def secrets_of(site: Site) -> dict[str, str]:
    """Every secret that exists on the hosts, by where it is."""
    found = {}
    for host in PAIRS:
        for path in ("/var/lib/ethereum/jwt.hex", "/etc/geth/nodekey", "/etc/prysm/nodekey"):
            text = site.run(host, "cat", path, check=False).stdout.strip()
            if text:
                found[f"{host}:{path}"] = text.removeprefix("0x")
    for host in site.hosts("artifact_mirrors"):
        found[f"{host}:ca"] = site.run(host, "cat", "/var/lib/artifact_mirror/ca/ca.key").stdout.splitlines()[1]
    return found


def traces(directory: Path) -> str:
    return "".join(path.read_text(errors="replace") for path in directory.rglob("*") if path.is_file())


@pytest.mark.full
def test_no_secret_is_printed_at_full_verbosity(site: Site, tmp_path: Path) -> None:
    """The canaries are the real secrets: output, log file, fact cache and callback output are searched for them."""
    secrets = secrets_of(site)
    assert sum("jwt" in place for place in secrets) == len(PAIRS), sorted(secrets)
    # what a run shows when it writes the secret files anew, not only when nothing changes
    site.run("eth-d", "rm", "/etc/geth/nodekey")
    run = site.play_loud(SITE, tmp_path, "--limit=ethereum_reference,artifact_mirrors").check()
    assert run.changed.keys() == {"eth-d"}, run.changed
    everything = run.output + traces(tmp_path)
    shown = [place for place, secret in secrets.items() if secret in everything]
    assert not shown, f"printed: {shown}"
    assert_search_would_find(everything, site, run)


def assert_search_would_find(everything: str, site: Site, run: Run) -> None:
    """The control: the search does find a value that is printed, in the output and in the log alike."""
    address = site.run("eth-d", "hostname", "-I").stdout.split()[0]
    assert address in run.output, "the search would not find anything: the output is not there"
    assert address in everything.replace(run.output, ""), "neither the log nor the cache of facts was searched"
    assert "TASK [" in run.output and json.dumps("changed") in everything
