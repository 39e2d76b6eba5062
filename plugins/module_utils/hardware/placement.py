# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a primary and its standby stand, from the inventory alone: one event must not take both. Pure.

A host is a dictionary with name, group_names, site_role, site_region, site_rack, site_uplinks and site_datacentre_tier.
Racks and uplinks are compared by name over the whole site, so both have names of their own ("east-r07", not "r07").
"""

from __future__ import annotations

import typing as t

from .verdict import OK, SHORT, UNREAD, Line

INVENTORY = "inventory"
GROUP = "ethereum_serving"


def placement(hosts: list[dict[str, t.Any]], primary_tier: int, group: str = GROUP) -> list[tuple[str, Line]]:
    """(host, line) for every requirement; each pair of a primary and a standby is compared once, on the standby."""
    chosen = [host for host in hosts if group in host.get("group_names", [])]
    primaries = [host for host in chosen if host.get("site_role") == "primary"]
    standbys = [host for host in chosen if host.get("site_role") == "standby"]
    lines = [(host["name"], role(host)) for host in chosen if host not in primaries + standbys]
    for primary in primaries:
        lines.append((primary["name"], tier(primary, primary_tier)))
        if not standbys:
            lines.append((primary["name"], no_standby(group)))
    for standby in standbys:
        for primary in primaries:
            lines.append((standby["name"], differs(standby, primary, "site_region", "region")))
            lines.append((standby["name"], differs(standby, primary, "site_rack", "rack")))
            lines.append((standby["name"], uplinks(standby, primary)))
    return lines


def faults(hosts: list[dict[str, t.Any]], primary_tier: int, group: str = GROUP) -> list[str]:
    """What is wrong with the placement, as sentences; empty if all is well."""
    return [
        f"{name}: {line.item}: wanted {line.wanted}, {line.found} ({line.read_from})"
        for name, line in placement(hosts, primary_tier, group)
        if line.state != OK
    ]


def role(host: dict[str, t.Any]) -> Line:
    found = host.get("site_role") or not_set("site_role", host)
    return Line("role of the host", "primary or standby", str(found), f"{INVENTORY}: site_role", SHORT)


def no_standby(group: str) -> Line:
    return Line("standby", "one or more", "none", f"{INVENTORY}: site_role in group {group}", SHORT)


def tier(host: dict[str, t.Any], wanted: int) -> Line:
    item, words = "data centre of the primary", f"tier {wanted} or higher"
    source = f"{INVENTORY}: site_datacentre_tier"
    value = host.get("site_datacentre_tier")
    if not isinstance(value, int) or isinstance(value, bool):
        return Line(item, words, not_set("site_datacentre_tier", host), source, UNREAD)
    return Line(item, words, f"tier {value}", source, OK if value >= wanted else SHORT)


def differs(standby: dict[str, t.Any], primary: dict[str, t.Any], variable: str, what: str) -> Line:
    item, words = f"{what} of the standby", f"another than that of {primary['name']}"
    source = f"{INVENTORY}: {variable}"
    for host in (primary, standby):
        if not host.get(variable):
            return Line(item, words, not_set(variable, host), source, UNREAD)
    same = str(standby[variable]) == str(primary[variable])
    found = f"{standby[variable]} on both" if same else f"{standby[variable]} and {primary[variable]}"
    return Line(item, words, found, source, SHORT if same else OK)


def uplinks(standby: dict[str, t.Any], primary: dict[str, t.Any]) -> Line:
    item, words = "uplinks of the standby", f"none of those of {primary['name']}"
    source = f"{INVENTORY}: site_uplinks"
    for host in (primary, standby):
        if not host.get("site_uplinks"):
            return Line(item, words, not_set("site_uplinks", host), source, UNREAD)
    own = [str(each) for each in standby["site_uplinks"]]
    shared = [each for each in own if each in [str(other) for other in primary["site_uplinks"]]]
    found = (
        f"both use {', '.join(shared)}"
        if shared
        else f"{', '.join(own)} and {', '.join(map(str, primary['site_uplinks']))}"
    )
    return Line(item, words, found, source, SHORT if shared else OK)


def not_set(variable: str, host: dict[str, t.Any]) -> str:
    return f"{variable} of {host['name']} is not set"
