# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Hosts as cgroups: who runs, freeze, and an end that no process escapes.

Works where systemd is PID 1 (one cgroup2 hierarchy) and where it is not (cgroup2 without controllers beside the old
hierarchies, which then hold the memory limit). The lab's groups stand beside systemd's, not inside a session's, so that
hosts outlive the shell that started them.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator

from .shell import LabError

TOP = "chainops-lab"


def _mounts(kind: str) -> Iterator[tuple[str, str]]:
    """Mount point and super options of every mount of a file system type, as this process sees them."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        for line in file:
            left, _dash, right = line.partition(" - ")
            fstype, _source, options = right.split()[:3]
            if fstype == kind:
                yield left.split()[4], options


def unified_root() -> str:
    """Where cgroup2 is mounted."""
    for point, _options in _mounts("cgroup2"):
        return point
    raise LabError("no cgroup2 is mounted: mount -t cgroup2 cgroup2 /sys/fs/cgroup (Debian's systemd does it by itself)")


def _memory_v1_root() -> str | None:
    for point, options in _mounts("cgroup"):
        if "memory" in options.split(","):
            return point
    return None


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


def _write(path: str, value: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(value)


class Cgroup:
    """The group of one host."""

    def __init__(self, prefix: str, name: str) -> None:
        self.root = unified_root()
        self.relative = f"{TOP}/{prefix}/{name}"
        self.path = f"{self.root}/{self.relative}"

    def make(self, memory_mb: int = 0) -> list[str]:
        """Make the group and its limit; returns the cgroup.procs files that the host's first process must enter."""
        os.makedirs(self.path, exist_ok=True)
        with open(f"{self.root}/cgroup.controllers", encoding="ascii") as file:
            unified = file.read().split()
        wanted = [name for name in ("cpu", "memory", "pids") if name in unified]
        below = ""
        for part in ["", *self.relative.split("/")[:-1]]:
            below = f"{below}/{part}" if part else below
            _write(f"{self.root}{below}/cgroup.subtree_control", " ".join(f"+{name}" for name in wanted))
        enter = [f"{self.path}/cgroup.procs"]
        if not memory_mb:
            return enter
        limit = str(memory_mb << 20)
        v1 = _memory_v1_root()
        if "memory" in unified:
            _write(f"{self.path}/memory.max", limit)
        elif v1:
            os.makedirs(f"{v1}/{self.relative}", exist_ok=True)
            _write(f"{v1}/{self.relative}/memory.limit_in_bytes", limit)
            enter.append(f"{v1}/{self.relative}/cgroup.procs")
        else:
            raise LabError("lab_memory_mb is set, and this kernel has no memory cgroup (cgroup_disable=memory?)")
        return enter

    @property
    def populated(self) -> bool:
        """Whether any process is left in it."""
        try:
            return "populated 1" in _read(f"{self.path}/cgroup.events")
        except OSError:
            return False

    def processes(self, below: str = "") -> list[int]:
        """The processes (as the machine numbers them) of this group, or of one below it, and everything below that."""
        found: list[int] = []
        for where, _directories, files in os.walk(os.path.join(self.path, below) if below else self.path):
            if "cgroup.procs" in files:
                with contextlib.suppress(OSError):
                    found += [int(pid) for pid in _read(f"{where}/cgroup.procs").split()]
        return found

    def leader(self) -> int | None:
        """The host's PID 1, as the machine numbers it."""
        for below in ("payload/init.scope", "payload"):
            try:
                pids = _read(f"{self.path}/{below}/cgroup.procs").split()
            except OSError:
                continue
            for pid in pids:
                with contextlib.suppress(OSError, IndexError):
                    line = next(row for row in _read(f"/proc/{pid}/status").splitlines() if row.startswith("NSpid:"))
                    if line.split()[1:] == [pid, "1"] or line.split()[-1] == "1":
                        return int(pid)
        return None

    def freeze(self, frozen: bool) -> None:
        """Stop every process of the host where it stands, or let them go on."""
        _write(f"{self.path}/cgroup.freeze", "1" if frozen else "0")

    def kill(self, timeout: float = 20) -> bool:
        """SIGKILL to all at once, as a power cut; True when there was something to kill."""
        if not os.path.isdir(self.path):
            return False
        was = self.populated
        deadline = time.monotonic() + timeout
        while self.populated:
            _write(f"{self.path}/cgroup.kill", "1")
            if time.monotonic() > deadline:
                raise LabError(f"{self.path}: processes {self.processes()} do not end")
            time.sleep(0.02)
        return was

    def remove(self) -> None:
        """Remove the empty group, what the host made below it, and parents that have become empty."""
        roots = [self.root]
        v1 = _memory_v1_root()
        if v1:
            roots.append(v1)
        for root in roots:
            path = f"{root}/{self.relative}"
            for where, _directories, _files in os.walk(path, topdown=False):
                _rmdir(where)
            for _level in range(2):
                path = os.path.dirname(path)
                with contextlib.suppress(OSError):
                    os.rmdir(path)


def _rmdir(path: str) -> None:
    """A group whose last process has just ended can be busy for a moment."""
    deadline = time.monotonic() + 5
    while os.path.isdir(path):
        try:
            os.rmdir(path)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def names(prefix: str) -> list[str]:
    """The hosts of a lab that have a group, whether anything else knows of them or not."""
    try:
        with os.scandir(f"{unified_root()}/{TOP}/{prefix}") as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())
    except FileNotFoundError:
        return []
