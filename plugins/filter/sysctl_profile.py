# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError


def sysctl_profile(profiles: Any, names: list[str], overrides: dict[str, Any] | None = None) -> dict[str, Any]:
    """Kernel parameters of these profiles, a later one over an earlier, then the overrides; null takes one away."""
    missing = [name for name in names if name not in profiles]
    if missing:
        raise AnsibleFilterError(f"there is no sysctl profile {', '.join(missing)}: known are {', '.join(profiles)}")
    merged: dict[str, Any] = {}
    for each in [profiles[name] for name in names] + [overrides or {}]:
        merged.update(each)
    return {name: value for name, value in merged.items() if value is not None}


class FilterModule:
    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        return {"sysctl_profile": sysctl_profile}
