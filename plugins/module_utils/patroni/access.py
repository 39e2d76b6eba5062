# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who may connect to PostgreSQL: pg_hba.conf and pg_ident.conf from members, mapped users and zones. Pure."""

from __future__ import annotations

import ipaddress
import re
import typing as t

METHODS = ("scram-sha-256", "cert")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$-]*")
# Of a certificate: that of a host may be its whole name.
COMMON_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
# Shorter prefixes reach beyond any one organisation's networks: 10.0.0.0/8 and fd00::/8 are the widest.
WIDEST = {4: 8, 6: 8}
WORDS = {"databases": ("all", "sameuser", "samerole"), "users": ("all",)}


def hba(
    zones: list[dict[str, t.Any]],
    members: list[dict[str, str]],
    replication: str,
    rewind: str,
    mapped: t.Sequence[dict[str, t.Any]] = (),
) -> list[str]:
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
    # Before the zones, one of which may ask everybody for a password, which these have not.
    for user in mapped:
        role = quoted(user["role"], "mapped user")
        lines += [f"hostssl all {role} {network_of(each)} cert map={map_of(user)}" for each in user["networks"]]
    for zone in zones:
        method = zone.get("method", METHODS[0])
        if method not in METHODS:
            raise ValueError(f"zone {zone['name']}: method {method} is none of {', '.join(METHODS)}")
        databases = names(zone, "databases")
        users = names(zone, "users")
        lines += [f"hostssl {databases} {users} {network_of(each)} {method}" for each in zone["networks"]]
    return lines


def ident(
    members: list[dict[str, str]], replication: str, rewind: str, mapped: t.Sequence[dict[str, t.Any]] = ()
) -> list[str]:
    """Certificates whose common name is a member's or a mapped user's; and, over the socket, the user of Patroni."""
    lines = [f"members {quoted(member['name'])} {user}" for member in members for user in (replication, rewind)]
    lines.append(f"local postgres {replication}")
    for user in mapped:
        role = quoted(user["role"], "mapped user")
        lines += [f"{map_of(user)} {common_name(each)} {role}" for each in user["certificates"]]
    return lines


def map_of(user: dict[str, t.Any]) -> str:
    """Each has a map of its own, which is none of the members'."""
    return f"role-{user['role']}"


def faults(zones: list[dict[str, t.Any]], any_network: bool, mapped: t.Sequence[dict[str, t.Any]] = ()) -> list[str]:
    """What is wrong with the networks of zones and mapped users, one sentence each."""
    given = [(f"postgresql_zones: {zone['name']}", text) for zone in zones for text in zone["networks"]]
    given += [(f"postgresql_mapped_users: {user['role']}", text) for user in mapped for text in user["networks"]]
    found = []
    for where, text in given:
        try:
            network = ipaddress.ip_network(text, strict=True)
        except ValueError as error:
            found.append(f"{where}: {error}; write 10.87.1.0/24 and not 10.87.1.5/24")
            continue
        if network.prefixlen < WIDEST[network.version] and not any_network:
            found.append(
                f"{where}: {text} is everywhere, or nearly: name the clients' networks, "
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


def common_name(name: str) -> str:
    """In quotes as well; one that began with a slash would be an expression."""
    if not COMMON_NAME.fullmatch(name):
        raise ValueError(f"certificate: {name!r} must be letters, digits, '_', '.' and '-'")
    return f'"{name}"'
