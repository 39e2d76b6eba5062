# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""influxdb_backfill: bounded windows, compared before anything is written."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.influxdb import backfill
from ansible_collections.chainops.infra.plugins.module_utils.influxdb.influxql import DAY, HOUR, SECOND, QueryError
from ansible_collections.chainops.infra.plugins.modules import influxdb_backfill

from tests.unit.plugins.modules.fake_influxdb import Asked

MINUTE = 60 * SECOND
TEXT = (
    "CREATE CONTINUOUS QUERY h1 ON chain RESAMPLE EVERY 1h FOR 2h BEGIN SELECT max(gas) AS max_gas INTO "
    "chain.h1.:MEASUREMENT FROM chain.raw./.*/ WHERE gas > 0 OR gas < 0 GROUP BY time(1h), * END"
)


class Rungs:
    """Every hour of raw points has a maximum; what was written INTO the rung is remembered."""

    def __init__(self) -> None:
        self.target: dict[int, int] = {}

    def __call__(self, statement: str) -> list[dict[str, Any]]:
        start, end = (int(text) for text in re.findall(r"time >?<?=? ?(\d{10,})", statement))
        hours = range(-(-start // HOUR) * HOUR, end, HOUR)
        if " INTO " in statement:
            self.target |= {hour: hour // HOUR for hour in hours}
            return [{"name": "result", "columns": ["time", "written"], "values": [[0, len(hours)]]}]
        if "SELECT *" in statement:
            values = [[hour, self.target[hour]] for hour in hours if hour in self.target]
        else:
            assert "fill(none)" in statement
            values = [[hour, hour // HOUR] for hour in hours]
        if not values:
            return []
        return [
            {"name": "chain", "tags": {"node": "a", "region": ""}, "columns": ["time", "max_gas"], "values": values}
        ]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Asked]:
    asked = Asked(tmp_path)
    asked.fake.add_database("chain", raw=("168h0m0s", "24h0m0s", True), h1=("43800h0m0s", "168h0m0s", False))
    asked.fake.databases["chain"]["queries"]["h1"] = TEXT
    asked.fake.selects = Rungs()
    yield asked
    asked.fake.close()


def test_written_once(server: Asked) -> None:
    options = {"database": "chain", "start": "3d", "chunk": "1d"}
    planned = server.run(influxdb_backfill, check=True, **options)
    assert planned["changed"] and server.changes == [] and server.fake.selects.target == {}

    first = server.run(influxdb_backfill, **options)
    done = first["queries"]["h1"]
    # the hour that has begun is not over
    assert done["points"] in (71, 72) and done["written_points"] == done["points"] == len(server.fake.selects.target)
    assert "h1: 7" in first["diff"]["after"]
    again = server.run(influxdb_backfill, **options)
    assert not again["changed"] and server.changes == []


def test_a_hole_is_filled_alone(server: Asked) -> None:
    options = {"database": "chain", "queries": ["h1"], "start": "3d", "chunk": "1d"}
    server.run(influxdb_backfill, **options)
    server.fake.selects.target.pop(min(server.fake.selects.target))
    result = server.run(influxdb_backfill, **options)["queries"]["h1"]
    assert (result["written_windows"], result["written_points"]) == (1, 1) and len(server.changes) == 1


def test_never_before_the_raw_points_begin(server: Asked) -> None:
    server.run(influxdb_backfill, database="chain", start="2020-01-01T00:00:00Z")
    oldest = min(server.fake.selects.target)
    assert time.time_ns() - 7 * DAY <= oldest <= time.time_ns() - 7 * DAY + HOUR


class Coarse(Rungs):
    """A rung of two days that counts the hours with raw points, of which there are none before ``begin``."""

    step = 48 * HOUR

    def __init__(self, begin: int) -> None:
        super().__init__()
        self.begin = begin

    def __call__(self, statement: str) -> list[dict[str, Any]]:
        start, end = (int(text) for text in re.findall(r"time >?<?=? ?(\d{10,})", statement))
        buckets = range(start, end, self.step)
        hours = {at: sum(1 for hour in range(at, at + self.step, HOUR) if hour >= self.begin) for at in buckets}
        if " INTO " in statement:
            self.target |= {at: found for at, found in hours.items() if found}
            return []
        held = self.target if "SELECT *" in statement else hours
        values = [[at, held[at]] for at in buckets if held.get(at)]
        return [{"name": "chain", "columns": ["time", "hours"], "values": values}] if values else []


@pytest.mark.parametrize("kept", ["0s", "1440h0m0s"])
def test_a_bucket_of_which_raw_points_are_gone_is_left_as_it_is(server: Asked, kept: str) -> None:
    """The policy of the raw points was shorter once: they begin in the middle of a bucket that was right."""
    fake = server.fake
    fake.databases["chain"]["policies"]["raw"][0] = kept
    fake.databases["chain"]["queries"]["h1"] = TEXT.replace("time(1h)", "time(48h)")
    partial = (time.time_ns() - 12 * DAY) // Coarse.step * Coarse.step
    begin = partial + DAY
    for number, day in enumerate((0, 1, 2)):
        span = [f"{time.strftime('%FT%TZ', time.gmtime((begin + (day + end) * DAY) // SECOND))}" for end in (0, 1)]
        fake.shards.append([number, "chain", "raw", number, *span, "", ""])
    fake.shards.append([9, "chain", "h1", 9, "2020-01-01T00:00:00Z", "2020-01-08T00:00:00Z", "", ""])
    rung = fake.selects = Coarse(begin)
    rung.target = {partial - Coarse.step: 48, partial: 48}
    result = server.run(influxdb_backfill, database="chain", start="40d")
    assert result["changed"] and min(rung.target) == partial - Coarse.step
    assert set(rung.target.values()) == {48}, "a right value was replaced by one of the points that are left"
    assert len(rung.target) > 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"database": "nothing", "start": "1d"}, "no database nothing"),
        ({"database": "chain", "start": "1d", "queries": ["m1"]}, "no continuous query m1"),
        ({"database": "chain", "start": "yesterday"}, "is no time such as"),
        ({"database": "chain", "start": "2026-01-01T00:00:00"}, "no time zone"),
    ],
)
def test_what_cannot_be_done(server: Asked, options: dict[str, Any], words: str) -> None:
    result = server.run(influxdb_backfill, **options)
    assert result["failed"] and words in result["msg"]


