# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.chainops.infra.plugins.module_utils.patroni import access


def postgresql_zone_faults(zones: Any, any_network: bool = False, mapped_users: Any = ()) -> list[str]:
    """What is wrong with the networks of the zones and mapped users, one sentence each."""
    try:
        return access.faults(zones, any_network, mapped_users)
    except (KeyError, TypeError) as error:
        raise AnsibleFilterError(f"postgresql_zone_faults wants zones with name and networks: {error!r}") from error


class FilterModule:
    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"postgresql_zone_faults": postgresql_zone_faults}
