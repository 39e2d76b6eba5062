"""The lab itself, on a small site beside the one of the other tests: up, killed, repaired, broken, mended, gone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.faults import Faults, Impossible
from ansible_collections.chainops.infra.plugins.module_utils.lab import cgroup, network
from ansible_collections.chainops.infra.plugins.module_utils.lab.shell import LabError
from ansible_collections.chainops.infra.plugins.module_utils.lab.site import Site
from ansible_collections.chainops.infra.plugins.module_utils.lab.spec import STATE_ROOT, Spec

PREFIX = "lbtest"
SPEC = {
    "prefix": PREFIX,
    "network": "10.86.0.0/16",
    "hosts": {
        "a1": {"address": "10.86.1.11", "region": "east", "disks": [{"path": "/var/lib/data", "size": "64M"}]},
        "a2": {"address": "10.86.1.12", "region": "east"},
        "b1": {"address": "10.86.2.11", "region": "west"},
    },
}
HOSTS = list(SPEC["hosts"])
COLLECTIONS = Path(__file__).resolve().parents[3] / ".ansible" / "collections"
SLEEPER = "[Service]\nExecStart=/bin/sleep 1000\nRestart=always\nRestartSec=0\n"


def new_site() -> Site:
    return Site(Spec.from_dict(json.loads(json.dumps(SPEC))))


def left_behind() -> list[str]:
    """Everything on this machine that carries the lab's name."""
    listed = subprocess.run(
        "losetup -a; cat /proc/self/mountinfo", shell=True, capture_output=True, text=True, check=True
    )
    found = [line for line in listed.stdout.splitlines() if f"/{PREFIX}/" in line]
    if (STATE_ROOT / PREFIX).exists():
        found.append(str(STATE_ROOT / PREFIX))
    return [*found, *network.names(PREFIX), *cgroup.names(PREFIX)]


