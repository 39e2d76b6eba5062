# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who may connect to PostgreSQL: pg_hba.conf and pg_ident.conf from members and zones. Pure."""

from __future__ import annotations

import ipaddress
import re
import typing as t

METHODS = ("scram-sha-256", "cert")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$-]*")
# Shorter prefixes reach beyond any one organisation's networks: 10.0.0.0/8 and fd00::/8 are the widest.
WIDEST = {4: 8, 6: 8}
WORDS = {"databases": ("all", "sameuser", "samerole"), "users": ("all",)}


def hba(zones: list[dict[str, t.Any]], members: list[dict[str, str]], replication: str, rewind: str) -> list[str]:
    """The lines, in the order in which PostgreSQL reads them: the first that fits decides."""
    lines = [
        "local all all peer",
        f"local replication {replication} peer map=local",
    ]
    for member in members:
        network = single(member["address"])
        lines.append(f"hostssl replication {replication} {network} cert map=members")
        lines.append(f"hostssl postgres {rewind} {network} cert map=members")
    # These two are for members alone, whatever a zone says of "all".
    for each in ("all", "replication"):
        lines.append(f"host {each} {replication},{rewind} all reject")
    for zone in zones:
        method = zone.get("method", METHODS[0])
        if method not in METHODS:
            raise ValueError(f"zone {zone['name']}: method {method} is none of {', '.join(METHODS)}")
        databases = names(zone, "databases")
        users = names(zone, "users")
        lines += [f"hostssl {databases} {users} {network_of(each)} {method}" for each in zone["networks"]]
    return lines


def ident(members: list[dict[str, str]], replication: str, rewind: str) -> list[str]:
    """Certificates whose common name is a member's; and, over the socket, the user that Patroni runs as."""
    lines = [f"members {quoted(member['name'])} {user}" for member in members for user in (replication, rewind)]
    return [*lines, f"local postgres {replication}"]


def faults(zones: list[dict[str, t.Any]], any_network: bool) -> list[str]:
    """What is wrong with the zones' networks, one sentence each."""
    found = []
    for zone in zones:
        for text in zone["networks"]:
            try:
                network = ipaddress.ip_network(text, strict=True)
            except ValueError as error:
                found.append(f"postgresql_zones: {zone['name']}: {error}; write 10.87.1.0/24 and not 10.87.1.5/24")
                continue
            if network.prefixlen < WIDEST[network.version] and not any_network:
                found.append(
                    f"postgresql_zones: {zone['name']}: {text} is everywhere, or nearly: name the clients' networks, "
                    "or set postgresql_allow_any_network to true on hosts that a firewall guards"
                )
    return found


def single(address: str) -> str:
    return str(ipaddress.ip_network(ipaddress.ip_address(address)))


def network_of(text: str) -> str:
    return str(ipaddress.ip_network(text, strict=True))


def names(zone: dict[str, t.Any], key: str) -> str:
    found = zone.get(key) or ["all"]
    return ",".join(name if name in WORDS[key] else quoted(name, f"zone {zone['name']}: {key}") for name in found)


def quoted(name: str, where: str = "member") -> str:
    """In quotes, so that no name is taken for a keyword or an expression."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{where}: {name!r} must be letters, digits, '_', '$' and '-'")
    return f'"{name}"'
