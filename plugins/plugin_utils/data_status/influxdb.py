# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""InfluxDB: databases, how long their points are kept, how many series they have, and the disk."""

from __future__ import annotations

from .block import Block, size
from .heard import Heard


def block(host: Heard) -> Block:
    made = Block(
        "InfluxDB",
        ("DATABASE", "POLICY", "KEPT", "SHARDS OF", "DEFAULT", "SERIES", "QUERIES"),
        right=frozenset({"SERIES", "QUERIES"}),
    )
    told = host.answers.get("influxdb")
    if told is None:
        made.summary = f"{host.name}: {host.silence or 'no answer'}"
        why = host.refusals.get("influxdb") or host.why or "it was not asked"
        if not host.silence:
            made.note(f"{host.name}: {why}")
        return made
    for name, database in told["databases"].items():
        counted = str(database["series"]), str(len(database["queries"]))
        policies = sorted(database["policies"].items(), key=lambda pair: (not pair[1]["default"], pair[0]))
        for number, (policy, found) in enumerate(policies):
            kept = "for ever" if found["duration"] == "INF" else found["duration"]
            default = "yes" if found["default"] else ""
            # what is the database's own stands beside its first policy
            made.add(str(name), str(policy), kept, found["shard"], default, *(counted if number == 0 else ("", "")))
    series = sum(each["series"] for each in told["databases"].values())
    free, total = told["free_bytes"], told["bytes"]
    made.summary = (
        f"{host.name}: InfluxDB {told['version']}, {series} series, "
        f"{size(total) or 'an unknown size'} on disk, {size(free) or 'unknown'} free"
    )
    return made
