# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Bridges, routes between regions, NAT to the outside and the few kernel settings that a lab needs of its machine."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import ipaddress
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

from .shell import LabError, run, write
from .spec import STATE_ROOT, Spec

SYSCTLS = {
    "net.ipv4.ip_forward": 1,
    # Every host's systemd, dbus and networkd hold some, and all count against the machine's root.
    "fs.inotify.max_user_instances": 1024,
}
SYSCTL_FILE = STATE_ROOT / "sysctl.json"


def table(prefix: str) -> str:
    """The nftables table of a lab."""
    return f"chainops_lab_{prefix}"


def faults_table(prefix: str) -> str:
    """The tables of the faults that are in force in a lab."""
    return f"chainops_faults_{prefix}"


def _alias(prefix: str) -> str:
    return f"chainops-lab {prefix}"


def _group(prefix: str) -> int:
    """The link group that says whose a bridge is: unlike an alias it is set in the same step that makes the link."""
    return zlib.crc32(_alias(prefix).encode()) & 0x7FFFFFFF


def _alias_of(link: str) -> str:
    path = Path("/sys/class/net", link, "ifalias")
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""


def _links() -> dict[str, dict]:
    return {link["ifname"]: link for link in json.loads(run(["ip", "-j", "address"]).stdout)}


def delays_group(prefix: str) -> int:
    """The link group of the bridges that a delay needs (a fault; they are none of the lab's regions)."""
    return zlib.crc32(f"{_alias(prefix)} delays".encode()) & 0x7FFFFFFF


def _own(links: dict[str, dict], *groups: int) -> set[str]:
    wanted = {str(group) for group in groups}
    return {name for name, link in links.items() if link.get("group") in wanted}


def add_bridge(name: str, group: int) -> None:
    """Make a bridge that says from its first moment whose it is.

    With an address of its own: else it would take that of one of its ports and change it when that host dies, under
    all the others that know it as their gateway.
    """
    digits = hashlib.sha256(name.encode()).hexdigest()
    address = ":".join(["02", *(digits[at : at + 2] for at in range(0, 10, 2))])
    own = ["name", name, "address", address, "group", str(group)]
    run(["ip", "link", "add", *own, "type", "bridge", "forward_delay", "0"])


def _ruleset(spec: Spec) -> tuple[str, str]:
    """The lab's rules and the comment that proves that a table holds exactly these."""
    bridges = ", ".join(f'"{spec.bridge(region)}"' for region in sorted(spec.regions))
    rules = f"""
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {spec.network} ip daddr != {spec.network} masquerade
  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    iifname {{ {bridges} }} oifname {{ {bridges} }} accept
    iifname {{ {bridges} }} tcp flags syn tcp option maxseg size set rt mtu
    oifname {{ {bridges} }} ct state established,related accept
    oifname {{ {bridges} }} drop
  }}
"""
    comment = hashlib.sha256(rules.encode()).hexdigest()[:16]
    name = table(spec.prefix)
    return f'table ip {name}\ndelete table ip {name}\ntable ip {name} {{\n  comment "{comment}"\n{rules}}}\n', comment


def check_free(spec: Spec) -> None:
    """Refuse a network or a name that something else on this machine uses."""
    network = ipaddress.IPv4Network(spec.network)
    links = _links()
    own = _own(links, _group(spec.prefix))
    for region in spec.regions:
        name = spec.bridge(region)
        if name in links and name not in own:
            raise LabError(f"an interface {name} exists that is not this lab's; choose another lab_prefix")
    for name, link in links.items():
        for address in link.get("addr_info", []):
            if name in own or address.get("family") != "inet":
                continue
            there = ipaddress.IPv4Network(f"{address['local']}/{address['prefixlen']}", strict=False)
            if there.overlaps(network):
                alias = _alias_of(name)
                whose = f" ({alias.replace('chainops-lab', 'the lab with prefix')})" if alias else ""
                raise LabError(
                    f"lab_network {network} is in use: {name} has {there}{whose}; choose another lab_network"
                )
    for route in json.loads(run(["ip", "-j", "route"]).stdout or "[]"):
        with contextlib.suppress(ValueError):
            there = ipaddress.IPv4Network(route["dst"])
            if there.prefixlen and route.get("dev") not in own and there.overlaps(network):
                raise LabError(f"lab_network {network} is in use: {route['dst']} is routed to {route.get('dev')}")


