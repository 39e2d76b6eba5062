# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.chainops.infra.plugins.plugin_utils.data_status.report import report
from ansible_collections.chainops.infra.plugins.plugin_utils.data_status.table import table


def data_status_table(groups: Mapping[str, Any], hostvars: Mapping[str, Any], register: str, now: float) -> list[str]:
    """The lines of the report."""
    return table(report(groups, hostvars, register, float(now)))


class FilterModule:
    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"data_status_table": data_status_table}
