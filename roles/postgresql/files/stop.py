# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ends Patroni as the job at hand wants it: python3 stop.py UNIT DATA_DIR [PID]

A stop (also that of the host) asks Patroni to end, which hands leadership over and stops PostgreSQL. A restart kills it
while PostgreSQL runs: the next Patroni takes that over as it is, so that a new version or unit costs no session.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def restarting(unit: str) -> bool:
    """Whether systemd's job for the unit is a restart; when in doubt it is a stop."""
    try:
        listed = subprocess.run(
            ["systemctl", "list-jobs", "--no-legend", "--plain"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return False
    jobs = [line.split() for line in listed.splitlines()]
    # "4711 patroni.service restart running"; while the host goes down it is stop.
    return any(len(job) >= 3 and job[1] == unit and job[2] in ("restart", "try-restart") for job in jobs)


def postgres_runs(data_dir: str) -> bool:
    """Whether a postmaster of this directory is there; while a copy of the database is made, there is none."""
    try:
        pid = int((Path(data_dir) / "postmaster.pid").read_text(encoding="ascii").split("\n", maxsplit=1)[0])
        os.kill(pid, 0)
    except (OSError, ValueError):
        return False
    return True


def main() -> int:
    unit, data_dir = sys.argv[1:3]
    if len(sys.argv) < 4:  # it has ended already
        return 0
    pid = int(sys.argv[3])
    kill = restarting(unit) and postgres_runs(data_dir)
    try:
        os.kill(pid, signal.SIGKILL if kill else signal.SIGTERM)
        while True:  # systemd's TimeoutStopSec= bounds it
            os.kill(pid, 0)
            time.sleep(0.1)
    except ProcessLookupError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
