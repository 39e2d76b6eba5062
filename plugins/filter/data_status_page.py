# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.chainops.infra.plugins.plugin_utils.chain_status.model import clock
from ansible_collections.chainops.infra.plugins.plugin_utils.chain_status.page import document
from ansible_collections.chainops.infra.plugins.plugin_utils.data_status.page import part
from ansible_collections.chainops.infra.plugins.plugin_utils.data_status.report import report


def data_status_page(
    groups: Mapping[str, Any], hostvars: Mapping[str, Any], register: str, now: float, whole: bool = True
) -> str:
    """The report as HTML."""
    found = part(report(groups, hostvars, register, float(now)))
    if not whole:
        return found
    looked = f'<p class="soft">Looked at {clock(float(now))}.</p>'
    return document("Data layer", (found or "<h1>Data layer</h1><p>No host of it was asked.</p>") + looked)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., str]]:
        return {"data_status_page": data_status_page}
