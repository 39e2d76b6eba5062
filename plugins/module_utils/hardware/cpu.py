# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Processors. A core counts once, however many threads it runs."""

from __future__ import annotations

import re

from . import smbios
from .reading import Reading, Unreadable, attempt, first
from .smbios import Structure
from .tree import Tree

CPUINFO = "/proc/cpuinfo"
CPUS = "/sys/devices/system/cpu"


def collect(tree: Tree, table: list[Structure] | Unreadable) -> dict[str, Reading]:
    return {
        "model": attempt(lambda: field(tree, "model name"), CPUINFO),
        "flags": attempt(lambda: sorted(field(tree, "flags").split()), CPUINFO),
        "sockets": attempt(
            lambda: len(groups(tree, "physical_package_id")), f"{CPUS}/cpu*/topology/physical_package_id"
        ),
        "cores": cores(tree, table),
        "threads": attempt(lambda: len(online(tree)), f"{CPUS}/cpu*/topology"),
    }


def field(tree: Tree, name: str) -> str:
    match = re.search(rf"^{name}\s*:\s*(.+)$", tree.text(CPUINFO), re.MULTILINE)
    if not match:
        raise Unreadable(CPUINFO, f"it has no line {name!r}")
    return match[1].strip()


def online(tree: Tree) -> list[str]:
    """Threads that are in use; one that is off has no topology."""
    names = [name for name in tree.names(CPUS, "cpu[0-9]*") if tree.exists(f"{CPUS}/{name}/topology")]
    if not names:
        raise Unreadable(f"{CPUS}/cpu*/topology", "no processor shows its topology")
    return names


def groups(tree: Tree, attribute: str) -> set[str]:
    return {tree.text(f"{CPUS}/{name}/topology/{attribute}") for name in online(tree)}


def cores(tree: Tree, table: list[Structure] | Unreadable) -> Reading:
    """Physical cores in use: threads that share a core have the same list of siblings."""
    siblings = "thread_siblings_list"

    def by_firmware() -> int:
        if isinstance(table, Unreadable):
            raise table
        counts = [each["cores_enabled"] or each["cores"] for each in smbios.processors(table)]
        if not counts or None in counts:
            raise Unreadable(smbios.TABLE, "the firmware does not say how many cores the processors have")
        return sum(counts)

    return first(
        attempt(lambda: len(groups(tree, siblings)), f"{CPUS}/cpu*/topology/{siblings}"),
        attempt(by_firmware, f"{smbios.TABLE} (SMBIOS type 4)"),
    )
