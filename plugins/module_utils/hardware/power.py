# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Power supplies: the management controller's sensors, which are current, else what the firmware wrote at boot."""

from __future__ import annotations

import re
import typing as t

from . import smbios
from .reading import Reading, Unreadable, attempt, first
from .smbios import Structure
from .tree import Tree

IPMI = ("ipmitool", "sdr", "type", "Power Supply")
DEVICE = "/dev/ipmi0"
# The states of IPMI's sensor type 08h that mean a supply gives no power, or soon will not.
FAULTS = ("failure", "lost", "out-of-range", "config error")


def collect(tree: Tree, table: list[Structure] | Unreadable) -> dict[str, Reading]:
    return {
        "supplies": first(
            attempt(lambda: by_sensors(tree), " ".join(IPMI)),
            attempt(lambda: by_firmware(table), f"{smbios.TABLE} (SMBIOS type 39)"),
        ),
    }


def by_sensors(tree: Tree) -> list[dict[str, t.Any]]:
    if tree.live and not tree.exists(DEVICE):
        raise Unreadable(DEVICE, "there is no such device (no management controller, or ipmi_devintf is not loaded)")
    supplies = parse_sensors(tree.command(*IPMI))
    if not supplies:
        raise Unreadable(" ".join(IPMI), "the management controller has no such sensor")
    return supplies


def parse_sensors(text: str) -> list[dict[str, t.Any]]:
    """Lines such as "PS2 Status | C9h | ok  | 10.2 | Presence detected, Power Supply AC lost".

    Only sensors that speak of a supply's presence count: others of the type give watts or the redundancy as a whole.
    """
    supplies = []
    for line in text.splitlines():
        columns = [column.strip() for column in line.split("|")]
        if len(columns) != 5:
            continue
        name, _number, status, _entity, states = columns
        present = "presence detected" in states.lower()
        empty = status == "ns" or not states
        if not present and not (empty and re.search(r"status|presence", name, re.IGNORECASE)):
            continue
        faults = [state.strip() for state in states.split(",") if any(fault in state.lower() for fault in FAULTS)]
        supplies.append({"name": name, "present": present, "works": present and not faults, "faults": faults})
    return supplies


def by_firmware(table: list[Structure] | Unreadable) -> list[dict[str, t.Any]]:
    if isinstance(table, Unreadable):
        raise table
    found = smbios.power_supplies(table)
    if not found:
        raise Unreadable(smbios.TABLE, "the firmware describes no power supply")
    return [
        {
            "name": each["name"],
            "present": each["present"],
            "works": each["present"] and each["plugged_in"] and each["status"] not in ("non-critical", "critical"),
            "faults": faults(each),
        }
        for each in found
    ]


def faults(supply: dict[str, t.Any]) -> list[str]:
    if not supply["present"]:
        return []
    wrong = [] if supply["plugged_in"] else ["unplugged"]
    return wrong + ([supply["status"]] if supply["status"] in ("non-critical", "critical") else [])
