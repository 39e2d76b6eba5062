# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an inventory says about where a host stands and how it is reached: the site_* variables, and addresses."""

from __future__ import annotations

import ipaddress
import re
import typing as t

from .mistake import Mistake, show
from .spec import Problem, check_value

# In the form of an argument spec; every role may read these.
SITE_OPTIONS: dict[str, dict[str, t.Any]] = {
    "site_address": {"type": "str"},
    "site_fee_recipient": {"type": "str"},
    "site_network": {"type": "str", "choices": ["mainnet", "hoodi", "sepolia"]},
    "site_data_vip": {"type": "str"},
    "site_datacentre_tier": {"type": "int", "choices": [1, 2, 3, 4]},
    "site_name": {"type": "str"},
    "site_rack": {"type": "str"},
    "site_region": {"type": "str"},
    "site_role": {"type": "str", "choices": ["primary", "standby", "reference"]},
    "site_uplinks": {"type": "list", "elements": "str"},
    "site_vip": {"type": "str"},
}
# Addresses that the balancers of a region share: of the RPC service, and of the stores.
SHARED = ("site_vip", "site_data_vip")


def check_place(name: str, value: t.Any) -> list[Problem]:
    """What is wrong with one site_* variable."""
    _value, problems = check_value(name, SITE_OPTIONS[name], value)
    if not problems and name == "site_fee_recipient" and not re.fullmatch(r"0x[0-9a-fA-F]{40}", value):
        problems = [Problem(name, f"= {show(value)}: must be an address: 0x and 40 hexadecimal digits")]
    if not problems and name in SHARED:
        try:
            ipaddress.ip_address(value)
        except ValueError:
            problems = [Problem(name, f"= {show(value)}: must be an IP address")]
    return problems


def check_addresses(hosts: dict[str, dict[str, t.Any]]) -> list[Mistake]:
    """Two hosts with one address, and a shared address that is a host's own, or that of two regions.

    hosts is {host: its site_* variables and ansible_host, as far as they are set}.
    """
    mistakes = []
    owners: dict[str, list[str]] = {}
    for host, variables in hosts.items():
        name, address = service_address(variables)
        if not name:
            continue
        owners.setdefault(address, []).append(host)
    for address, same in owners.items():
        for host in same if len(same) > 1 else []:
            name, _address = service_address(hosts[host])
            text = f"= {show(address)}: {', '.join(other for other in same if other != host)} has the same address"
            mistakes.append(Mistake(host, "", name, f"{text}; every host needs its own"))
    users: dict[str, set[tuple[str, str]]] = {}
    for variables in hosts.values():
        for name in SHARED:
            if variables.get(name):
                users.setdefault(variables[name], set()).add((variables.get("site_region", ""), name))
    for host, variables in hosts.items():
        for name in SHARED:
            if variables.get(name):
                text = fault_of_shared(variables[name], owners, users[variables[name]])
                mistakes += [Mistake(host, "", name, f"= {show(variables[name])}: {text}")] if text else []
    return mistakes


def fault_of_shared(address: str, owners: dict[str, list[str]], users: set[tuple[str, str]]) -> str:
    """What is wrong with a shared address, given the hosts of each address, and its own regions and variables."""
    regions = sorted({region for region, _name in users})
    if address in owners:
        return f"is the address of {', '.join(owners[address])}; a shared address is one that no host has"
    if len(regions) > 1:
        return f"is that of the regions {', '.join(regions)}; every region needs its own"
    if len(users) > 1:
        return f"is {' and '.join(sorted(name for _region, name in users))}; balancers of another kind need their own"
    return ""


def service_address(variables: dict[str, t.Any]) -> tuple[str, str]:
    """(name of the variable, address) at which other hosts reach this one; ("", "") if the inventory does not say."""
    for name in ("site_address", "ansible_host"):
        if isinstance(variables.get(name), str) and variables.get("ansible_connection") != "local":
            return name, variables[name]
    return "", ""
