# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.chainops.infra.plugins.module_utils.hardware.verdict import check_profile


def hardware_profile_faults(profiles: Any) -> list[str]:
    """What is wrong with hardware profiles, one sentence each."""
    faults = []
    for name, profile in profiles.items():
        if isinstance(profile, dict):
            faults += check_profile(name, profile)
        else:
            faults.append(f"profile {name} = {profile!r}: must be a dictionary")
    return faults


class FilterModule:
    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"hardware_profile_faults": hardware_profile_faults}
