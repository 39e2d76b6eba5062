# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.chainops.infra.plugins.plugin_utils.postgresql.tuning import Machine, tune


def postgresql_tuning(
    memory_mb: Any,
    *,
    cores: int,
    storage: str,
    workload: str,
    max_connections: int,
    wal_disk_gb: float = 0,
    memory_limit_mb: int = 0,
    worker_processes: int = 0,
    reasons: bool = False,
) -> dict[str, Any]:
    """Settings by name, or with reasons their value and reason."""
    machine = Machine(
        memory_mb, cores, storage, workload, max_connections, wal_disk_gb, memory_limit_mb, worker_processes
    )
    faults = machine.faults()
    if faults:
        raise AnsibleFilterError(f"postgresql_tuning: {'; '.join(faults)}")
    found = tune(machine)
    return found if reasons else {name: setting["value"] for name, setting in found.items()}


class FilterModule:
    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        return {"postgresql_tuning": postgresql_tuning}
