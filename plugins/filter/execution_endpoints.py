# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def execution_endpoints(hosts: list[str], hostvars: Mapping[str, Any], port: int = 8545) -> list[dict[str, str]]:
    """Where the execution clients of these hosts are asked: at their service addresses."""
    found = []
    for host in hosts:
        known = hostvars[host]
        address = str(known.get("site_address") or known.get("ansible_host") or host)
        where = f"[{address}]" if ":" in address else address
        found.append({"name": str(host), "execution_url": f"http://{where}:{known.get('geth_http_port', port)}"})
    return found


class FilterModule:
    def filters(self) -> dict[str, Callable[..., list[dict[str, str]]]]:
        return {"execution_endpoints": execution_endpoints}
