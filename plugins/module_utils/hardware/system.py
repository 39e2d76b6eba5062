# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who made the machine, and whether it is one: a container or a virtual machine hides the hardware below it."""

from __future__ import annotations

import re
import typing as t

from .reading import Reading, Unreadable, attempt, found
from .tree import Tree

DMI = "/sys/class/dmi/id"
CONTAINER = "/run/systemd/container"


def collect(tree: Tree) -> dict[str, Reading]:
    return {
        "manufacturer": attempt(lambda: tree.text(f"{DMI}/sys_vendor"), f"{DMI}/sys_vendor"),
        "product": attempt(lambda: tree.text(f"{DMI}/product_name"), f"{DMI}/product_name"),
        "firmware": attempt(lambda: tree.text(f"{DMI}/bios_version"), f"{DMI}/bios_version"),
        "kernel": attempt(lambda: tree.text("/proc/sys/kernel/osrelease"), "/proc/sys/kernel/osrelease"),
        "container": container(tree),
        "virtual": virtual(tree),
    }


def container(tree: Tree) -> Reading:
    """The container manager that started this system ("systemd-nspawn"), or "" on a machine."""
    try:
        return found(tree.text(CONTAINER), CONTAINER)
    except Unreadable:
        return found("", CONTAINER)


def virtual(tree: Tree) -> Reading:
    """Whether the processor says that a hypervisor is below."""

    def read() -> bool:
        return bool(re.search(r"^flags\s*:.*\bhypervisor\b", tree.text("/proc/cpuinfo"), re.MULTILINE))

    return attempt(read, "/proc/cpuinfo")


def hidden_by(system: dict[str, t.Any]) -> str:
    """What hides the hardware, in words; "" on a physical machine."""
    if system["container"]["value"]:
        return f"this is a container ({system['container']['value']}), which does not show it"
    return "this is a virtual machine, which does not show it" if system["virtual"]["value"] else ""
