"""A prover whose test was killed does not write on for ever."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CHILD = """
import os, sys, threading
from tests.lab.data.prover.__main__ import stop_without_parent

class Engine:
    def stop(self):
        os._exit(0)

stop_without_parent(Engine())
print(os.getpid(), flush=True)
threading.Event().wait(60)
"""
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], stdout=subprocess.PIPE, text=True)
print(child.stdout.readline().strip(), flush=True)
sys.stdin.readline()
"""


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_ends_when_who_started_it_is_gone() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        time.sleep(1.5)
        assert runs(pid), "it ended while its test still ran"
        parent.kill()
        parent.wait()
    until = time.monotonic() + 10
    while runs(pid) and time.monotonic() < until:
        time.sleep(0.1)
    alone = runs(pid)
    if alone:
        os.kill(pid, 9)
    assert not alone
