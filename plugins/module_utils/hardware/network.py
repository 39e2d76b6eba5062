# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Network ports that are hardware, their links, and the bonds over them. Addresses are left out."""

from __future__ import annotations

import re
import typing as t
from functools import partial

from . import ethtool
from .reading import Reading, Unreadable, attempt, found, unread
from .system import hidden_by
from .tree import Tree

NET = "/sys/class/net"
ETHERNET = 1


def collect(tree: Tree, system: dict[str, Reading]) -> dict[str, Reading]:
    links = attempt(lambda: ports(tree), NET)
    if links["value"] == [] and system["container"]["value"]:
        links = unread(NET, hidden_by(system))
    return {"ports": links, "bonds": attempt(lambda: bonds(tree), f"{NET}/*/bonding")}


def ports(tree: Tree) -> list[dict[str, t.Any]]:
    """Ethernet ports with a device behind them, without wireless ones and those on USB (a BMC's network is one)."""
    result = []
    for name in tree.names(NET):
        path = f"{NET}/{name}"
        if (
            not tree.exists(f"{path}/device")
            or tree.exists(f"{path}/phy80211")
            or tree.number(f"{path}/type") != ETHERNET
        ):
            continue
        device = tree.target(f"{path}/device")
        if "/usb" not in device:
            result.append(port(tree, name, device))
    return result


def port(tree: Tree, name: str, device: str) -> dict[str, t.Any]:
    path = f"{NET}/{name}"
    link = up(tree, name)
    # The last PCI address on the way to the port, without its function: two ports of one card share it.
    cards = re.findall(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}(?=\.[0-9a-f])", device)
    return {
        "name": name,
        "card": cards[-1] if cards else "",
        "driver": attempt(
            lambda: tree.target(f"{path}/device/driver").rsplit("/", maxsplit=1)[-1], f"{path}/device/driver"
        ),
        "link": link,
        "speed_mbps": speed(tree, name, link),
        "fastest_mbps": attempt(lambda: fastest(tree, name), f"ethtool {name}"),
        "bond": tree.target(f"{path}/master").rsplit("/", maxsplit=1)[-1]
        if tree.exists(f"{path}/bonding_slave")
        else "",
    }


def up(tree: Tree, name: str) -> Reading:
    """Whether there is a link. A port that is switched off has no carrier to read: its state says so."""
    state = f"{NET}/{name}/operstate"
    carrier = attempt(lambda: tree.number(f"{NET}/{name}/carrier") == 1, f"{NET}/{name}/carrier")
    if carrier["error"] and tree.exists(state) and tree.text(state) == "down":
        return found(False, state)
    return carrier


def speed(tree: Tree, name: str, link: Reading) -> Reading:
    path = f"{NET}/{name}/speed"
    if link["value"] is False:
        return unread(path, "the link is down")

    def read() -> int:
        value = tree.number(path)
        if value <= 0:
            raise Unreadable(path, f"the driver does not know it (it says {value})")
        return value

    return attempt(read, path)


def fastest(tree: Tree, name: str) -> int:
    if not tree.live:
        raise Unreadable(f"ethtool {name}", "no system call is made for another root than /")
    return ethtool.fastest_supported(name)


def bonds(tree: Tree) -> list[dict[str, t.Any]]:
    result = []
    for name in tree.names(NET):
        path = f"{NET}/{name}/bonding"
        if tree.exists(path):
            result.append(
                {
                    "name": name,
                    "mode": attempt(partial(mode, tree, path), f"{path}/mode"),
                    "members": attempt(partial(members, tree, name), f"/proc/net/bonding/{name}"),
                }
            )
    return result


def mode(tree: Tree, path: str) -> str:
    """The word of a line such as "802.3ad 4"."""
    return tree.text(f"{path}/mode").split()[0]


def members(tree: Tree, bond: str) -> list[dict[str, t.Any]]:
    """The bond's ports as the bonding driver sees them: up only if its own monitoring says so."""
    result = []
    for block in re.split(r"^Slave Interface: ", tree.text(f"/proc/net/bonding/{bond}"), flags=re.MULTILINE)[1:]:
        status = re.search(r"^MII Status: (\S+)", block, re.MULTILINE)
        failures = re.search(r"^Link Failure Count: (\d+)", block, re.MULTILINE)
        result.append(
            {
                "name": block.split("\n", maxsplit=1)[0].strip(),
                "up": status is not None and status[1] == "up",
                "failures": int(failures[1]) if failures else None,
            }
        )
    return result
