# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.chainops.infra.plugins.plugin_utils.chain_status.model import pairs_of
from ansible_collections.chainops.infra.plugins.plugin_utils.chain_status.page import page


def chain_status_page(
    hosts: list[str],
    hostvars: Mapping[str, Any],
    register: str,
    now: float,
    *,
    title: str = "Ethereum pairs",
    more: str = "",
) -> str:
    """The HTML page."""
    return page(pairs_of(hosts, hostvars, register), float(now), title, more)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., str]]:
        return {"chain_status_page": chain_status_page}
