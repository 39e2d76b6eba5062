# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""RAID: controllers with a processor of their own, and the kernel's arrays.

The PCI class "RAID controller" alone proves nothing: Intel's VMD and chipset controllers in their RAID mode have it,
and leave the work to the host. The driver tells them apart.
"""

from __future__ import annotations

import re
import typing as t
from functools import partial

from .reading import Reading, Unreadable, attempt
from .tree import Tree

PCI = "/sys/bus/pci/devices"
RAID_CLASS = 0x0104
HARDWARE_DRIVERS = {
    "megaraid_sas",
    "mpi3mr",
    "smartpqi",
    "hpsa",
    "aacraid",
    "arcmsr",
    "3w-sas",
    "3w-9xxx",
    "ips",
    "pm80xx",
}
HOST_DRIVERS = {"vmd", "ahci", "isci", "nvme"}
MDSTAT = "/proc/mdstat"
BLOCK = "/sys/block"


def collect(tree: Tree) -> dict[str, Reading]:
    return {
        "controllers": attempt(lambda: controllers(tree), f"{PCI}/*/class"),
        "arrays": attempt(lambda: arrays(tree), MDSTAT),
    }


def controllers(tree: Tree) -> list[dict[str, t.Any]]:
    """Devices of the class; hardware is None where the driver is none or an unknown one."""
    result = []
    for address in tree.names(PCI):
        if tree.number(f"{PCI}/{address}/class") >> 8 != RAID_CLASS:
            continue
        driver = driver_of(tree, address)
        hardware = True if driver in HARDWARE_DRIVERS else False if driver in HOST_DRIVERS else None
        result.append(
            {
                "address": address,
                "id": f"{tree.number(f'{PCI}/{address}/vendor'):04x}:{tree.number(f'{PCI}/{address}/device'):04x}",
                "driver": driver,
                "hardware": hardware,
                "volumes": volumes(tree, address) if hardware else [],
            }
        )
    return result


def driver_of(tree: Tree, address: str) -> str:
    try:
        return tree.target(f"{PCI}/{address}/driver").rsplit("/", maxsplit=1)[-1]
    except Unreadable:
        return ""


def volumes(tree: Tree, address: str) -> list[dict[str, t.Any]]:
    """What the controller shows to the host, with the level where its driver tells it (hpsa, smartpqi)."""
    found = []
    for name in tree.names(BLOCK, "sd*"):
        if f"/{address}/" in tree.target(f"{BLOCK}/{name}"):
            path = f"{BLOCK}/{name}/device/raid_level"
            level = attempt(partial(tree.text, path), path)
            found.append({"name": name, "level": level})
    return found


def arrays(tree: Tree) -> list[dict[str, t.Any]]:
    """The kernel's own arrays (md) with members, and how many of those are missing."""
    if not tree.exists(MDSTAT):
        return []  # the kernel has no md driver loaded, so there is no array
    text = tree.text(MDSTAT)
    result = []
    for match in re.finditer(r"^(md\S+) : (\S+) (?:\([\w-]+\) )?(\S+) (.+)\n(.*)$", text + "\n", re.MULTILINE):
        name, state, level, members, detail = match.groups()
        state_of_members = re.search(r"\[([U_]+)\]", detail)
        result.append(
            {
                "name": name,
                "state": state,
                "level": level,
                "members": sorted(re.findall(r"(\S+)\[\d+\]", members)),
                "missing": state_of_members[1].count("_") if state_of_members else 0,
                "lost_bytes": attempt(partial(redundancy, tree, name), f"{BLOCK}/{name}/size"),
            }
        )
    return result


def redundancy(tree: Tree, name: str) -> int:
    """Bytes of its NVMe members that an array spends on redundancy."""
    members = [each for each in tree.names(f"{BLOCK}/{name}/slaves") if each.startswith("nvme")]
    if not members:
        return 0
    raw = sum(tree.number(f"{tree.target(f'{BLOCK}/{name}/slaves/{each}')}/size") for each in members)
    return max(0, raw - tree.number(f"{BLOCK}/{name}/size")) * 512
