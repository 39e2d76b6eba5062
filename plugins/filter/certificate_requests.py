# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.chainops.infra.plugins.module_utils.certificates.names import requests_of


def certificate_requests(hosts: list[str], hostvars: Mapping[str, Any], registered: str) -> list[dict[str, Any]]:
    """The requests of these hosts, each with the names that the inventory gives to its host."""
    return requests_of(hosts, hostvars, registered)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., list[dict[str, Any]]]]:
        return {"certificate_requests": certificate_requests}
