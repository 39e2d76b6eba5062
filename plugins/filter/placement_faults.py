# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.chainops.infra.plugins.module_utils.hardware import placement


def placement_faults(hosts: Any, primary_tier: int = 3, group: str = placement.GROUP) -> list[str]:
    """What is wrong with where primaries and standbys stand, one sentence each."""
    if not isinstance(hosts, list) or not all(isinstance(host, dict) for host in hosts):
        raise AnsibleFilterError(f"placement_faults wants a list of hosts (dictionaries), not {type(hosts).__name__}")
    return placement.faults(hosts, primary_tier, group)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"placement_faults": placement_faults}
