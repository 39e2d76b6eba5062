"""A converge that is killed at any point is repaired by the next one: nothing half-installed, no restart lost."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from tests.lab.results import Case, save
from tests.lab.site import ROOT, Site

SITE = "chainops.infra.site"
HOSTS = ("eth-d", "lb-b")
LIMIT = f"--limit={','.join(HOSTS)}"

# Where the run is killed: when this task begins. The short form has the one that loses a restart if anything does:
# the files have been replaced, the service has not been restarted.
SHORT = ["geth : Run geth"]
FULL = [
    "baseline : Configure time",
    "baseline : Keep the time",
    "geth : Install geth",
    "geth : Bring configuration",
    "geth : Run geth",
    "prysm : Bring unit",
    "prysm : Run Prysm",
    "chain_health : Configure the daemon",
    "chain_health : Run the daemon",
    "haproxy : Run HAProxy",
    "keepalived : Run keepalived",
]
# Values other than the inventory's, by turns, so that every run has files to replace and services to restart.
CHANGES = [
    ["-e", "geth_rpc_gas_cap=41000000", "-e", "haproxy_client_timeout_s=31", "-e", "chain_health_interval=1.1"],
    ["-e", "geth_rpc_gas_cap=42000000", "-e", "haproxy_client_timeout_s=32", "-e", "chain_health_interval=0.9"],
]
# What each service was started from.
SERVICES = {
    "eth-d": {"geth": "/etc/geth/config.toml", "chain_health": "/etc/chain_health/config.json"},
    "lb-b": {"haproxy": "/etc/haproxy/conf.d/50-ethereum.cfg"},
}


def kill_at(site: Site, task: str, *arguments: str) -> None:
    """Run the site's playbook and kill it with all its children when a task begins."""
    run = subprocess.Popen(
        site.command(SITE, LIMIT, *arguments),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=os.environ | {"ANSIBLE_NOCOLOR": "1"},
    )
    assert run.stdout
    said = []
    for line in run.stdout:
        said.append(line)
        if line.startswith("TASK [") and task in line:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
            return
    raise AssertionError(f"no task {task!r} in this run:\n{''.join(said)[-3000:]}")


def started_before_its_file(site: Site, host: str) -> list[str]:
    """Services of a host whose process is older than the configuration on disk: a restart was lost."""
    script = (
        "file=$(stat -c %Y {file}); process=$(stat -c %Y /proc/$(systemctl show -p MainPID --value {unit})); "
        'reload=$(date +%s -d "$(systemctl show -p ActiveEnterTimestamp --value {unit})"); '
        "echo $((process >= file || reload >= file))"
    )
    return [
        f"{unit} on {host}"
        for unit, file in SERVICES[host].items()
        if site.run(host, "sh", "-c", script.format(unit=unit, file=file)).stdout.strip() != "1"
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "task" in metafunc.fixturenames:
        full = os.environ.get("CHAINOPS_FULL_LENGTH") == "1"
        points = FULL if full else SHORT
        metafunc.parametrize(("task", "change"), [(task, CHANGES[n % 2]) for n, task in enumerate(points)])


def test_killed_run_is_repaired_by_the_next(site: Site, task: str, change: list[str]) -> None:
    kill_at(site, task, *change)
    repaired = site.play(SITE, LIMIT, *change).check()
    # haproxy reloads keep their master process; the unit's own record says whether the reload was done
    lost = [service for host in HOSTS for service in started_before_its_file(site, host) if "haproxy" not in service]
    assert not lost, f"not restarted after the repair: {lost}\n{repaired.output[-4000:]}"
    again = site.play(SITE, LIMIT, *change).check()
    assert again.changed == {}, again.output[-4000:]
    save("converge", [Case(f"killed at {task}", True, {"repair_s": round(repaired.seconds, 1)})], True)


def test_back_to_the_inventory(site: Site) -> None:
    site.play(SITE, LIMIT).check()
    for host in HOSTS:
        assert not [service for service in started_before_its_file(site, host) if "haproxy" not in service]
