"""pgbench on one host under several configurations by short turns: slow seconds of the machine hit all alike."""

from __future__ import annotations

import json
import shlex
import statistics
from collections.abc import Callable

PLACE, PORT, UNIT = "/var/lib/postgresql/bench", 5499, "bench-"
WARM_UP_S = 10
BIN = "/usr/lib/postgresql/17/bin"
# What all configurations have: a private server whose rows are as durable as those of a real one.
COMMON = {
    "listen_addresses": "",
    "unix_socket_directories": PLACE,
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
    """A cluster for each configuration on a host, of the same rows; ``shell`` runs a script there as root.

    All but the one whose turn it is stand still, so that none vacuums or writes in another's turn.
    """

    def __init__(
        self, shell: Shell, configurations: dict[str, dict[str, str]], scale: int, seconds: int, clients: int = 8
    ) -> None:
        self._shell, self._configurations = shell, configurations
        self._scale, self._seconds, self._clients = scale, seconds, clients
        self._ports = {name: PORT + number for number, name in enumerate(configurations)}

    def _as_postgres(self, command: str) -> str:
        return self._shell(f"cd / && runuser -u postgres -- sh -ec {shlex.quote(command)}")

    def __enter__(self) -> Bench:
        self._remove()
        self._shell(f"install -d -o postgres -g postgres -m 0700 {PLACE}")
        first, *others = self._configurations
        self._as_postgres(f"{BIN}/initdb -D {PLACE}/{first} -A trust --data-checksums >/dev/null")
        self._as_postgres(f"echo \"include 'bench.conf'\" >> {PLACE}/{first}/postgresql.conf")
        self._start(first, {})
        self._pgbench(first, f"-i -q -s {self._scale}")
        self._shell(f"systemctl stop {UNIT}{first}")
        for name in others:
            self._as_postgres(f"cp -a {PLACE}/{first} {PLACE}/{name}")
        for name, settings in self._configurations.items():
            self._start(name, settings)
            self._pgbench(name, self._load(WARM_UP_S))
            self._as_postgres(f"psql -XAtq -h {PLACE} -p {self._ports[name]} -c CHECKPOINT postgres")
            self._signal(name, "SIGSTOP")
        return self

    def __exit__(self, *_error: object) -> None:
        self._remove()

    def _remove(self) -> None:
        self._shell(f"systemctl kill -s SIGKILL '{UNIT}*' 2>/dev/null || true; sleep 1; rm -rf {PLACE}")

    def _start(self, name: str, settings: dict[str, str]) -> None:
        everything = COMMON | settings | {"port": str(self._ports[name])}
        text = "".join(f"{key} = '{value}'\n" for key, value in everything.items())
        self._as_postgres(f"printf %s {shlex.quote(text)} > {PLACE}/{name}/bench.conf")
        self._shell(
            f"systemd-run -q --collect --unit={UNIT}{name} -p User=postgres -p KillMode=mixed -p KillSignal=SIGINT "
            f"{BIN}/postgres -D {PLACE}/{name}; "
            f"timeout 60 sh -c 'until {BIN}/pg_isready -q -h {PLACE} -p {self._ports[name]}; do sleep 0.1; done'"
        )

    def _signal(self, name: str, signal: str) -> None:
        self._shell(f"systemctl kill -s {signal} {UNIT}{name}")

    def _load(self, seconds: int) -> str:
        return f"-n -c {self._clients} -j 2 -M prepared -T {seconds}"

    def _pgbench(self, name: str, arguments: str) -> str:
        return self._as_postgres(f"{BIN}/pgbench -h {PLACE} -p {self._ports[name]} {arguments} postgres 2>&1")

    def once(self, name: str) -> float:
        """Transactions a second."""
        self._signal(name, "SIGCONT")
        said = self._pgbench(name, self._load(self._seconds))
        self._signal(name, "SIGSTOP")
        line = next(line for line in said.splitlines() if line.startswith("tps = "))
        return float(line.split()[2])

    def by_turns(self, rounds: int) -> dict[str, list[float]]:
        """All of them in each round, another one first each time."""
        names = list(self._configurations)
        found: dict[str, list[float]] = {name: [] for name in names}
        for number in range(rounds):
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                found[name].append(self.once(name))
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
