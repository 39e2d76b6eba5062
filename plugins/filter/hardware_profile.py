# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.chainops.infra.plugins.module_utils.hardware.verdict import strictest


def hardware_profile(profiles: Any, classes: list[str], overrides: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a host of these classes needs: the higher value of each key, then the host's own."""
    missing = [name for name in classes if name not in profiles]
    if missing:
        raise AnsibleFilterError(f"there is no hardware profile {', '.join(missing)}: known are {', '.join(profiles)}")
    return {**strictest([profiles[name] or {} for name in classes]), **(overrides or {})}


class FilterModule:
    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        return {"hardware_profile": hardware_profile}
