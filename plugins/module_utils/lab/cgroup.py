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
from pathlib import Path

from .shell import LabError

TOP = "chainops-lab"
CONTROLLERS = ("cpu", "memory", "pids")


def _mounts(kind: str) -> Iterator[tuple[Path, str]]:
    """Mount point and super options of every mount of a file system type, as this process sees them."""
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        left, _dash, right = line.partition(" - ")
        fstype, _source, options = right.split()[:3]
        if fstype == kind:
            yield Path(left.split()[4]), options


def unified_root() -> Path:
    """Where cgroup2 is mounted."""
    for point, _options in _mounts("cgroup2"):
        return point
    raise LabError(
        "no cgroup2 is mounted: mount -t cgroup2 cgroup2 /sys/fs/cgroup (Debian's systemd does it by itself)"
    )


def _memory_v1_root() -> Path | None:
    for point, options in _mounts("cgroup"):
        if "memory" in options.split(","):
            return point
    return None


class Cgroup:
    """The group of one host."""

    def __init__(self, prefix: str, name: str) -> None:
        self.root = unified_root()
        self.relative = Path(TOP, prefix, name)
        self.path = self.root / self.relative

    def make(self, memory_mb: int = 0) -> list[Path]:
        """Make the group and its limit; returns the cgroup.procs files that the host's first process must enter."""
        self.path.mkdir(parents=True, exist_ok=True)
        for group in (self.root, *(self.root / part for part in reversed(self.relative.parents[:-1]))):
            for name in CONTROLLERS:
                with contextlib.suppress(OSError):  # this kernel keeps it in the old hierarchy, or has none
                    (group / "cgroup.subtree_control").write_text(f"+{name}", encoding="ascii")
        enter = [self.path / "cgroup.procs"]
        if not memory_mb:
            return enter
        limit = str(memory_mb << 20)
        v1 = _memory_v1_root()
        if (self.path / "memory.max").exists():
            (self.path / "memory.max").write_text(limit, encoding="ascii")
        elif v1:
            group = v1 / self.relative
            group.mkdir(parents=True, exist_ok=True)
            (group / "memory.limit_in_bytes").write_text(limit, encoding="ascii")
            enter.append(group / "cgroup.procs")
        else:
            raise LabError("lab_memory_mb is set, and this kernel has no memory cgroup (cgroup_disable=memory?)")
        return enter

    @property
    def populated(self) -> bool:
        """Whether any process is left in it."""
        try:
            return "populated 1" in (self.path / "cgroup.events").read_text(encoding="ascii")
        except OSError:
            return False

    def find(self, unit: str) -> Path | None:
        """The group of a systemd unit inside the host, without asking its systemd, which may be what is slow."""
        for where, directories, _files in os.walk(self.path / "payload"):
            if unit in directories:
                return Path(where, unit)
            directories[:] = [name for name in directories if name.endswith(".slice")]
        return None

    def leader(self) -> int | None:
        """The host's PID 1, as the machine numbers it."""
        for below in ("payload/init.scope", "payload"):
            for pid in _pids(self.path / below):
                if _innermost_pid(pid) == 1:
                    return pid
        return None

    def freeze(self, frozen: bool) -> None:
        """Stop every process of the host where it stands, or let them go on."""
        (self.path / "cgroup.freeze").write_text("1" if frozen else "0", encoding="ascii")

    def kill(self, timeout: float = 20) -> bool:
        """SIGKILL to all at once, as a power cut; True when there was something to kill."""
        was = self.populated
        deadline = time.monotonic() + timeout
        while self.populated:
            (self.path / "cgroup.kill").write_text("1", encoding="ascii")
            if time.monotonic() > deadline:
                raise LabError(f"{self.path}: processes {processes(self.path)} do not end")
            time.sleep(0.01)
        return was

    def remove(self) -> None:
        """Remove the empty group, what the host made below it, and parents that have become empty."""
        for root in (self.root, _memory_v1_root()):
            if root is None:
                continue
            for where, _directories, _files in os.walk(root / self.relative, topdown=False):
                _rmdir(Path(where))
            for parent in self.relative.parents[:-1]:
                with contextlib.suppress(OSError):
                    (root / parent).rmdir()


def processes(group: Path) -> list[int]:
    """The processes of a group and of everything below it, as the machine numbers them."""
    return [pid for where, _directories, _files in os.walk(group) for pid in _pids(Path(where))]


def kill(group: Path) -> None:
    """SIGKILL to all processes of a group at once."""
    (group / "cgroup.kill").write_text("1", encoding="ascii")


def names(prefix: str) -> list[str]:
    """The hosts of a lab that have a group, whether anything else knows of them or not."""
    group = unified_root() / TOP / prefix
    return sorted(entry.name for entry in group.iterdir() if entry.is_dir()) if group.is_dir() else []


def _pids(group: Path) -> list[int]:
    try:
        return [int(pid) for pid in (group / "cgroup.procs").read_text(encoding="ascii").split()]
    except OSError:  # gone, or being removed
        return []


def _innermost_pid(pid: int) -> int:
    """The process's number in its own PID namespace; 0 when it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("NSpid:"):
                return int(line.split()[-1])
    return 0


def _rmdir(group: Path) -> None:
    """A group whose last process has just ended can be busy for a moment."""
    deadline = time.monotonic() + 5
    while group.is_dir():
        try:
            group.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
