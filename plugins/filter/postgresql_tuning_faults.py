# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.chainops.infra.plugins.plugin_utils.postgresql.memory import faults


def postgresql_tuning_faults(
    settings: Any, memory_mb: int, memory_limit_mb: int = 0, wal_disk_gb: float = 0
) -> list[str]:
    """What of PostgreSQL's settings does not fit the machine, one sentence each."""
    if not isinstance(settings, dict):
        raise AnsibleFilterError(f"postgresql_tuning_faults wants settings by name, not {settings!r}")
    return faults(settings, memory_mb, memory_limit_mb, wal_disk_gb)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"postgresql_tuning_faults": postgresql_tuning_faults}
