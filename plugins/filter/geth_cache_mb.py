# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

STEP = 256
LEAST = 512
MOST = 16384


def geth_cache_mb(memory_mb: Any) -> int:
    """An eighth of the memory in whole steps, within what geth makes use of."""
    if isinstance(memory_mb, bool) or not isinstance(memory_mb, int) or memory_mb <= 0:
        raise AnsibleFilterError(f"geth_cache_mb wants the MiB of memory of a host, not {memory_mb!r}")
    return max(LEAST, min(MOST, memory_mb // 8 // STEP * STEP))


class FilterModule:
    def filters(self) -> dict[str, Callable[..., int]]:
        return {"geth_cache_mb": geth_cache_mb}
