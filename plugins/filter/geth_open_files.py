# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

LEAST = 16384
MOST = 131072


def geth_open_files(memory_mb: Any) -> int:
    """One open file for each MiB of memory, as a power of two."""
    if isinstance(memory_mb, bool) or not isinstance(memory_mb, int) or memory_mb <= 0:
        raise AnsibleFilterError(f"geth_open_files wants the MiB of memory of a host, not {memory_mb!r}")
    return max(LEAST, min(MOST, 1 << (memory_mb - 1).bit_length()))


class FilterModule:
    def filters(self) -> dict[str, Callable[..., int]]:
        return {"geth_open_files": geth_open_files}
