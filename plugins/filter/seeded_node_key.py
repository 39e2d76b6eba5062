# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError


def seeded_node_key(host: Any, seed: Any, client: str) -> str:
    """The key of a client's node in a lab, from a seed and the host's name."""
    if not (isinstance(host, str) and host and isinstance(seed, str) and seed and client):
        raise AnsibleFilterError("seeded_node_key wants the name of a host, a seed and a client, none of them empty")
    return hashlib.sha256(f"{seed}/{client}/{host}".encode()).hexdigest()


class FilterModule:
    def filters(self) -> dict[str, Callable[..., str]]:
        return {"seeded_node_key": seeded_node_key}
