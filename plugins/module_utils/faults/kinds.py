# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Each kind of fault: how it is made and how it is undone. Undoing twice, or what is gone already, is no error."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..lab import cgroup
from ..lab.machine import Machine
from ..lab.shell import LabError, write
from ..lab.site import Site

FILL_NAME = ".chainops-fill"
FREEZE_TIMEOUT = 5
STANDING = ("T", "t", "Z", "X", "")  # stopped, traced, or no more
STOP_TIMEOUT = 330  # geth is given 300 s to write its state
Action = Callable[[Site, dict[str, Any]], None]


class Impossible(LabError):
    """A fault that cannot be made here; the message says why."""


def check_host(site: Site, data: dict[str, Any]) -> None:
    """The host must run."""
    if not site.machine(data["host"]).running:
        raise LabError(f"host {data['host']} is not running")


def check_unit(site: Site, data: dict[str, Any]) -> None:
    """The unit must have processes, and of the name that is to be hit."""
    check_host(site, data)
    group = unit_cgroup(site.machine(data["host"]), data["unit"])
    if not _chosen(group, data):
        raise LabError(f"unit {data['unit']} has no process called {data['only']} on host {data['host']}")


def check_disk(site: Site, data: dict[str, Any]) -> None:
    """The path must lie on a disk of the host's own: its root is the machine's disk."""
    check_host(site, data)
    machine = site.machine(data["host"])
    own = [disk.path for disk in machine.host.disks]
    path = data["path"]
    if os.path.normpath(path) != path or not any(path == disk or path.startswith(f"{disk}/") for disk in own):
        raise Impossible(
            f"{path} on {machine.name} lies on this machine's own disk, which must not be filled; "
            f"give the host a disk there (lab_disks){'; it has ' + ', '.join(own) if own else ''}"
        )
    if not _inside(machine, path).is_dir():
        raise LabError(f"{path} on {machine.name} is no directory")


def kill_host(site: Site, data: dict[str, Any]) -> None:
    """The power cord."""
    site.machine(data["host"]).kill()


def shut_down_host(site: Site, data: dict[str, Any]) -> None:
    """An orderly poweroff, waited for."""
    machine = site.machine(data["host"])
    machine.run(["systemctl", "poweroff", "--no-block"])
    deadline = time.monotonic() + STOP_TIMEOUT
    while machine.running:
        if time.monotonic() > deadline:
            raise LabError(f"host {data['host']} did not shut down in {STOP_TIMEOUT} s")
        time.sleep(0.1)
    machine.kill()


def start_host(site: Site, data: dict[str, Any]) -> None:
    """Boot it again, unless it was taken out of the lab meanwhile."""
    if site.machine(data["host"]).exists:
        site.start(data["host"])


def freeze_host(site: Site, data: dict[str, Any]) -> None:
    """Every process stands still; the kernel still answers pings and accepts connections for it."""
    site.machine(data["host"]).cgroup.freeze(True)


def thaw_host(site: Site, data: dict[str, Any]) -> None:
    """Let them go on."""
    machine = site.machine(data["host"])
    if machine.running:
        machine.cgroup.freeze(False)


def freeze_unit(site: Site, data: dict[str, Any]) -> None:
    """SIGSTOP to every process of a unit, waited for: it takes effect when a process next leaves the kernel."""
    stopped = _signal_unit(site, data, signal.SIGSTOP)
    deadline = time.monotonic() + FREEZE_TIMEOUT
    while moving := [pid for pid in stopped if process_state(pid) not in STANDING]:
        if time.monotonic() > deadline:
            raise LabError(f"processes {moving} of {data['unit']} on {data['host']} do not stop")
        time.sleep(0.001)


def thaw_unit(site: Site, data: dict[str, Any]) -> None:
    """SIGCONT to every process of a unit, if there are any."""
    if site.machine(data["host"]).running:
        with contextlib.suppress(LabError):
            _signal_unit(site, data, signal.SIGCONT)