def state(spec: Spec) -> dict:
    """What of the lab's network is there, in the same shape as :func:`wanted`."""
    links = _links()
    bridges = {}
    for name in sorted(_own(links, _group(spec.prefix))):
        held = [f"{one['local']}/{one['prefixlen']}" for one in links[name]["addr_info"] if one["family"] == "inet"]
        bridges[name] = held[0] if held and "UP" in links[name]["flags"] else "down"
    listed = run(["nft", "list", "table", "ip", table(spec.prefix)], check=False).stdout
    rules = listed.partition('comment "')[2].partition('"')[0] if listed else None
    return {"bridges": bridges, "rules": rules, "sysctl": {name: _sysctl(name) for name in SYSCTLS}}


def wanted(spec: Spec) -> dict:
    """What the lab's network is to be."""
    now = {name: max(value, _sysctl(name)) for name, value in SYSCTLS.items()}
    bridges = {spec.bridge(region): f"{spec.gateway(region)}/24" for region in sorted(spec.regions)}
    return {"bridges": bridges, "rules": _ruleset(spec)[1], "sysctl": now}


def up(spec: Spec) -> None:
    """Make what is missing of the network."""
    _borrow_sysctls(spec)
    have = state(spec)
    for region in spec.regions:
        name, address = spec.bridge(region), f"{spec.gateway(region)}/24"
        if have["bridges"].get(name) == address:
            continue
        if name not in have["bridges"]:
            add_bridge(name, _group(spec.prefix))
        run(["ip", "address", "replace", address, "dev", name])
        run(["ip", "link", "set", name, "alias", _alias(spec.prefix), "up"])
    ruleset, comment = _ruleset(spec)
    if have["rules"] != comment:
        run(["nft", "-f", "-"], stdin=ruleset)


def names(prefix: str) -> list[str]:
    """Every bridge and nftables table of a prefix, whether a record knows of them or not."""
    tables = []
    for line in run(["nft", "list", "tables"]).stdout.splitlines():  # "table FAMILY NAME"
        if line.split()[2] in (table(prefix), faults_table(prefix)):
            tables.append(line)
    return [*sorted(_own(_links(), _group(prefix), delays_group(prefix))), *sorted(tables)]


def down(prefix: str) -> None:
    """Remove every bridge and table of a prefix, and give back the machine's settings if this lab is the last."""
    for name in names(prefix):
        run(["nft", "delete", *name.split()] if " " in name else ["ip", "link", "delete", name])
    _return_sysctls(prefix)


def obstacles() -> list[str]:
    """What on this machine would stop the lab's traffic, as warnings."""
    listed = run(["nft", "list", "chain", "ip", "filter", "FORWARD"], check=False).stdout
    if "policy drop" in listed:
        return [
            "this machine's firewall drops forwarded packets (chain FORWARD of table ip filter, as Docker sets it): "
            "hosts reach neither the outside nor other regions; iptables -P FORWARD ACCEPT lets them"
        ]
    return []


def _sysctl_path(name: str) -> Path:
    return Path("/proc/sys", *name.split("."))


def _sysctl(name: str) -> int:
    return int(_sysctl_path(name).read_text(encoding="ascii"))


def _set_sysctl(name: str, value: int) -> None:
    _sysctl_path(name).write_text(str(value), encoding="ascii")


@contextlib.contextmanager
def _accounts() -> Iterator[dict]:
    """What was borrowed from the machine: the first values found, and the labs that rely on ours."""
    STATE_ROOT.mkdir(exist_ok=True)
    handle = os.open(STATE_ROOT, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        kept = SYSCTL_FILE.read_text(encoding="utf-8") if SYSCTL_FILE.exists() else '{"original": {}, "labs": []}'
        yield json.loads(kept)
    finally:
        os.close(handle)


def _borrow_sysctls(spec: Spec) -> None:
    with _accounts() as accounts:
        for name, value in SYSCTLS.items():
            now = _sysctl(name)
            if now < value:
                accounts["original"].setdefault(name, now)
        if spec.prefix not in accounts["labs"]:
            accounts["labs"].append(spec.prefix)
        write(SYSCTL_FILE, json.dumps(accounts))  # first: a killed run must not forget the machine's own values
        for name, value in SYSCTLS.items():
            if _sysctl(name) < value:
                _set_sysctl(name, value)


def _return_sysctls(prefix: str) -> None:
    if not SYSCTL_FILE.exists():
        return
    with _accounts() as accounts:
        accounts["labs"] = [lab for lab in accounts["labs"] if lab != prefix]
        if accounts["labs"]:
            write(SYSCTL_FILE, json.dumps(accounts))
            return
        for name, value in accounts["original"].items():
            if _sysctl(name) == SYSCTLS.get(name):  # else somebody has changed it since, and it is theirs
                _set_sysctl(name, value)
        SYSCTL_FILE.unlink()
