"""The baseline's promises on a lab host: nobody is locked out, a wrong clock is seen, what is not applied is said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.on_host import OnHost
from tests.lab.site import ROOT, Run, Site

SITE = Site()
HOST = SITE.hosts("ethereum_reference")[-1]
ON = OnHost(HOST)
DROPIN = "/etc/ssh/sshd_config.d/00-chainops.conf"
CHRONY = "/etc/chrony/chrony.conf"
GOOD = {"PasswordAuthentication": False, "MaxAuthTries": 5}
BROKEN = {**GOOD, "AllowGroups": ["nosuchgroup"]}
# A connection for each task: the one that made the change is gone when it has to be taken back.
NO_MASTER = {"ANSIBLE_SSH_ARGS": "-o ControlMaster=no -o ControlPath=none"}


def ssh(settings: dict[str, Any], env: dict[str, str] | None = None, **variables: Any) -> Run:
    extra = json.dumps({"host": HOST, "settings": settings, **variables})
    return SITE.play(str(ROOT / "tests/lab/baseline/ssh.yml"), "-e", extra, timeout=180, env=env)


def words(run: Run) -> str:
    """The output without its line breaks."""
    return " ".join(run.output.split())


@pytest.fixture
def settings() -> Iterator[str]:
    """Settings that work, which come to lie over those of the site; afterwards all is as it was."""
    kept = ON.sh(f"cat {DROPIN} 2>/dev/null || true")
    ssh(GOOD).check()
    yield ON.sh(f"cat {DROPIN}")
    if kept:
        ON.sh(f"cat > {DROPIN}; systemctl reload ssh", data=kept.encode())
    else:
        ON.sh(f"rm {DROPIN}; systemctl reload ssh")


def test_settings_that_lock_out_are_taken_back_and_the_operator_still_gets_in(settings: str) -> None:
    run = ssh(BROKEN)
    assert run.returncode
    assert "a new connection was refused" in words(run)
    assert "the ones before are back in force" in words(run)
    assert ON.sh(f"cat {DROPIN}") == settings
    assert ssh(GOOD, env=NO_MASTER).check().changed == {}


def test_with_every_connection_gone_the_host_takes_them_back_itself(settings: str) -> None:
    run = ssh(BROKEN, env=NO_MASTER, rollback_after=600)
    assert run.returncode
    assert "the host does in 600 s" in words(run)
    assert ON.sh(f"cat {DROPIN}") != settings
    assert "Permission denied" in words(ssh(GOOD, env=NO_MASTER))
    # What the timer will do, also after a reboot, is done now.
    assert ON.sh("systemctl is-active chainops-sshd-rollback.timer").strip() == "active"
    assert ON.sh("systemctl is-enabled chainops-sshd-rollback.timer").strip() == "enabled"
    ON.sh("systemctl start chainops-sshd-rollback.service")
    assert ON.sh(f"cat {DROPIN}") == settings
    assert ssh(GOOD, env=NO_MASTER).check().changed == {}
    assert ON.sh("ls /etc/systemd/system | grep -c chainops-sshd || true").strip() == "0"


@pytest.fixture
def half_a_second_off() -> Iterator[str]:
    """The clock cannot be set here; a source that is said to be half a second off is the same to chronyd."""
    kept = ON.sh(f"cat {CHRONY}")
    server = ON.sh("chronyc -c -n sources | head -1 | cut -d, -f3").strip()
    ON.write(CHRONY, f"server {server} iburst minpoll 0 maxpoll 4 offset 0.5\n")
    ON.sh("systemctl restart chrony")
    yield server
    ON.write(CHRONY, kept)
    ON.sh("systemctl restart chrony")


def test_a_clock_that_is_off_is_refused_with_the_name_of_its_source(half_a_second_off: str) -> None:
    result = ON.call("host_state", max_offset=0.1, timeout=15)
    assert result["failed"]
    assert f"s off {half_a_second_off}, more than 0.1 s (waited 15 s; sources: " in result["msg"]
    assert 0.49 < result["clock"]["offset_seconds"] < 0.51


def test_the_clock_of_the_site_is_good() -> None:
    result = ON.call("host_state", max_offset=0.1, timeout=60)
    assert not result.get("failed"), result["msg"]
    assert result["clock"]["synchronised"]


def test_a_kernel_parameter_that_cannot_be_applied_is_named_with_what_is_in_force() -> None:
    found = ON.sh("cat /proc/sys/vm/swappiness").strip()
    result = ON.call("host_state", sysctl={"vm.swappiness": 3})
    assert result["failed"]
    assert result["msg"].startswith(f"vm.swappiness = 3 could not be applied, it is {found} (/proc/sys/vm/swappiness: ")
    reported = ON.call("host_state", sysctl={"vm.swappiness": 3}, sysctl_unavailable="report")
    assert not reported.get("failed")
    assert f"vm.swappiness (is {found})" in json.dumps(reported["warnings"])


def test_a_parameter_that_somebody_changed_by_hand_is_put_back() -> None:
    name, wanted = "net.ipv4.tcp_keepalive_time", ON.sh("cat /proc/sys/net/ipv4/tcp_keepalive_time").strip()
    ON.sh(f"sysctl -q -w {name}=7201")
    result = ON.call("host_state", sysctl={name: wanted})
    assert result["changed"] and result["sysctl"][0]["before"] == "7201"
    assert ON.sh("cat /proc/sys/net/ipv4/tcp_keepalive_time").strip() == wanted
