# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether settings, tuned and overridden, fit the machine."""

from __future__ import annotations

import math
import typing as t

from .sizes import GB, MB, read, written
from .tuning import Machine

# Private memory of a connection that has read some catalogs and nothing more: 3.4 MB, measured on 17.12.
BACKEND = 4 * MB
# The kernel, Patroni and the host's agents.
SPARE = 128 * MB
HUGE_PAGE = 2 * MB
NUMBERS = ("max_connections", "max_worker_processes", "max_parallel_workers", "autovacuum_max_workers")
SIZES = ("shared_buffers", "work_mem", "maintenance_work_mem", "autovacuum_work_mem", "max_wal_size", "min_wal_size")
DEFAULTS = {
    "max_connections": 100,
    "max_worker_processes": 8,
    "max_parallel_workers": 8,
    "autovacuum_max_workers": 3,
    "shared_buffers": "128MB",
    "work_mem": "4MB",
    "maintenance_work_mem": "64MB",
    "autovacuum_work_mem": "-1",
    "max_wal_size": "1GB",
    "min_wal_size": "80MB",
}


def faults(settings: dict[str, t.Any], memory_mb: int, memory_limit_mb: int = 0, wal_disk_gb: float = 0) -> list[str]:
    """One sentence each."""
    known = DEFAULTS | {name: value for name, value in settings.items() if value is not None}
    values: dict[str, int] = {}
    found = []
    for name in (*NUMBERS, *SIZES):
        try:
            values[name] = _number(name, known[name]) if name in NUMBERS else read(name, known[name])
        except ValueError as error:
            found.append(str(error))
    if found:
        return found
    if values["max_parallel_workers"] > values["max_worker_processes"]:
        found.append(
            f"max_parallel_workers = {known['max_parallel_workers']} is more than max_worker_processes = "
            f"{known['max_worker_processes']}, from which they are taken"
        )
    if values["min_wal_size"] > values["max_wal_size"]:
        found.append(f"min_wal_size = {known['min_wal_size']} is more than max_wal_size = {known['max_wal_size']}")
    if wal_disk_gb and values["max_wal_size"] > wal_disk_gb * GB / 2:
        found.append(
            f"max_wal_size = {known['max_wal_size']} is more than half of the {wal_disk_gb:g} GB that hold WAL: a slot "
            "or a repository that does not take WAL would fill them; a fifth is a good value"
        )
    return found + _sum(known, values, Machine(memory_mb, 1, "", "", 0, memory_limit_mb=memory_limit_mb))


def huge_pages(settings: dict[str, t.Any]) -> int:
    """Pages of 2 MB that hold PostgreSQL's shared memory; ValueError where a setting is no size.

    Beside shared_buffers there is 2.2 % for what keeps track of them, WAL's buffers and 50 kB for a connection (by
    shared_memory_size_in_huge_pages of 17.12). With one too few all lie idle, so there is some spare for extensions.
    """
    known = DEFAULTS | {name: value for name, value in settings.items() if value is not None}
    buffers = read("shared_buffers", known["shared_buffers"])
    connections = _number("max_connections", known["max_connections"])
    return math.ceil(buffers * 1.025 / HUGE_PAGE) + 32 + math.ceil(connections / 32)


def _number(name: str, value: t.Any) -> int:
    if isinstance(value, bool) or not str(value).strip().isdigit():
        raise ValueError(f"{name} = {value!r} is no whole number")
    return int(value)


def _sum(known: dict[str, t.Any], values: dict[str, int], machine: Machine) -> list[str]:
    """What is used when every connection and worker sorts once, autovacuum is busy, and one index is made."""
    vacuum = values["autovacuum_work_mem"] if values["autovacuum_work_mem"] >= 0 else values["maintenance_work_mem"]
    connections, workers = values["max_connections"], values["max_parallel_workers"]
    parts = {
        f"shared_buffers = {known['shared_buffers']}": values["shared_buffers"],
        f"work_mem = {known['work_mem']} in each of max_connections = {connections} connections and "
        f"max_parallel_workers = {workers}": values["work_mem"] * (connections + workers),
        f"{written(BACKEND)} that each connection takes": BACKEND * connections,
        f"{values['autovacuum_max_workers']} autovacuum workers": vacuum * values["autovacuum_max_workers"],
        f"maintenance_work_mem = {known['maintenance_work_mem']}": values["maintenance_work_mem"],
        "the rest of the host": SPARE,
    }
    total = sum(parts.values())
    if total <= machine.memory:
        return []
    listed = ", ".join(f"{words}: {kilobytes // MB} MB" for words, kilobytes in parts.items())
    return [
        f"{total // MB} MB may be used at once, more than {machine.memory_words} ({listed}): "
        "lower max_connections (and pool), work_mem or shared_buffers"
    ]
