# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def chain_peers_table(hosts: list[str], hostvars: Mapping[str, Any], register: str) -> list[str]:
    """The peers of each host's clients, one a line; what could not be asked is a line too."""
    lines = []
    for host in hosts:
        known = hostvars[host].get(register)
        if not isinstance(known, Mapping) or known.get("unreachable"):
            lines.append(f"{host}: not reached")
            continue
        answers = known.get("results") or [known]
        for answer in answers:
            client = answer.get("item") or "client"
            if answer.get("failed") or answer.get("peers") is None:
                lines.append(f"{host} {client}: {' '.join(str(answer.get('msg', 'not asked')).split())}")
                continue
            peers = answer["peers"]
            connected = sum(bool(peer.get("connected")) for peer in peers)
            lines.append(f"{host} {client}: {connected} connected, {len(peers)} known")
            lines += [
                f"    {'connected' if peer.get('connected') else 'not there':9}  "
                f"{'listed' if peer.get('listed') else '-':6}  {peer.get('url')}"
                for peer in sorted(peers, key=lambda peer: str(peer.get("url")))
            ]
    return lines


class FilterModule:
    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"chain_peers_table": chain_peers_table}
