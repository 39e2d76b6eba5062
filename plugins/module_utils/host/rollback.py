# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A way back for a file of sshd that the host goes by itself, unless somebody confirms the new one in time.

What is needed for it is on disk before the file is touched, and survives a killed run and a reboot:

STATE/pending    the file on trial exists, and nobody has confirmed it
STATE/before     what was there, absent if nothing was
UNIT.service     puts it back and reloads sshd, only while STATE/pending is there
UNIT.timer       starts that after a while, and after a while from each boot
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

STATE = Path("/var/lib/chainops/sshd_config")
UNITS = Path("/etc/systemd/system")
UNIT = "chainops-sshd-rollback"
SSHD_UNIT = "ssh.service"

SERVICE = """\
[Unit]
Description=Put back the sshd settings that nobody confirmed
ConditionPathExists={state}/pending

[Service]
Type=oneshot
ExecStart={restore}
ExecStart=-/usr/bin/systemctl reload-or-restart {sshd}
ExecStart=/usr/bin/rm -f {state}/pending
"""
TIMER = """\
[Unit]
Description=Put back the sshd settings that nobody confirms in {seconds} s

[Timer]
OnActiveSec={seconds}
AccuracySec=1s

[Install]
WantedBy=timers.target
"""


class Failed(Exception):
    """A step of systemd failed; the text is its own."""


def systemctl(*words: str) -> None:
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise Failed(f"systemctl {' '.join(words)}: {(done.stderr or done.stdout).strip()}")


def pending() -> bool:
    return (STATE / "pending").exists()


def replace(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file beside its place and rename it, so that it is whole at any time."""
    partial = path.with_name(f".{path.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        os.fchmod(descriptor, mode)
        file.flush()
        os.fsync(descriptor)
    partial.rename(path)


def arm(path: Path, seconds: int) -> None:
    """Start the clock. A file that is on trial already keeps the one before it as the way back."""
    STATE.mkdir(parents=True, mode=0o700, exist_ok=True)
    before = STATE / "before"
    if not pending():
        before.unlink(missing_ok=True)
        if path.exists():
            shutil.copy2(path, before)
    back = f"/usr/bin/cp -p {before} {path}" if before.exists() else f"/usr/bin/rm -f {path}"
    replace(UNITS / f"{UNIT}.service", SERVICE.format(state=STATE, restore=back, sshd=SSHD_UNIT), 0o644)
    replace(UNITS / f"{UNIT}.timer", TIMER.format(seconds=seconds), 0o644)
    systemctl("daemon-reload")
    systemctl("enable", f"{UNIT}.timer")
    # A restart begins the countdown anew where a killed run has left one.
    systemctl("restart", f"{UNIT}.timer")
    (STATE / "pending").touch()


def reload() -> None:
    """sshd reads its configuration anew; where it is started by a socket, each new connection does that anyway."""
    active = subprocess.run(["systemctl", "is-active", "--quiet", SSHD_UNIT], timeout=60, check=False)
    if active.returncode == 0:
        systemctl("reload", SSHD_UNIT)


def confirm() -> bool:
    """Keep the file. False if it had been put back before."""
    kept = pending()
    (STATE / "pending").unlink(missing_ok=True)
    disarm()
    return kept


def restore() -> None:
    """Put the file back now, by the same unit that the timer starts."""
    systemctl("start", f"{UNIT}.service")
    disarm()


def clear() -> None:
    """Remove what a countdown that ran out has left."""
    if (UNITS / f"{UNIT}.timer").exists():
        disarm()


def disarm() -> None:
    systemctl("disable", "--now", f"{UNIT}.timer")
    for suffix in ("service", "timer"):
        (UNITS / f"{UNIT}.{suffix}").unlink(missing_ok=True)
    # without its timer nothing reads it, and there may be none
    shutil.rmtree(STATE, ignore_errors=True)
    systemctl("daemon-reload")
