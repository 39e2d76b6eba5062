# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.chainops.infra.plugins.module_utils.patroni import policy

NUMBERS = (
    "ttl_s",
    "loop_wait_s",
    "retry_timeout_s",
    "max_lag_mb",
    "primary_start_timeout_s",
    "primary_stop_timeout_s",
    "member_slots_ttl_s",
)


def patroni_common(
    rpo: Any, numbers: Any, parameters: Any, restore_command: str = "", extra: Any = None
) -> dict[str, Any]:
    """The dynamic configuration of a cluster with this objective."""
    if rpo not in policy.POLICIES:
        raise AnsibleFilterError(f"patroni_common: {rpo!r} is no policy: known are {', '.join(policy.POLICIES)}")
    if not isinstance(numbers, dict) or not isinstance(parameters, dict) or not isinstance(extra or {}, dict):
        raise AnsibleFilterError("patroni_common wants dictionaries of numbers, of parameters and of further keys")
    missing = [name for name in NUMBERS if not isinstance(numbers.get(name), int)]
    if missing:
        raise AnsibleFilterError(f"patroni_common wants whole numbers for {', '.join(missing)}")
    return policy.common(
        rpo,
        timings=policy.timing(numbers["ttl_s"], numbers["loop_wait_s"], numbers["retry_timeout_s"]),
        max_lag_mb=numbers["max_lag_mb"],
        primary_start_timeout=numbers["primary_start_timeout_s"],
        primary_stop_timeout=numbers["primary_stop_timeout_s"],
        member_slots_ttl=numbers["member_slots_ttl_s"],
        parameters=parameters,
        restore_command=restore_command,
        extra=extra,
    )


class FilterModule:
    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        return {"patroni_common": patroni_common}
