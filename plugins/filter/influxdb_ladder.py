# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.chainops.infra.plugins.module_utils.influxdb import ladder
from ansible_collections.chainops.infra.plugins.module_utils.influxdb.influxql import QueryError


def influxdb_ladder(ladders: Any) -> list[dict[str, Any]]:
    """Databases with the policies and queries of their ladders."""
    try:
        return ladder.databases(ladders)
    except QueryError as error:
        raise AnsibleFilterError(f"influxdb_ladder: {error}") from None


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"influxdb_ladder": influxdb_ladder}
