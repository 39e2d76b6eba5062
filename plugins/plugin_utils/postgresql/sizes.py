# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sizes as PostgreSQL writes them."""

from __future__ import annotations

import re
import typing as t

KB = 1
MB = 1024
GB = 1024 * 1024
UNITS = {"B": 1 / 1024, "kB": KB, "MB": MB, "GB": GB, "TB": 1024 * GB}
# What a number without a unit counts, in kB, for the settings that are looked at here.
BARE = {"shared_buffers": 8 * KB, "wal_buffers": 8 * KB, "max_wal_size": MB, "min_wal_size": MB}


def written(kilobytes: int) -> str:
    """With the largest unit that loses nothing."""
    for unit in ("GB", "MB"):
        if kilobytes % UNITS[unit] == 0:
            return f"{int(kilobytes // UNITS[unit])}{unit}"
    return f"{kilobytes}kB"


def read(name: str, value: t.Any) -> int:
    """kB of a setting's value; ValueError where PostgreSQL would not take it either."""
    match = re.fullmatch(r"\s*(-?\d+(?:\.\d+)?)\s*([kMGT]?B)?\s*", str(value))
    if not match or isinstance(value, bool):
        raise ValueError(f"{name} = {value!r} is no size, as in 512MB")
    unit = UNITS[match[2]] if match[2] else BARE.get(name, KB)
    return int(float(match[1]) * unit)
