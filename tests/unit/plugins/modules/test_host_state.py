"""The module host_state: parameters of this kernel that nothing changes, and a chronyc that says what it is told to."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from ansible_collections.chainops.infra.plugins.modules import host_state

from tests.unit.plugins.modules.in_process import run_module

# As chronyc prints it
TRACKING = (
    "0A57031F,10.87.3.31,11,1795625337.307653207,{offset},0.000002460,0.000002460,0.000,-9.247,1.0,"
    "0.000097088,0.0149,1.0,{leap}"
)
SOURCES = "^,*,10.87.3.31,10,6,377,12,0.000001,0.000002,0.0001"
# The kernel has its own idea of it, whatever is written; and one that it does not have
FIXED, ABSENT = "kernel.random.boot_id", "kernel.no_such_parameter"


@pytest.fixture
def chronyc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in PATH; what it answers stands in a file, and each question is noted."""
    program = tmp_path / "chronyc"
    program.write_text(
        f'#!/bin/sh\necho "$3" >> {tmp_path}/asked\n[ "$3" = sources ] && echo "{SOURCES}" && exit\n'
        f"cat {tmp_path}/tracking\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    say(tmp_path)
    return tmp_path


def say(directory: Path, offset: str = "0.000020131", leap: str = "Normal") -> None:
    (directory / "tracking").write_text(TRACKING.format(offset=offset, leap=leap) + "\n")


def test_what_is_in_force_is_read_from_the_kernel() -> None:
    result = run_module(host_state, sysctl={"kernel.ostype": "Linux"})
    assert (result.get("failed"), result["changed"]) == (None, False)
    (found,) = result["sysctl"]
    assert (found["state"], found["found"], found["read_from"]) == ("ok", "Linux", "/proc/sys/kernel/ostype")
    assert "clock" not in result


@pytest.mark.parametrize("name", [FIXED, ABSENT])
@pytest.mark.parametrize("check", [False, True])
def test_what_cannot_be_brought_to_its_value_is_an_error_or_a_warning(name: str, check: bool) -> None:
    values = {"kernel.ostype": "Linux", name: "x"}
    failed = run_module(host_state, check=check, sysctl=values)
    assert failed["failed"]
    assert f"{name} = x could not be applied" in failed["msg"]
    assert [each["name"] for each in failed["sysctl"]] == [name]
    reported = run_module(host_state, check=check, sysctl=values, sysctl_unavailable="report")
    assert not reported.get("failed") and not reported["changed"]
    assert [each["state"] for each in reported["sysctl"]] == ["ok", "unavailable"]
    (warning,) = reported["warnings"]
    assert warning.startswith(f"1 of 2 kernel parameters could not be applied: {name} (is ")


def test_a_good_clock(chronyc: Path) -> None:
    result = run_module(host_state, max_offset=0.1)
    assert not result.get("failed") and not result["changed"]
    clock = result["clock"]
    assert (clock["synchronised"], clock["source"], clock["stratum"]) == (True, "10.87.3.31", 11)
    assert clock["offset_seconds"] == 0.000020131


def test_without_a_limit_nobody_asks_for_the_clock(chronyc: Path) -> None:
    assert "clock" not in run_module(host_state)
    assert not (chronyc / "asked").exists()


@pytest.mark.parametrize(
    ("offset", "leap", "words"),
    [
        ("-0.500013530", "Normal", "the clock is 0.500014 s off 10.87.3.31, more than 0.1 s"),
        ("0.0", "Not synchronised", "chronyd has not synchronised with any source yet"),
    ],
)
def test_a_clock_that_stays_wrong_is_an_error_that_names_the_sources(
    chronyc: Path, offset: str, leap: str, words: str
) -> None:
    say(chronyc, offset, leap)
    started = time.monotonic()
    result = run_module(host_state, max_offset=0.1, timeout=1.2)
    assert result["failed"]
    assert result["msg"] == f"clock: {words} (waited 1.2 s; sources: 10.87.3.31 in use)"
    assert 0.5 <= time.monotonic() - started < 5
    assert (chronyc / "asked").read_text().split().count("tracking") > 1


def test_in_check_mode_it_is_asked_once_and_is_a_warning(chronyc: Path) -> None:
    say(chronyc, "0.0", "Not synchronised")
    result = run_module(host_state, check=True, max_offset=0.1, timeout=60)
    assert not result.get("failed")
    assert result["warnings"] == ["the clock is not good yet: chronyd has not synchronised with any source yet"]
    assert (chronyc / "asked").read_text().split() == ["tracking"]


def test_no_chronyc_at_all_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = run_module(host_state, max_offset=0.1, timeout=0)
    assert result["failed"] and result["clock"] is None
    assert "chronyc is not installed" in result["msg"]


def test_all_that_is_wrong_is_said_at_once(chronyc: Path) -> None:
    say(chronyc, "0.5")
    result = run_module(host_state, sysctl={ABSENT: 1}, max_offset=0.1, timeout=0)
    assert ABSENT in result["msg"] and "the clock is 0.500000 s off" in result["msg"]
