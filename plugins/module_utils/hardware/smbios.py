# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The firmware's description of the machine: the structures of SMBIOS that say something about its hardware.

Offsets are those of the System Management BIOS Reference Specification (DMTF DSP0134), section 7. A structure may be
shorter than the newest version of the specification has it: every field is read only where it lies inside.
"""

from __future__ import annotations

import struct
import typing as t
from dataclasses import dataclass

TABLE = "/sys/firmware/dmi/tables/DMI"

PROCESSOR, MEMORY_ARRAY, MEMORY_DEVICE, POWER_SUPPLY, END = 4, 16, 17, 39, 127

ERROR_CORRECTION = {3: "none", 4: "parity", 5: "single-bit ECC", 6: "multi-bit ECC", 7: "CRC"}
MEMORY_TYPES = {0x18: "DDR3", 0x1A: "DDR4", 0x1E: "LPDDR4", 0x22: "DDR5", 0x23: "LPDDR5"}
SUPPLY_STATUS = {1: "other", 2: "unknown", 3: "ok", 4: "non-critical", 5: "critical"}


@dataclass
class Structure:
    """One structure: its formatted area and the strings behind it."""

    kind: int
    data: bytes
    strings: list[str]

    def byte(self, offset: int) -> int | None:
        return self.data[offset] if offset < len(self.data) else None

    def word(self, offset: int) -> int | None:
        return struct.unpack_from("<H", self.data, offset)[0] if offset + 2 <= len(self.data) else None

    def double(self, offset: int) -> int | None:
        return struct.unpack_from("<I", self.data, offset)[0] if offset + 4 <= len(self.data) else None

    def string(self, offset: int) -> str:
        number = self.byte(offset) or 0
        return self.strings[number - 1].strip() if 0 < number <= len(self.strings) else ""


def parse(table: bytes) -> list[Structure]:
    """All structures up to the end marker. ValueError if the table is cut short in the middle of one."""
    structures = []
    at = 0
    while at + 4 <= len(table):
        kind, length = table[at], table[at + 1]
        if length < 4 or at + length > len(table):
            raise ValueError(f"SMBIOS structure of type {kind} at {at} has the impossible length {length}")
        end = table.find(b"\0\0", at + length)
        if end < 0:
            raise ValueError(f"SMBIOS structure of type {kind} at {at} has no end")
        strings = [item.decode("latin-1") for item in table[at + length : end].split(b"\0") if item]
        structures.append(Structure(kind, table[at : at + length], strings))
        if kind == END:
            break
        at = end + 2
    return structures


def processors(structures: list[Structure]) -> list[dict[str, t.Any]]:
    """Populated sockets (type 4)."""
    result = []
    for item in structures:
        status = item.byte(0x18) or 0
        if item.kind == PROCESSOR and status & 0x40:
            result.append(
                {
                    "socket": item.string(0x04),
                    "model": item.string(0x10),
                    "cores": wide(item, 0x23, 0x2A),
                    "cores_enabled": wide(item, 0x24, 0x2C),
                    "threads": wide(item, 0x25, 0x2E),
                }
            )
    return result


def wide(item: Structure, small: int, large: int) -> int | None:
    """A count that has a byte (255: look at the word) and since version 3.0 a word. 0 is unknown."""
    value = item.byte(small)
    if value == 0xFF and item.word(large) is not None:
        value = item.word(large)
    return value or None


def memory_modules(structures: list[Structure]) -> list[dict[str, t.Any]]:
    """Populated memory slots (type 17); size_bytes is None where the firmware does not know it."""
    result = []
    for item in structures:
        size = item.word(0x0C) if item.kind == MEMORY_DEVICE else 0
        if not size:
            continue
        total, width = item.word(0x08), item.word(0x0A)
        known = total not in (None, 0, 0xFFFF) and width not in (None, 0, 0xFFFF)
        result.append(
            {
                "slot": item.string(0x10),
                "size_bytes": module_size(item, size),
                "type": MEMORY_TYPES.get(item.byte(0x12) or 0, "other"),
                "speed_mts": item.word(0x15) or None,
                "manufacturer": item.string(0x17),
                "ecc_bits": (total or 0) - (width or 0) if known else None,
            }
        )
    return result


def module_size(item: Structure, size: int) -> int | None:
    if size == 0xFFFF:
        return None
    if size == 0x7FFF:
        extended = item.double(0x1C)
        return (extended & 0x7FFFFFFF) << 20 if extended else None
    return (size & 0x7FFF) << 10 if size & 0x8000 else size << 20


def error_correction(structures: list[Structure]) -> list[str]:
    """How each array of system memory corrects errors (type 16, use 3)."""
    return [
        ERROR_CORRECTION.get(item.byte(0x06) or 0, "unknown")
        for item in structures
        if item.kind == MEMORY_ARRAY and item.byte(0x05) == 3
    ]


def power_supplies(structures: list[Structure]) -> list[dict[str, t.Any]]:
    """Power supplies (type 39) with what the firmware saw at boot; an empty bay has present: false."""
    result = []
    for item in structures:
        if item.kind != POWER_SUPPLY:
            continue
        flags, watts = item.word(0x0E) or 0, item.word(0x0C)
        result.append(
            {
                "name": item.string(0x06) or item.string(0x05),
                "location": item.string(0x05),
                "watts": watts if watts not in (None, 0, 0x8000, 0xFFFF) else None,
                "hot_replaceable": bool(flags & 0x01),
                "present": bool(flags & 0x02),
                "plugged_in": not flags & 0x04,
                "status": SUPPLY_STATUS.get((flags >> 7) & 0x07, "unknown"),
            }
        )
    return result
