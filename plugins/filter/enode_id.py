# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.chainops.infra.plugins.module_utils.chain import peerid


def enode_id(private_key: Any, host: str | None = None, port: int = 30303) -> str:
    """Turn a node key into its enode id, or the whole address when a host is given."""
    if not isinstance(private_key, str):
        # the value itself stays out of the message: it may be a key of the wrong type
        raise AnsibleFilterError(f"enode_id wants a string of 64 hexadecimal digits, not {type(private_key).__name__}")
    try:
        return peerid.enode(private_key, host, port) if host else peerid.enode_id(private_key)
    except ValueError as error:
        raise AnsibleFilterError(f"enode_id: {error}") from None


class FilterModule:
    def filters(self) -> dict[str, Callable[..., str]]:
        return {"enode_id": enode_id}
