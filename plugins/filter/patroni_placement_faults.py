# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.chainops.infra.plugins.module_utils.patroni import policy

TIMING = ("postgresql_ttl_s", "postgresql_loop_wait_s", "postgresql_retry_timeout_s")


def patroni_placement_faults(hosts: Any) -> list[str]:
    """Why the members cannot keep what the policy promises, one sentence each."""
    if not isinstance(hosts, list) or not all(isinstance(host, dict) for host in hosts):
        raise AnsibleFilterError(
            f"patroni_placement_faults wants a list of hosts (dictionaries), not {type(hosts).__name__}"
        )
    if not hosts:
        return []
    members = [
        {
            "name": host["name"],
            "region": host.get("site_region", ""),
            "failover": host.get("postgresql_failover_priority", 1) > 0,
        }
        for host in hosts
    ]
    first = hosts[0]
    if not all(name in first for name in ("postgresql_rpo", "postgresql_max_lag_mb")):
        return []  # what is wrong with these has been said already
    faults = policy.placement_faults(members, str(first["postgresql_rpo"]), int(first["postgresql_max_lag_mb"]))
    if all(name in first for name in TIMING):
        faults += policy.timing_faults(*(int(first[name]) for name in TIMING))
    return faults


class FilterModule:
    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"patroni_placement_faults": patroni_placement_faults}
