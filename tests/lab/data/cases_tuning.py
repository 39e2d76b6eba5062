"""The filter's settings against pgtune's and Debian's, by pgbench."""

from __future__ import annotations

from importlib import import_module

from . import names, pgbench
from .case import Figures, case
from .world import World

LEAST_RATIO = 0.95
# Less than five minutes in all, so that no server has a checkpoint because of the time it stood still.
ROUNDS, SECONDS, SCALE = 20, 3, 50
CONNECTIONS = 100
# The lab's hosts share one machine: a server here may use a part of it, as a unit with MemoryMax= would.
MEMORY_MB = 4096


@case("pgbench", "tuning", limits=lambda _world: {"pgtune_by_ours": round(1 / LEAST_RATIO, 3)})
def tuned(world: World) -> Figures:
    """Interleaved runs on the scratch host, where no other member of the site works."""

    def shell(script: str) -> str:
        return world.sh(names.SCRATCH, script, timeout=600)

    tuning = import_module("ansible_collections.chainops.infra.plugins.filter.postgresql_tuning")
    memory, cores = pgbench.memory_and_cores(shell)
    memory = min(memory, MEMORY_MB)
    configurations = {
        "ours": tuning.postgresql_tuning(
            memory, cores=cores, storage="ssd", workload="oltp", max_connections=CONNECTIONS, wal_disk_gb=20
        ),
        "pgtune": pgbench.pgtune(memory, cores, CONNECTIONS),
        "defaults": {},
    }
    with pgbench.Bench(shell, configurations, SCALE, SECONDS) as bench:
        return pgbench.figures(bench.by_turns(ROUNDS))
