# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A topology that is wished for, from a task's options or from the file that the role of the Sentinels leaves."""

from __future__ import annotations

from typing import Any

from .bring import TopologyError, Wish
from .resp import Access, Node, read_password, tls_context
from .topology import Host


def hosts_of(entries: list[dict[str, Any]]) -> list[Host]:
    return [Host(entry["name"], Node(entry["address"], entry["port"])) for entry in entries]


def wish_of(given: dict[str, Any]) -> Wish:
    servers, sentinels = hosts_of(given["servers"]), hosts_of(given["sentinels"])
    if given["founding"] not in {host.name for host in servers}:
        raise TopologyError(f"founding = {given['founding']} is none of the servers")
    if not len(sentinels) // 2 < given["quorum"] <= len(sentinels):
        raise TopologyError(f"quorum = {given['quorum']}: must be more than half of {len(sentinels)} Sentinels")
    context = tls_context(given["ca"], given.get("certificate") or "", given.get("key") or "")
    password = read_password(given["password_file"])
    return Wish(
        watched=given["watched"],
        servers=servers,
        sentinels=sentinels,
        founding=given["founding"],
        quorum=given["quorum"],
        settings={name: str(value) for name, value in given["settings"].items()},
        server_access=Access(given["user"], password, context),
        sentinel_access=Access(given["sentinel_user"], read_password(given["sentinel_password_file"]), context),
        auth=(given["user"], password),
        timeout=float(given.get("timeout", 60)),
        patience=float(given.get("patience", 20)),
    )
