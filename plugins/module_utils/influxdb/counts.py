# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Shards of a server, and the number of points in each series of one."""

from __future__ import annotations

import dataclasses
import datetime
import time
from typing import Any

from .client import Client, InfluxError
from .influxql import name
from .objects import rows

# Field by field: how many points of a series have it.
Counts = dict[str, dict[str, int]]
# A shard that was just restored answers with one of these for a moment.
BUSY = ("shard is disabled", "engine is closed")


@dataclasses.dataclass(frozen=True)
class Shard:
    """A span of time of one policy, in files of its own; the times are nanoseconds."""

    number: int
    database: str
    policy: str
    start: int
    end: int


def shards(client: Client) -> list[Shard]:
    (answer,) = client.query("SHOW SHARDS")
    return [
        Shard(
            int(row["id"]),
            str(row["database"]),
            str(row["retention_policy"]),
            nanoseconds(row["start_time"]),
            nanoseconds(row["end_time"]),
        )
        for row in rows(answer)
    ]


def nanoseconds(text: str) -> int:
    return int(datetime.datetime.fromisoformat(text).timestamp()) * 1_000_000_000


def series_key(series: dict[str, Any]) -> str:
    """Measurement and tags as in line protocol; a tag that is empty is one that the series does not have."""
    tags = sorted((key, value) for key, value in (series.get("tags") or {}).items() if value != "")
    return ",".join([escaped(str(series["name"])), *(f"{escaped(key)}={escaped(value)}" for key, value in tags)])


def escaped(text: str) -> str:
    for character in ("\\", ",", "=", " "):
        text = text.replace(character, f"\\{character}")
    return text


def points(client: Client, shard: Shard, patience: float = 30) -> Counts:
    """Points of each series and field of a shard's span."""
    statement = (
        f"SELECT count(*) FROM {name(shard.database)}.{name(shard.policy)}./.*/ "
        f"WHERE time >= {shard.start} AND time < {shard.end} GROUP BY *"
    )
    until = time.monotonic() + patience
    while True:
        try:
            return counted(client, statement)
        except InfluxError as error:
            if not any(words in str(error) for words in BUSY) or time.monotonic() > until:
                raise
            time.sleep(0.5)


def counted(client: Client, statement: str) -> Counts:
    found: Counts = {}
    for series in client.stream(statement):
        fields = found.setdefault(series_key(series), {})
        for row in series.get("values") or []:
            for column, value in zip(series["columns"][1:], row[1:], strict=True):
                if value:
                    fields[column.removeprefix("count_")] = int(value)
    return found


def between(before: Counts, after: Counts) -> dict[str, dict[str, list[int]]]:
    """The least and the most that a copy made between two counts can hold."""
    result: dict[str, dict[str, list[int]]] = {}
    for key in sorted(set(before) | set(after)):
        one, other = before.get(key, {}), after.get(key, {})
        result[key] = {
            field: sorted([one.get(field, 0), other.get(field, 0)]) for field in sorted(set(one) | set(other))
        }
    return result


def differences(expected: dict[str, dict[str, list[int]]], found: Counts) -> list[str]:
    """Where a restored shard does not hold what its manifest says, one line for each series and field."""
    wrong = []
    for key in sorted(set(expected) | set(found)):
        limits, have = expected.get(key, {}), found.get(key, {})
        for field in sorted(set(limits) | set(have)):
            least, most = limits.get(field, [0, 0])
            if not least <= have.get(field, 0) <= most:
                wanted = str(least) if least == most else f"{least} to {most}"
                wrong.append(f"{key} {field}: {have.get(field, 0)} points instead of {wanted}")
    return wrong


def total(series: dict[str, dict[str, list[int]]]) -> int:
    """The points of a shard: of each series, those of its most frequent field."""
    return sum(max((limits[1] for limits in fields.values()), default=0) for fields in series.values())
