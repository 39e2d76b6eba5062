# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError


def member_endpoints(
    hosts: list[str], hostvars: Mapping[str, Any], variable: str, default: int
) -> list[dict[str, Any]]:
    """Name, address and port of each host, in the order of their names, whichever host works it out."""
    found = []
    for host in sorted(hosts):
        if host not in hostvars:
            raise AnsibleFilterError(f"member_endpoints: {host!r} is no host of the inventory")
        known = hostvars[host]
        address = str(known.get("site_address") or known.get("ansible_host") or host)
        found.append({"name": str(host), "address": address, "port": int(known.get(variable, default))})
    return found


class FilterModule:
    def filters(self) -> dict[str, Callable[..., list[dict[str, Any]]]]:
        return {"member_endpoints": member_endpoints}
