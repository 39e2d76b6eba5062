"""A playbook that a test gives up on leaves no process behind."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.lab import site


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_workers_of_a_playbook_end_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in for ansible-playbook has a worker that would go on for a minute."""
    program, worker = tmp_path / "ansible-playbook", tmp_path / "worker"
    program.write_text(f"#!/bin/sh\nsleep 60 >/dev/null 2>&1 &\necho $! > {worker}\nwait\n")
    program.chmod(0o755)
    monkeypatch.setattr(site, "BIN", tmp_path)
    with pytest.raises(subprocess.TimeoutExpired):
        site.Site().play("any", timeout=1)
    pid = int(worker.read_text())
    until = time.monotonic() + 5
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(pid)


def test_the_output_and_the_end_are_those_of_the_playbook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "ansible-playbook"
    program.write_text('#!/bin/sh\necho "$@ $ANSIBLE_NOCOLOR $MINE"; echo wrong >&2; exit 3\n')
    program.chmod(0o755)
    monkeypatch.setattr(site, "BIN", tmp_path)
    run = site.Site(Path("one.yml"), Path("two.yml")).play("any", "--check", env={"MINE": "yes"})
    assert (run.returncode, run.output) == (3, "-i one.yml -i two.yml any --check 1 yes\nwrong\n")
    assert "MINE" not in os.environ
