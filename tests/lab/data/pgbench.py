"""pgbench on one host under several configurations by turns, so that a slow minute of the machine hits all alike."""

from __future__ import annotations

import json
import shlex
import statistics
from collections.abc import Callable

PLACE, PORT = "/var/lib/postgresql/bench", 5499
BIN = "/usr/lib/postgresql/17/bin"
# What all configurations have: a private server whose rows are as durable as those of a real one.
COMMON = {
    "listen_addresses": "",
    "unix_socket_directories": PLACE,
    "port": str(PORT),
    "logging_collector": "off",
    "fsync": "on",
}
Shell = Callable[[str], str]


def pgtune(memory_mb: int, cores: int, connections: int) -> dict[str, str]:
    """What pgtune gives for oltp on an SSD under PostgreSQL 17 (its rules as published, read 2026-11)."""
    shared = memory_mb // 4
    work_kb = (memory_mb - shared) * 1024 // ((connections + max(8, cores)) * 3)
    found = {
        "max_connections": str(connections),
        "shared_buffers": f"{shared}MB",
        "effective_cache_size": f"{memory_mb * 3 // 4}MB",
        "maintenance_work_mem": f"{min(memory_mb // 16, 2048)}MB",
        "checkpoint_completion_target": "0.9",
        # three parts of a hundred of shared_buffers, which from 14 MB on counts as the 16 that are the most
        "wal_buffers": f"{16 if shared * 3 // 100 > 14 else max(1, shared * 3 // 100)}MB",
        "default_statistics_target": "100",
        "random_page_cost": "1.1",
        "effective_io_concurrency": "200",
        "work_mem": f"{max(64, work_kb)}kB",
        "huge_pages": "off" if memory_mb < 32 * 1024 else "try",
        "min_wal_size": "2GB",
        "max_wal_size": "8GB",
    }
    if cores >= 4:
        workers = min(4, cores // 2)
        found |= {
            "max_worker_processes": str(cores),
            "max_parallel_workers_per_gather": str(workers),
            "max_parallel_workers": str(cores),
            "max_parallel_maintenance_workers": str(workers),
        }
    return found


class Bench:
    """A cluster of its own on a host; ``shell`` runs a script there as root."""

    def __init__(self, shell: Shell, scale: int, seconds: int, clients: int = 8) -> None:
        self._shell = shell
        self._scale, self._seconds, self._clients = scale, seconds, clients

    def _as_postgres(self, command: str) -> str:
        return self._shell(f"cd / && runuser -u postgres -- sh -ec {shlex.quote(command)}")

    def __enter__(self) -> Bench:
        self._shell(f"rm -rf {PLACE}; install -d -o postgres -g postgres -m 0700 {PLACE}")
        self._as_postgres(f"{BIN}/initdb -D {PLACE}/data -A trust --data-checksums >/dev/null")
        self._as_postgres(f"echo \"include '../bench.conf'\" >> {PLACE}/data/postgresql.conf")
        self._start({})
        self._as_postgres(f"{BIN}/pgbench -h {PLACE} -p {PORT} -i -q -s {self._scale} postgres >/dev/null 2>&1")
        self._stop()
        return self

    def __exit__(self, *_error: object) -> None:
        self._shell(
            f"runuser -u postgres -- {BIN}/pg_ctl -D {PLACE}/data -m immediate stop >/dev/null 2>&1 || true; "
            f"rm -rf {PLACE}"
        )

    def _start(self, settings: dict[str, str]) -> None:
        text = "".join(f"{name} = '{value}'\n" for name, value in (COMMON | settings).items())
        self._as_postgres(f"printf %s {shlex.quote(text)} > {PLACE}/bench.conf")
        self._as_postgres(
            f"{BIN}/pg_ctl -D {PLACE}/data -l {PLACE}/log -w start >/dev/null || {{ cat {PLACE}/log; exit 1; }}"
        )

    def _stop(self) -> None:
        self._as_postgres(f"{BIN}/pg_ctl -D {PLACE}/data -w -m fast stop >/dev/null")

    def once(self, settings: dict[str, str]) -> float:
        """Transactions a second, after a warm-up, from a checkpoint on."""
        self._start(settings)
        try:
            client = f"{BIN}/pgbench -h {PLACE} -p {PORT} -n -c {self._clients} -j 2 -M prepared"
            self._as_postgres(f"{client} -T {max(1, self._seconds // 4)} postgres >/dev/null")
            self._as_postgres(f"psql -XAtq -h {PLACE} -p {PORT} -c CHECKPOINT postgres")
            said = self._as_postgres(f"{client} -T {self._seconds} postgres")
        finally:
            self._stop()
        line = next(line for line in said.splitlines() if line.startswith("tps = "))
        return float(line.split()[2])

    def by_turns(self, configurations: dict[str, dict[str, str]], rounds: int) -> dict[str, list[float]]:
        """All of them in each round, another one first each time."""
        names = list(configurations)
        found: dict[str, list[float]] = {name: [] for name in names}
        for number in range(rounds):
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                found[name].append(self.once(configurations[name]))
        return found


def figures(runs: dict[str, list[float]]) -> dict[str, float]:
    """Medians; ratios are medians of each round's own, as a machine is slower in one round than in another.

    A limit is a maximum, so what pgtune's values give is divided by ours too. ``spread`` is how far apart the rounds'
    ratios to pgtune lie.
    """
    middle = {name: statistics.median(values) for name, values in runs.items()}
    ratios = {
        name: [ours / other for ours, other in zip(runs["ours"], values, strict=True)] for name, values in runs.items()
    }
    ratio = statistics.median(ratios["pgtune"])
    return {
        **{f"{name}_tps": round(value, 1) for name, value in middle.items()},
        "rounds": len(runs["ours"]),
        "ratio": round(ratio, 3),
        "ratio_to_defaults": round(statistics.median(ratios["defaults"]), 3),
        "pgtune_by_ours": round(1 / ratio, 3),
        "spread": round(max(ratios["pgtune"]) - min(ratios["pgtune"]), 3),
    }


def memory_and_cores(shell: Shell) -> tuple[int, int]:
    """MB of memory and cores, as facts have them on the host."""
    look = (
        "import json, os; "
        "print(json.dumps([os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') >> 20, os.cpu_count()]))"
    )
    said = shell(f"python3 -c {shlex.quote(look)}")
    memory, cores = json.loads(said)
    return memory, cores