def test_the_parts_of_a_query() -> None:
    query = backfill.parse(TEXT)
    assert (query.select, query.target, query.source) == (
        "max(gas) AS max_gas",
        "chain.h1.:MEASUREMENT",
        "chain.raw./.*/",
    )
    assert (query.condition, query.grouping, query.interval) == ("gas > 0 OR gas < 0", "time(1h), *", HOUR)
    assert query.over(5, 9, into=True) == (
        "SELECT max(gas) AS max_gas INTO chain.h1.:MEASUREMENT FROM chain.raw./.*/ WHERE (gas > 0 OR gas < 0) AND "
        "time >= 5 AND time < 9 GROUP BY time(1h), * fill(none)"
    )


def test_a_subquery_keeps_its_own_words() -> None:
    query = backfill.parse(
        "SELECT sum(x) INTO t FROM (SELECT max(y) AS x FROM s WHERE z = 1 GROUP BY w) GROUP BY time(1m, 5s) fill(0)"
    )
    assert query.source == "(SELECT max(y) AS x FROM s WHERE z = 1 GROUP BY w)" and query.condition == ""
    assert (query.interval, query.offset) == (MINUTE, 5 * SECOND)
    assert query.over(0, 1, into=False).endswith("GROUP BY time(1m, 5s) fill(0)")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT max(x) FROM s GROUP BY time(1m)",
        "SELECT max(x) INTO t FROM s GROUP BY host",
        "SELECT max(x) INTO t FROM s GROUP BY time(1m) LIMIT 1",
        "SELECT max(x) INTO t FROM s GROUP BY time(1d) TZ('Europe/Berlin')",
    ],
)
def test_queries_that_have_no_windows(text: str) -> None:
    with pytest.raises(QueryError):
        backfill.parse(text)


def test_windows_are_whole_buckets() -> None:
    query = backfill.parse("SELECT max(x) INTO t FROM s GROUP BY time(1m, 5s)")
    spans = list(backfill.windows(query, 61 * SECOND, 400 * SECOND, chunk=2 * MINUTE))
    assert spans == [(65 * SECOND, 185 * SECOND), (185 * SECOND, 305 * SECOND), (305 * SECOND, 365 * SECOND)]
    assert list(backfill.windows(query, 70 * SECOND, 100 * SECOND)) == []


def test_a_point_with_another_value_is_lacking() -> None:
    key = ("m", (("host", "a"),))
    assert backfill.missing({key: {1: {"x": 1}, 2: {"x": 2}}}, {key: {1: {"x": 1, "y": 3}, 2: {"x": 9}}}) == 1
    assert backfill.missing({key: {1: {"x": 1}}}, {}) == 1
