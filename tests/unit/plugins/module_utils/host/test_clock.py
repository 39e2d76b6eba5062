"""The clock as chronyc reports it; the lines are real ones."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.host import clock

GOOD = (
    "0A57031F,10.87.3.31,11,1795625337.307653207,0.000020131,0.000002460,0.000002460,0.000,-9.247,1.0,"
    "0.000097088,0.0149,1.0,Normal\n"
)
OFF = GOOD.replace("0.000020131", "-0.500013530")
LOCAL = "7F7F0101,,10,1795625192.894,0.000000000,0.0,0.0,0.000,0.000,0.000,0.000000000,0.000000000,0.0,Normal\n"
LOST = "00000000,,0,0.0,0.000000000,0.0,0.0,0.000,0.000,0.000,1.000000000,1.000000000,0.0,Not synchronised\n"


def test_a_good_clock() -> None:
    found, problem = clock.wait(0.1, 0, lambda: GOOD)
    assert problem == ""
    assert found is not None
    assert (found.source, found.stratum, found.offset_seconds) == ("10.87.3.31", 11, 0.000020131)
    assert found.error_seconds == pytest.approx(0.0149485, abs=1e-6)


def test_a_local_reference_is_a_source() -> None:
    assert clock.wait(0.1, 0, lambda: LOCAL)[1] == ""


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (OFF, "the clock is 0.500014 s off 10.87.3.31, more than 0.1 s"),
        (LOST, "chronyd has not synchronised with any source yet"),
        ("506 Cannot talk to daemon\n", "which is not its tracking report"),
        (GOOD.replace(",11,", ",eleven,"), "invalid literal"),
    ],
)
def test_each_bad_clock_is_named(line: str, words: str) -> None:
    assert words in clock.wait(0.1, 0, lambda: line)[1]


def test_it_waits_until_the_clock_is_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "INTERVAL", 0.01)
    answers = iter([LOST, OFF, GOOD])
    assert clock.wait(0.1, 5, lambda: next(answers))[1] == ""


def test_the_wait_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "INTERVAL", 0.05)
    started = time.monotonic()
    assert clock.wait(0.1, 0.2, lambda: OFF)[1]
    assert time.monotonic() - started < 0.4


def program(directory: Path, text: str) -> None:
    file = directory / "chronyc"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


def test_chronyc_missing_failing_and_hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert clock.wait(0.1, 0)[1] == "chronyc is not installed"
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    program(tmp_path, "echo '506 Cannot talk to daemon'; exit 1")
    assert clock.wait(0.1, 0)[1] == "chronyc -c -n tracking: 506 Cannot talk to daemon"
    monkeypatch.setattr(clock, "COMMAND_TIMEOUT", 0.2)
    program(tmp_path, "exec sleep 5")
    assert "no answer within" in clock.wait(0.1, 0)[1]


def test_sources_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    program(tmp_path, "echo '^,*,10.0.0.1,10,0,37,0,0,0,0'; echo '^,x,10.0.0.2,10,0,37,0,0,0,0'")
    assert clock.sources() == "10.0.0.1 in use, 10.0.0.2 wrong"
    program(tmp_path, "true")
    assert clock.sources() == "no source is configured"
