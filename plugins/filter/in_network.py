# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError


def in_network(address: Any, network: Any) -> bool:
    """Whether an address is one that a host of the network can have."""
    try:
        found = ipaddress.ip_address(str(address))
        whole = ipaddress.ip_network(str(network), strict=False)
    except ValueError as error:
        raise AnsibleFilterError(f"in_network: {error}") from None
    return found in whole and (
        whole.num_addresses <= 2 or found not in (whole.network_address, whole.broadcast_address)
    )


class FilterModule:
    def filters(self) -> dict[str, Callable[..., bool]]:
        return {"in_network": in_network}
