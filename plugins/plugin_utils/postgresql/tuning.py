# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""PostgreSQL's settings from the machine they run on, each with its reason.

The rules begin with those of pgtune (the wiki's "Tuning Your PostgreSQL Server" as a program). Where they go further
the reason says why; "the manual" is that of PostgreSQL 17.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .sizes import GB, KB, MB, written

STORAGE = ("nvme", "ssd", "san", "hdd")
WORKLOADS = ("oltp", "mixed", "analytics")

# Of the disk that holds WAL, what checkpoints may use. The rest is for what they cannot bound: replication slots, a
# repository that does not take WAL, the moment in which a checkpoint is late.
WAL_SHARE = 0.2
# The WAL between two checkpoints that each workload would like.
WAL_WANTED = {"oltp": 16 * GB, "mixed": 8 * GB, "analytics": 32 * GB}
SEGMENT = 16 * MB


@dataclass(frozen=True)
class Machine:
    """What the settings are worked out from.

    A limit of 0 is none, a WAL disk of 0 is one of unknown size, worker processes of 0 are as many as the cores want.
    """

    memory_mb: int
    cores: int
    storage: str
    workload: str
    max_connections: int
    wal_disk_gb: float = 0
    memory_limit_mb: int = 0
    worker_processes: int = 0

    def faults(self) -> list[str]:
        """What of this is no machine."""
        faults = []
        least_of = {"memory_mb": 256, "cores": 1, "max_connections": 10, "memory_limit_mb": 0, "worker_processes": 0}
        for name, least in least_of.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                faults.append(f"{name} = {value!r} must be an integer of at least {least}")
        if isinstance(self.memory_limit_mb, int) and 0 < self.memory_limit_mb < 256:
            faults.append(f"memory_limit_mb = {self.memory_limit_mb} must be 0 (no limit) or at least 256")
        if isinstance(self.wal_disk_gb, bool) or not isinstance(self.wal_disk_gb, (int, float)) or self.wal_disk_gb < 0:
            faults.append(f"wal_disk_gb = {self.wal_disk_gb!r} must be a number, 0 for unknown")
        for name, choices in (("storage", STORAGE), ("workload", WORKLOADS)):
            value = getattr(self, name)
            if value not in choices:
                faults.append(f"{name} = {value!r} must be one of {', '.join(choices)}")
        return faults

    @property
    def memory(self) -> int:
        """kB that PostgreSQL and the page cache it relies on may use: a cgroup pays for both."""
        limit = self.memory_limit_mb
        return MB * (min(self.memory_mb, limit) if limit else self.memory_mb)

    @property
    def workers(self) -> int:
        """Workers of queries that run at once: one for each core, as far as there are processes for them."""
        return min(self.cores, self.worker_processes) if self.worker_processes else self.cores

    @property
    def memory_words(self) -> str:
        if self.memory_limit_mb and self.memory_limit_mb < self.memory_mb:
            return f"the {self.memory_limit_mb} MB that its cgroup may use"
        return f"the host's {self.memory_mb} MB"


def tune(machine: Machine) -> dict[str, dict[str, str]]:
    """name → {value, reason}"""
    settings: dict[str, dict[str, str]] = {}
    for part in (_memory, _wal, _planner, _workers, _vacuum):
        for name, value, reason in part(machine):
            settings[name] = {"value": str(value), "reason": reason}
    return settings


Setting = tuple[str, t.Any, str]


def _shared_buffers(machine: Machine) -> int:
    """In whole MB."""
    return machine.memory // 4 // MB * MB


def _maintenance(machine: Machine) -> int:
    share = 8 if machine.workload == "analytics" else 16
    return min(8 * GB, max(64 * MB, machine.memory // share // MB * MB))


def _memory(machine: Machine) -> list[Setting]:
    shared = _shared_buffers(machine)
    users = machine.max_connections + machine.workers
    work = (machine.memory - shared) // (users * 3)
    halved = machine.workload != "oltp"
    if halved:
        work //= 2
    words = f"{machine.memory_words} less shared_buffers, over 3 operations in each of {users} connections and workers"
    if halved:
        words += ", and half of it, as queries of this workload sort and hash several times"
    if work < 4 * MB:
        work, words = 4 * MB, "the default; less would write small sorts to disk"
    return [
        ("max_connections", machine.max_connections, "given; each connection is a process, so pool above some hundred"),
        ("shared_buffers", written(shared), f"a quarter of {machine.memory_words} (the manual, and pgtune)"),
        ("huge_pages", "try", "uses huge pages where vm.nr_hugepages reserves enough, and starts where it does not"),
        (
            "effective_cache_size",
            written(machine.memory * 3 // 4 // MB * MB),
            f"three quarters of {machine.memory_words}: what the planner may expect to be cached, nothing is allocated",
        ),
        ("work_mem", written(work // KB), words),
        (
            "maintenance_work_mem",
            written(_maintenance(machine)),
            f"{'an eighth' if machine.workload == 'analytics' else 'a sixteenth'} of {machine.memory_words}, 8 GB at "
            "most: CREATE INDEX and VACUUM by hand, of which few run at once",
        ),
    ]


def _wal(machine: Machine) -> list[Setting]:
    wanted = WAL_WANTED[machine.workload]
    bound = int(machine.wal_disk_gb * WAL_SHARE * GB) // SEGMENT * SEGMENT
    most = max(8 * SEGMENT, min(wanted, bound) if bound else wanted)
    if bound and bound < wanted:
        words = f"a fifth of the {machine.wal_disk_gb:g} GB that hold WAL: the rest is for slots and late archiving"
    else:
        words = "so much that time begins checkpoints, not WAL; a fifth of the disk that holds WAL at most"
    buffers = min(16 * MB, max(32 * KB, 3 * _shared_buffers(machine) // 100))
    if buffers > 14 * MB:
        buffers = 16 * MB
    return [
        (
            "checkpoint_timeout",
            "15min",
            "each checkpoint is followed by whole pages in WAL; 5min writes them three times",
        ),
        (
            "checkpoint_completion_target",
            "0.9",
            "the default since 14: spread over the interval, without a burst of writes",
        ),
        ("max_wal_size", written(most), words),
        (
            "min_wal_size",
            written(max(5 * SEGMENT, most // 4 // SEGMENT * SEGMENT)),
            "a quarter of max_wal_size: segments are used again, not made anew, when load returns",
        ),
        ("wal_buffers", written(buffers), "3 % of shared_buffers up to one segment of 16 MB, as the manual's own rule"),
        (
            "wal_compression",
            "lz4",
            "shrinks the whole pages in WAL for little CPU; Debian's packages are built with it",
        ),
    ]


def _planner(machine: Machine) -> list[Setting]:
    flash = machine.storage != "hdd"
    analytics = machine.workload == "analytics"
    if not flash:
        cost, words = "4", "the default: a disk that has to seek"
    elif analytics:
        cost, words = "4", "the default: on 1.1 large scans would go over indexes, slower than reading in order"
    else:
        cost, words = "1.1", "the manual's value for storage without seeks"
    # "in the hundreds" for memory-based storage; 17 takes up to 1000, which a query with LIMIT would read for nothing
    reads = {"hdd": 2, "ssd": 200, "san": 300, "nvme": 300}[machine.storage]
    ahead = {
        True: "what such storage answers at once (the manual: in the hundreds)",
        False: "one disk that has to seek",
    }
    found: list[Setting] = [
        ("random_page_cost", cost, words),
        ("effective_io_concurrency", reads, ahead[flash]),
        (
            "maintenance_io_concurrency",
            100 if flash else 10,
            "VACUUM, and standbys that read ahead of WAL (recovery_prefetch)" if flash else "the default",
        ),
        (
            "default_statistics_target",
            500 if analytics else 100,
            "large tables with uneven values need finer histograms" if analytics else "the default",
        ),
    ]
    if not analytics:
        found.append(("jit", "off", "compiling costs short queries more than it saves (pgtune)"))
    return found


def _workers(machine: Machine) -> list[Setting]:
    workers = machine.workers
    half = (machine.cores + 1) // 2
    gather = min(workers, half if machine.workload == "analytics" else min(4, half))
    if machine.worker_processes:
        processes, words = machine.worker_processes, "given, as all members of a cluster must have the same"
    else:
        processes = max(8, machine.cores)
        words = "one for each core, the default of 8 at least: extensions and logical replication need places as well"
    return [
        ("max_worker_processes", processes, words),
        (
            "max_parallel_workers",
            workers,
            "as many as there are cores"
            if workers == machine.cores
            else "all of max_worker_processes, as cores are more",
        ),
        (
            "max_parallel_workers_per_gather",
            gather,
            "half of the cores" + ("" if machine.workload == "analytics" else ", 4 at most: more gain little each"),
        ),
        ("max_parallel_maintenance_workers", min(4, half, workers), "half of the cores, 4 at most, for CREATE INDEX"),
    ]


def _vacuum(machine: Machine) -> list[Setting]:
    workers = 5 if machine.cores >= 32 else 4 if machine.cores >= 16 else 3
    found: list[Setting] = [
        ("autovacuum_max_workers", workers, "the default of 3, and more on hosts with 16 and 32 cores"),
        (
            "autovacuum_work_mem",
            written(min(2 * GB, machine.memory // 8 // workers // MB * MB)),
            f"an eighth of {machine.memory_words} over {workers} workers that may use it at once, 2 GB at most",
        ),
    ]
    if machine.storage != "hdd":
        found.append(
            (
                "autovacuum_vacuum_cost_limit",
                1000,
                "the default of 200 lets all workers together change 39 MB/s (20 a page, each 2 ms); flash takes more",
            )
        )
    return found
