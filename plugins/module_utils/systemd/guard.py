# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The question whether a unit that runs well may be stopped now."""

from __future__ import annotations

import subprocess

from .systemctl import SystemdError


def ask(name: str, command: list[str], timeout: float) -> None:
    """Run the command of O(guard); anything but status 0 keeps the unit as it is."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise SystemdError(f"{name} was left running: {command[0]} did not answer within {timeout:g} s") from error
    except OSError as error:
        raise SystemdError(f"{name} was left running: {command[0]}: {error.strerror}") from error
    if done.returncode:
        words = done.stderr.strip() or done.stdout.strip() or f"{command[0]} ended with status {done.returncode}"
        raise SystemdError(f"{name} was left running: {words}")
