# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Everything about a host's hardware, in one structure."""

from __future__ import annotations

import typing as t

from . import cpu, memory, network, power, raid, smbios, storage, system
from .reading import Unreadable
from .smbios import Structure
from .tree import Tree


def collect(root: str = "/") -> dict[str, t.Any]:
    """The parts of a host below root; every value is a reading."""
    tree = Tree(root)
    about = system.collect(tree)
    table = firmware_table(tree, about)
    return {
        "system": about,
        "cpu": cpu.collect(tree, table),
        "memory": memory.collect(tree, table),
        "storage": storage.collect(tree),
        "raid": raid.collect(tree),
        "network": network.collect(tree, about),
        "power": power.collect(tree, table),
    }


def firmware_table(tree: Tree, about: dict[str, t.Any]) -> list[Structure] | Unreadable:
    """The firmware's table, or why there is none; it is handed on as a value, since several parts fall back on it."""
    try:
        return smbios.parse(tree.data(smbios.TABLE))
    except Unreadable as error:
        hidden = system.hidden_by(about)
        return Unreadable(error.path, f"{error.reason}; {hidden}" if hidden else error.reason)
    except ValueError as error:
        return Unreadable(smbios.TABLE, str(error))
