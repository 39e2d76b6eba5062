# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.chainops.infra.plugins.filter.seeded_node_key import seeded_node_key
from ansible_collections.chainops.infra.plugins.module_utils.chain import peerid


def seeded_peers(
    hosts: list[str], hostvars: Mapping[str, Any], seed: str, client: str, port: int, *, form: str = "enode"
) -> list[str]:
    """The peer-to-peer addresses of these hosts, whose keys come from the seed; in the order of their names."""
    make = {"enode": peerid.enode, "multiaddr": peerid.multiaddr}.get(form)
    if not make:
        raise AnsibleFilterError(f"seeded_peers knows the forms enode and multiaddr, not {form!r}")
    peers = []
    for host in sorted(hosts):
        known = hostvars.get(host, {})
        address = known.get("site_address") or known.get("ansible_host") or host
        peers.append(make(seeded_node_key(host, seed, client), address, int(port)))
    return peers


class FilterModule:
    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"seeded_peers": seeded_peers}
