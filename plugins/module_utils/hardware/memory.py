# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Memory: what is installed by the firmware's word, what the kernel has of it, and whether errors are corrected."""

from __future__ import annotations

import re
import typing as t

from . import smbios
from .reading import Reading, Unreadable, attempt, first
from .smbios import Structure
from .tree import Tree

MEMINFO = "/proc/meminfo"
EDAC = "/sys/devices/system/edac/mc"
WITH_ECC = ("single-bit ECC", "multi-bit ECC")


def collect(tree: Tree, table: list[Structure] | Unreadable) -> dict[str, Reading]:
    source = f"{smbios.TABLE} (SMBIOS type 17)"
    return {
        "usable_bytes": attempt(lambda: usable(tree), MEMINFO),
        "installed_bytes": attempt(lambda: installed(modules(table)), source),
        "modules": attempt(lambda: modules(table), source),
        "ecc": first(
            attempt(lambda: edac(tree), f"{EDAC}/mc*"),
            attempt(lambda: ecc(table), f"{smbios.TABLE} (SMBIOS types 16 and 17)"),
        ),
        "errors": attempt(lambda: errors(tree), f"{EDAC}/mc*/ce_count, ue_count"),
    }


def usable(tree: Tree) -> int:
    match = re.search(r"^MemTotal:\s*(\d+) kB", tree.text(MEMINFO), re.MULTILINE)
    if not match:
        raise Unreadable(MEMINFO, "it has no line MemTotal")
    return int(match[1]) * 1024


def modules(table: list[Structure] | Unreadable) -> list[dict[str, t.Any]]:
    if isinstance(table, Unreadable):
        raise table
    found = smbios.memory_modules(table)
    if not found:
        raise Unreadable(smbios.TABLE, "the firmware names no memory module")
    return found


def installed(found: list[dict[str, t.Any]]) -> int:
    unknown = [each["slot"] for each in found if each["size_bytes"] is None]
    if unknown:
        raise Unreadable(smbios.TABLE, f"the firmware does not know the size of {', '.join(unknown)}")
    return sum(each["size_bytes"] for each in found)


def controllers(tree: Tree) -> list[str]:
    names = tree.names(EDAC, "mc[0-9]*")
    if not names:
        raise Unreadable(EDAC, "no memory controller reports errors (no ECC memory, or no EDAC driver for it)")
    return names


def edac(tree: Tree) -> bool:
    """A memory controller that reports errors has ECC memory that works; the firmware's word is no proof of that."""
    return bool(controllers(tree))


def ecc(table: list[Structure] | Unreadable) -> bool:
    """The firmware's word: every array corrects bits, or every module is wider than its data."""
    if isinstance(table, Unreadable):
        raise table
    found = modules(table)
    kinds = [kind for kind in smbios.error_correction(table) if kind != "unknown"]
    if kinds:
        return all(kind in WITH_ECC for kind in kinds)
    if any(each["ecc_bits"] is None for each in found):
        raise Unreadable(
            smbios.TABLE, "the firmware says neither how errors are corrected nor how wide the modules are"
        )
    return all(each["ecc_bits"] > 0 for each in found)


def errors(tree: Tree) -> dict[str, int]:
    """Errors since the start: corrected ones are a module on its way out, uncorrected ones lost data."""
    names = controllers(tree)
    return {
        kind: sum(tree.number(f"{EDAC}/{name}/{attribute}") for name in names)
        for kind, attribute in (("corrected", "ce_count"), ("uncorrected", "ue_count"))
    }
