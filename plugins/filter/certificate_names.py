# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.chainops.infra.plugins.module_utils.certificates.names import names_of


def certificate_names(host: str, hostvars: Mapping[str, Any]) -> list[str]:
    """What a host is called in its certificate, by the inventory."""
    if host not in hostvars:
        raise AnsibleFilterError(f"certificate_names: {host!r} is no host of the inventory")
    return names_of(host, hostvars[host])


class FilterModule:
    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"certificate_names": certificate_names}
