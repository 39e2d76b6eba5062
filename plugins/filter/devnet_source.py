# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError


def devnet_source(read: Mapping[str, Mapping[str, Any]], members: list[str], home: str) -> str:
    """The host to take a lab chain's genesis from, or to make it on."""
    digests: dict[str, list[str]] = {}
    for host, result in read.items():
        if result.get("present"):
            digests.setdefault(result["digest"], []).append(host)
    if len(digests) > 1:
        held = "; ".join(f"{', '.join(hosts)} {digest[:12]}" for digest, hosts in digests.items())
        raise AnsibleFilterError(
            f"the hosts hold the genesis of different chains ({held}): remove the directory of the genesis and the "
            "clients' data on those that are to join the others"
        )
    if digests:
        holders = next(iter(digests.values()))
        return home if home in holders else holders[0]
    unread = [host for host in members if host not in read]
    if unread:
        raise AnsibleFilterError(
            f"no host of this run has the chain's genesis, and {', '.join(unread)} cannot be asked: a new one would "
            "begin a second chain if they have it. Run without --limit, with all of them reachable"
        )
    return home


class FilterModule:
    def filters(self) -> dict[str, Callable[..., str]]:
        return {"devnet_source": devnet_source}
