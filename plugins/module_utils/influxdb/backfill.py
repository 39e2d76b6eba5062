# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A continuous query over the past: the same SELECT, one bounded window after the other.

A window is computed and compared with what its target holds before anything is written, so a second run writes nothing,
and a run that is killed goes on where it was.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Iterator
from typing import Any

from .client import Client
from .influxql import QueryError, name, parse_duration, scan, tokens

Points = dict[tuple[str, tuple[tuple[str, str], ...]], dict[int, dict[str, Any]]]
# Buckets of one window: what a window costs the server is bounded by this, times the series.
BUCKETS = 1000


@dataclasses.dataclass(frozen=True)
class Query:
    """SELECT select INTO target FROM source [WHERE condition] GROUP BY grouping, of which time() has this interval."""

    select: str
    target: str
    source: str
    condition: str
    grouping: str
    interval: int
    offset: int

    def over(self, start: int, end: int, into: bool) -> str:
        target = f" INTO {self.target}" if into else ""
        condition = f"({self.condition}) AND " if self.condition else ""
        when = f"{condition}time >= {start} AND time < {end}"
        # What the server takes with INTO; without it, count() would give a 0 for each empty bucket.
        fill = "" if ("name", "fill") in tokens(self.grouping) else " fill(none)"
        return f"SELECT {self.select}{target} FROM {self.source} WHERE {when} GROUP BY {self.grouping}{fill}"


def parse(text: str) -> Query:
    """The query of a continuous query, or that statement itself."""
    words = scan(text)
    begin = next((at for kind, value, at in words if (kind, value) == ("keyword", "BEGIN")), None)
    if begin is not None:
        end = next(at for kind, value, at in reversed(words) if (kind, value) == ("keyword", "END"))
        text = text[begin + len("BEGIN") : end].strip()
        words = scan(text)
    depth, places = 0, {}
    for kind, value, at in words:
        if kind == "symbol" and value in "()":
            depth += 1 if value == "(" else -1
        elif kind == "keyword" and depth == 0 and value not in places:
            places[value] = at
    for word in ("SELECT", "INTO", "FROM", "GROUP"):
        if word not in places:
            raise QueryError(f"the query has no {word}: {text}")
    if unknown := {"LIMIT", "OFFSET", "SLIMIT", "SOFFSET", "ORDER", "TZ"} & set(places):
        raise QueryError(f"a query with {', '.join(sorted(unknown))} cannot be computed window by window: {text}")
    where, group = places.get("WHERE", places["GROUP"]), places["GROUP"]
    by = next(at for kind, value, at in words if (kind, value) == ("keyword", "BY") and at > group)
    interval, offset = interval_of(text, by)
    return Query(
        text[places["SELECT"] + 6 : places["INTO"]].strip(),
        text[places["INTO"] + 4 : places["FROM"]].strip(),
        text[places["FROM"] + 4 : where].strip(),
        text[where + 5 : group].strip() if "WHERE" in places else "",
        text[by + 2 :].strip().rstrip(";"),
        interval,
        offset,
    )


def interval_of(text: str, by: int) -> tuple[int, int]:
    """What stands in time(…) of GROUP BY."""
    words = [(kind, value) for kind, value, at in scan(text) if at > by]
    for index, word in enumerate(words):
        if word == ("name", "time") and words[index + 1 : index + 2] == [("symbol", "(")]:
            inside = [value for kind, value in words[index + 2 : index + 5] if kind == "duration"]
            if inside and int(inside[0]) > 0:
                return int(inside[0]), int(inside[1]) if len(inside) > 1 else 0
    raise QueryError(f"the query has no GROUP BY time(…): {text}")


def moment(text: str, now: int) -> int:
    """Nanoseconds of a time in RFC 3339, of now, or of a duration before now."""
    if text == "now":
        return now
    try:
        return now - parse_duration(text)
    except QueryError:
        pass
    try:
        when = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise QueryError(f"{text!r} is no time such as 2026-01-31T00:00:00Z, 7d (before now) or now") from None
    if when.tzinfo is None:
        raise QueryError(f"{text!r} has no time zone: end it in Z for UTC")
    return int(when.timestamp()) * 1_000_000_000


def windows(query: Query, start: int, end: int, chunk: int = 0) -> Iterator[tuple[int, int]]:
    """Whole buckets from start to end; the one that holds the end is not over yet, and the server's own to compute."""
    step = max(query.interval, (chunk or BUCKETS * query.interval) // query.interval * query.interval)
    first = -(-(start - query.offset) // query.interval) * query.interval + query.offset
    last = (end - query.offset) // query.interval * query.interval + query.offset
    while first < last:
        yield first, min(first + step, last)
        first += step


def computed(client: Client, query: Query, start: int, end: int) -> Points:
    """What the window comes to; buckets without a value are left out, as INTO leaves them out."""
    return collect(client, query.over(start, end, into=False), {})


def collect(client: Client, statement: str, points: Points) -> Points:
    for series in client.stream(statement):
        tags = tuple(sorted((key, value) for key, value in (series.get("tags") or {}).items() if value != ""))
        columns = series["columns"][1:]
        for when, *values in series.get("values") or []:
            fields = {column: value for column, value in zip(columns, values, strict=True) if value is not None}
            if fields:
                points.setdefault((str(series["name"]), tags), {}).setdefault(when, {}).update(fields)
    return points


def stored(client: Client, query: Query, wanted: Points, start: int, end: int) -> Points:
    """What the target holds of the measurements that were computed."""
    points: Points = {}
    for measurement in sorted({key[0] for key in wanted}):
        target = query.target.replace(":MEASUREMENT", name(measurement))
        found: Points = {}
        collect(client, f"SELECT * FROM {target} WHERE time >= {start} AND time < {end} GROUP BY *", found)
        for (_name, tags), rows in found.items():
            points[measurement, tags] = rows
    return points


def missing(wanted: Points, have: Points) -> int:
    """How many points of the window the target lacks or holds differently."""
    count = 0
    for key, rows in wanted.items():
        there = have.get(key, {})
        count += sum(1 for when, fields in rows.items() if not fields.items() <= there.get(when, {}).items())
    return count


def run(client: Client, query: Query, spans: Iterable[tuple[int, int]], check: bool) -> dict[str, int]:
    """Every window; what was there already, and what was (or would be) written."""
    result = {"windows": 0, "written_windows": 0, "points": 0, "written_points": 0}
    for begin, until in spans:
        wanted = computed(client, query, begin, until)
        lacking = missing(wanted, stored(client, query, wanted, begin, until)) if wanted else 0
        result["windows"] += 1
        result["points"] += sum(len(rows) for rows in wanted.values())
        if lacking:
            result["written_windows"] += 1
            result["written_points"] += lacking
            if not check:
                client.query(query.over(begin, until, into=True), post=True)
    return result
