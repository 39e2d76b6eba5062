# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.chainops.infra.plugins.module_utils.chain import peerid


def libp2p_peer_id(private_key: Any, host: str | None = None, port: int = 13000) -> str:
    """Turn a node key into its libp2p peer id, or the whole address when a host is given."""
    if not isinstance(private_key, str):
        # the value itself stays out of the message: it may be a key of the wrong type
        raise AnsibleFilterError(
            f"libp2p_peer_id wants a string of 64 hexadecimal digits, not {type(private_key).__name__}"
        )
    try:
        return peerid.multiaddr(private_key, host, port) if host else peerid.peer_id(private_key)
    except ValueError as error:
        raise AnsibleFilterError(f"libp2p_peer_id: {error}") from None


class FilterModule:
    def filters(self) -> dict[str, Callable[..., str]]:
        return {"libp2p_peer_id": libp2p_peer_id}
