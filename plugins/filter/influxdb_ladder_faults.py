# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.chainops.infra.plugins.module_utils.influxdb import ladder


def influxdb_ladder_faults(ladders: Any) -> list[str]:
    """What is wrong with a list of ladders; empty for good ones."""
    return ladder.faults(ladders)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"influxdb_ladder_faults": influxdb_ladder_faults}
