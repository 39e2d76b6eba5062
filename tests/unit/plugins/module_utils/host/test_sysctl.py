"""Kernel parameters on a made-up /proc/sys."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.host import sysctl


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    for name, value in {
        "vm/swappiness": "60",
        "net/ipv4/ip_local_port_range": "32768\t60999",
        "net/ipv4/conf/eth0.1/rp_filter": "0",
    }.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{value}\n")
    return tmp_path


def test_what_differs_is_written_and_read_back(proc: Path) -> None:
    result = sysctl.bring({"vm.swappiness": 1}, check=False, root=proc)[0]
    assert (result.state, result.before, result.found, result.reason) == ("changed", "60", "1", "")
    assert result.read_from == str(proc / "vm/swappiness")
    assert sysctl.bring({"vm.swappiness": 1}, check=False, root=proc)[0].state == "ok"


def test_white_space_and_booleans_are_as_the_kernel_prints_them(proc: Path) -> None:
    values = {"net.ipv4.ip_local_port_range": "32768 60999", "net.ipv4.conf.eth0/1.rp_filter": False}
    assert [each.state for each in sysctl.bring(values, check=False, root=proc)] == ["ok", "ok"]


def test_check_writes_nothing(proc: Path) -> None:
    result = sysctl.bring({"vm.swappiness": 1}, check=True, root=proc)[0]
    assert (result.state, result.found) == ("changed", "60")
    assert (proc / "vm/swappiness").read_text() == "60\n"


def test_a_parameter_that_is_not_there_is_unavailable_and_says_so(proc: Path) -> None:
    result = sysctl.bring({"net.core.rmem_max": 1}, check=False, root=proc)[0]
    assert (result.state, result.found) == ("unavailable", None)
    assert sysctl.describe(result) == (
        f"net.core.rmem_max = 1 could not be applied ({proc}/net/core/rmem_max: "
        "this kernel (or this container) does not have it)"
    )


def test_a_value_that_does_not_stick_is_unavailable() -> None:
    # The kernel takes it and keeps another: the boot id is read-only in effect whatever is written.
    result = sysctl.bring({"kernel.random.boot_id": "x"}, check=False)[0]
    assert result.state == "unavailable"
    assert result.found == result.before


def test_a_file_that_turns_a_value_down(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: Path, _text: str) -> int:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(Path, "write_text", refuse)
    result = sysctl.bring({"vm.swappiness": 900}, check=False, root=proc)[0]
    assert (result.state, result.reason, result.found) == ("unavailable", "the kernel refuses the value", "60")