def kill_unit(site: Site, data: dict[str, Any]) -> None:
    """SIGKILL to the processes of a unit at once. Its Restart= may bring it back, unless it is to stay dead."""
    machine = site.machine(data["host"])
    group = unit_cgroup(machine, data["unit"])
    if data["stay_dead"]:
        # Not a mask: in /run it does not cover a unit in /etc.
        drop_in = _drop_in(machine, data["unit"])
        content = f"[Unit]\nConditionPathExists=!/{drop_in.relative_to(machine.root)}\n[Service]\nRestart=no\n"
        write(drop_in, content)
        machine.run(["systemctl", "daemon-reload"])
    if data.get("only"):
        _signal_unit(site, data, signal.SIGKILL)
    else:
        cgroup.kill(group)


def stop_unit(site: Site, data: dict[str, Any]) -> None:
    """systemctl stop."""
    machine = site.machine(data["host"])
    machine.run(["systemctl", "stop", data["unit"]], timeout=STOP_TIMEOUT)


def start_unit(site: Site, data: dict[str, Any]) -> None:
    """systemctl start, also of a unit that was kept dead here or has used up its restarts."""
    machine = site.machine(data["host"])
    if not machine.running:
        return  # it starts with its host
    if data.get("stay_dead"):
        _drop_in(machine, data["unit"]).unlink(missing_ok=True)
        machine.run(["systemctl", "daemon-reload"])
    machine.run(["systemctl", "reset-failed", data["unit"]], check=False)
    machine.run(["systemctl", "start", data["unit"]], timeout=STOP_TIMEOUT)


def fill_disk(site: Site, data: dict[str, Any]) -> None:
    """Allocate until only ``leave_bytes`` are free."""
    machine = site.machine(data["host"])
    where = _inside(machine, data["path"])
    handle = os.open(where / FILL_NAME, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        step = 1 << 40
        while step >= 4096:
            free = os.statvfs(where)
            room = free.f_bavail * free.f_frsize - data["leave_bytes"]
            step = min(step, room // 4096 * 4096)
            if step <= 0:
                return
            try:
                os.posix_fallocate(handle, os.fstat(handle).st_size, step)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                step //= 2  # the file system needs some of the rest for its own bookkeeping
    finally:
        os.close(handle)


def empty_disk(site: Site, data: dict[str, Any]) -> None:
    """Remove what fill_disk put there."""
    machine = site.machine(data["host"])
    if not machine.exists:
        return
    if not machine.running:
        raise LabError(f"host {data['host']} is off, its disk cannot be emptied; start it first")
    with contextlib.suppress(FileNotFoundError):
        (_inside(machine, data["path"]) / FILL_NAME).unlink()


def unit_cgroup(machine: Machine, unit: str) -> Path:
    """The cgroup of a unit that has processes."""
    group = machine.cgroup.find(unit)
    if group is None or not cgroup.processes(group):
        raise LabError(f"unit {unit} has no process on host {machine.name}")
    return group


def process_state(pid: int) -> str:
    """The letter by which the kernel names a process's state; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def process_name(pid: int) -> str:
    """The name by which the kernel knows a process (of a script its own name); empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _drop_in(machine: Machine, unit: str) -> Path:
    return _inside(machine, f"/run/systemd/system/{unit}.d/chainops-fault.conf")


def _inside(machine: Machine, path: str) -> Path:
    return machine.root / path.lstrip("/")


def _chosen(group: Path, data: dict[str, Any]) -> set[int]:
    """The processes of a unit: all, or those that the kernel knows by the name of ``only``."""
    only = data.get("only")
    return {pid for pid in cgroup.processes(group) if not only or process_name(pid) == only}


def _signal_unit(site: Site, data: dict[str, Any], number: signal.Signals) -> set[int]:
    machine = site.machine(data["host"])
    group = unit_cgroup(machine, data["unit"])
    reached: set[int] = set()
    while fresh := _chosen(group, data) - reached:
        for pid in fresh:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        reached |= fresh
    return reached


@dataclass(frozen=True)
class Kind:
    """How a fault is refused before anything is touched, made, and undone."""

    check: Action
    make: Action
    undo: Action


KINDS = {
    "kill_host": Kind(check_host, kill_host, start_host),
    "shut_down_host": Kind(check_host, shut_down_host, start_host),
    "freeze_host": Kind(check_host, freeze_host, thaw_host),
    "freeze_unit": Kind(check_unit, freeze_unit, thaw_unit),
    "kill_unit": Kind(check_unit, kill_unit, start_unit),
    "stop_unit": Kind(check_unit, stop_unit, start_unit),
    "fill_disk": Kind(check_disk, fill_disk, empty_disk),
}
