# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How Patroni is ended: asked to end by a stop, killed by a restart while PostgreSQL runs on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[3] / "roles/postgresql/files/stop.py"
# As Patroni: SIGTERM makes it end well, and say so.
PATRONI = (
    "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); print(flush=True); time.sleep(60)"
)


@pytest.fixture
def patroni() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", PATRONI], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def stop(folder: Path, jobs: str, *words: str) -> subprocess.Popen[bytes]:
    """stop.py with a systemctl that lists these jobs; the test reaps Patroni, as systemd would."""
    systemctl = folder / "systemctl"
    systemctl.write_text(f"#!/bin/sh\ncat <<'EOF'\n{jobs}\nEOF\n", encoding="utf-8")
    systemctl.chmod(0o755)
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
    return subprocess.Popen([sys.executable, "-IB", str(PROGRAM), "patroni.service", *words], env=environment)


def ended(folder: Path, patroni: subprocess.Popen[str], jobs: str) -> int:
    program = stop(folder, jobs, str(folder), str(patroni.pid))
    until = time.monotonic() + 10
    while patroni.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    assert program.wait(10) == 0
    return patroni.returncode


def postgres_runs(folder: Path, pid: int) -> None:
    (folder / "postmaster.pid").write_text(f"{pid}\n{folder}\n", encoding="ascii")


RESTART = "17 patroni.service restart running"


def test_a_restart_leaves_postgresql_alone(tmp_path: Path, patroni: subprocess.Popen[str]) -> None:
    postgres_runs(tmp_path, os.getpid())
    assert ended(tmp_path, patroni, f"3 other.service stop running\n{RESTART}") == -signal.SIGKILL


@pytest.mark.parametrize("jobs", ["", "17 patroni.service stop running", "17 other.service restart running"])
def test_a_stop_asks_patroni_to_end(tmp_path: Path, patroni: subprocess.Popen[str], jobs: str) -> None:
    postgres_runs(tmp_path, os.getpid())
    assert ended(tmp_path, patroni, jobs) == 7


def test_while_a_copy_is_made_a_restart_is_a_stop(tmp_path: Path, patroni: subprocess.Popen[str]) -> None:
    assert ended(tmp_path, patroni, RESTART) == 7


def test_a_postmaster_that_is_gone_is_none(tmp_path: Path, patroni: subprocess.Popen[str]) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    postgres_runs(tmp_path, gone.pid)
    assert ended(tmp_path, patroni, RESTART) == 7


def test_a_patroni_that_has_ended_needs_nothing(tmp_path: Path) -> None:
    assert stop(tmp_path, "", str(tmp_path)).wait(10) == 0
