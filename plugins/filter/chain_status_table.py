# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.chainops.infra.plugins.plugin_utils.chain_status.model import pairs_of
from ansible_collections.chainops.infra.plugins.plugin_utils.chain_status.table import table


def chain_status_table(hosts: list[str], hostvars: Mapping[str, Any], register: str) -> list[str]:
    """The lines of the table."""
    return table(pairs_of(hosts, hostvars, register))


class FilterModule:
    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"chain_status_table": chain_status_table}