def killed_up(after: float) -> None:
    """Begin to bring the lab up in a process of its own, and kill that."""
    code = (
        "import json, sys\n"
        "from ansible_collections.chainops.infra.plugins.module_utils.lab.site import Site\n"
        "from ansible_collections.chainops.infra.plugins.module_utils.lab.spec import Spec\n"
        "site = Site(Spec.from_dict(json.loads(sys.argv[1])))\n"
        "print('begins', flush=True)\n"
        "site.up(list(site.spec.hosts))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(COLLECTIONS)}
    argv = [sys.executable, "-c", code, json.dumps(SPEC)]
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(after)
        process.send_signal(signal.SIGKILL)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    found = new_site()
    found.down()
    found.up(HOSTS)
    yield found
    found.down()
    assert left_behind() == []


@pytest.fixture
def faults(site: Site) -> Iterator[Faults]:
    with Faults(site) as made:
        yield made


def reaches(site: Site, host: str, address: str) -> bool:
    return site.machine(host).run(["ping", "-c1", "-W1", address], check=False).returncode == 0


def test_a_killed_up_is_repaired_and_a_killed_one_is_removed() -> None:
    site = new_site()
    site.down()
    for after in (0.1, 0.3):
        killed_up(after)
        site.up(HOSTS)
        assert all(site.machine(host).answers() for host in HOSTS)
        assert not new_site().up(HOSTS)["changed"]
        site.down()
        assert left_behind() == []
    killed_up(0.2)
    new_site().down()
    assert left_behind() == []


def test_hosts_run_whole_and_reach_each_other_by_name(site: Site) -> None:
    for host in HOSTS:
        assert site.machine(host).system_state() == "running"
        assert all(reaches(site, host, other) for other in HOSTS)


def test_ssh_checks_host_keys(site: Site) -> None:
    def ssh(known_hosts: str) -> int:
        options = ["-i", str(site.key), "-o", f"UserKnownHostsFile={known_hosts}", "-o", "StrictHostKeyChecking=yes"]
        argv = ["ssh", *options, "-o", "BatchMode=yes", "ops@10.86.1.11", "sudo -n true"]
        return subprocess.run(argv, check=False, capture_output=True, timeout=20).returncode

    assert ssh(str(site.known_hosts)) == 0
    assert ssh("/dev/null") == 255


def test_a_second_up_changes_nothing_and_a_dry_run_touches_nothing(site: Site) -> None:
    assert not new_site().up(HOSTS)["changed"]
    assert new_site().down(check=True)["changed"]
    assert site.machine("a1").answers()


def test_another_lab_on_the_same_network_is_refused(site: Site) -> None:
    other = Site(Spec.from_dict(json.loads(json.dumps(SPEC)) | {"prefix": "lbtestx"}))
    with pytest.raises(LabError, match=f"in use: {PREFIX}-east .*the lab with prefix {PREFIX}"):
        other.up(HOSTS)


def test_a_killed_host_comes_back_with_its_disk(site: Site, faults: Faults) -> None:
    site.machine("a2").run(["sh", "-c", "echo kept > /root/note"])
    with faults.kill_host("a2"):
        assert not site.machine("a2").running
        with pytest.raises(OSError):
            socket.create_connection(("10.86.1.12", 22), timeout=1).close()
    assert site.machine("a2").run(["cat", "/root/note"]).stdout == "kept\n"


def test_units_are_frozen_killed_and_kept_dead(site: Site, faults: Faults) -> None:
    machine = site.machine("b1")
    machine.run(["sh", "-c", f"printf %s '{SLEEPER}' > /etc/systemd/system/sleeper.service; systemctl daemon-reload"])
    machine.run(["systemctl", "start", "sleeper"])

    def state() -> str:
        return machine.run(["systemctl", "is-active", "sleeper"], check=False).stdout.strip()

    with faults.kill_unit("b1", "sleeper", stay_dead=True):
        time.sleep(0.5)
        machine.run(["systemctl", "start", "sleeper"], check=False)
        assert state() != "active"
    assert state() == "active"
    with faults.stop_unit("b1", "sleeper"):
        assert state() == "inactive"
    assert state() == "active"
    with faults.freeze_host("b1"):
        assert not machine.answers()
    assert machine.answers()


def test_a_cut_cuts_what_it_names_and_nothing_else(site: Site, faults: Faults) -> None:
    with faults.partition(["a1"], ["a2", "west"]):
        assert not reaches(site, "a1", "a2") and not reaches(site, "b1", "a1")
        assert reaches(site, "a2", "b1") and site.machine("a1").answers()
        with faults.kill_host("a1"):
            pass
        assert not reaches(site, "a1", "a2")  # it holds for the host that has booted again
    assert reaches(site, "a1", "a2")
    with faults.partition(["b1"], ["machine"]):
        assert not site.machine("b1").answers() and reaches(site, "b1", "a1")
    assert site.machine("b1").answers()


def test_packets_are_delayed_between_those_two_only(site: Site, faults: Faults) -> None:
    def round_trip(host: str, other: str) -> float:
        said = site.machine(host).run(["ping", "-q", "-c3", "-i0.1", other]).stdout
        return float(said.rpartition(" = ")[2].split("/")[0])

    with faults.delay(["a1"], ["b1"], ms=80):
        assert 155 < round_trip("a1", "b1") < 400
        assert round_trip("a1", "a2") < 80 and round_trip("a2", "b1") < 80
    assert round_trip("a1", "b1") < 80


def test_a_disk_is_filled_and_the_machine_s_is_not(site: Site, faults: Faults) -> None:
    machine = site.machine("a1")
    write = ["sh", "-c", "echo something > /var/lib/data/note"]
    with faults.fill_disk("a1", "/var/lib/data"):
        assert machine.run(write, check=False).returncode != 0
    machine.run(write)
    with pytest.raises(Impossible, match="must not be filled"):
        faults.fill_disk("a1", "/var/lib")
    with pytest.raises(Impossible, match="share this machine's"):
        faults.skew_clock("a1", 10)


def test_what_a_killed_test_left_is_undone(site: Site) -> None:
    code = (
        "import os, signal, sys\n"
        "from ansible_collections.chainops.infra.plugins.module_utils.faults import Faults\n"
        f"faults = Faults.load('{PREFIX}').__enter__()\n"
        "faults.partition(['a1'], ['a2'])\n"
        "faults.freeze_unit('a2', 'ssh')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(COLLECTIONS)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=False, timeout=30)
    with Faults(site) as faults:
        assert [entry.abandoned for entry in faults.active()] == [True, True]
        assert not reaches(site, "a1", "a2") and not site.machine("a2").answers()
        faults.undo_all()
    assert reaches(site, "a1", "a2") and site.machine("a2").answers()
