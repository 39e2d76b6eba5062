# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Words, names and durations; the pairs of queries are what 1.6.7 showed for what it was given."""

from __future__ import annotations

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.influxdb import influxql
from ansible_collections.chainops.infra.plugins.module_utils.influxdb.influxql import DAY, HOUR, QueryError

# Given, and as SHOW CONTINUOUS QUERIES gave it back; the database is chain and its default policy raw.
SHOWN = [
    (
        'SELECT mean(*), LAST("block"), max(gas) - min("gas") as r INTO chain.m1.:MEASUREMENT FROM '
        '"chain"."raw"./^b.*\\/x$/, /y/ where host <> \'a\\\'b\' and x =~ /q/ and y > 3.50 or z = true '
        "group by time(1m , 5s), * fill(null) tz('UTC')",
        "SELECT mean(*), last(block), max(gas) - min(gas) AS r INTO chain.m1.:MEASUREMENT FROM "
        "chain.raw./^b.*\\/x$/, chain.raw./y/ WHERE host != 'a\\'b' AND x =~ /q/ AND y > 3.500 OR z = true "
        "GROUP BY time(1m, 5s), * TZ('UTC')",
    ),
    (
        "SELECT max(block) AS block INTO t FROM s GROUP BY time(60m)",
        "SELECT max(block) AS block INTO chain.raw.t FROM chain.raw.s GROUP BY time(1h)",
    ),
    (
        "SELECT max(block) AS block INTO h1.t FROM m1.s,x GROUP BY time(60m)",
        "SELECT max(block) AS block INTO chain.h1.t FROM chain.m1.s, chain.raw.x GROUP BY time(1h)",
    ),
    (
        "SELECT max(block) AS block INTO chain..t FROM chain..s GROUP BY time(60m)",
        "SELECT max(block) AS block INTO chain.raw.t FROM chain.raw.s GROUP BY time(1h)",
    ),
    (
        'SELECT max(block)+1.0+.5 AS "SELECT" INTO h1.t FROM (SELECT mean(x) FROM y WHERE "a b"=1 AND (k::tag = \'v\') '
        'AND -3 < q and true GROUP BY *,time(5m) fill(0)) where a > -2 GROUP BY time(60m) , "k" fill(previous) '
        "ORDER BY time ASC LIMIT 1 SLIMIT 2;",
        'SELECT max(block) + 1.000 + 0.500 AS "SELECT" INTO chain.h1.t FROM (SELECT mean(x) FROM chain.raw.y WHERE '
        "\"a b\" = 1 AND (k::tag = 'v') AND -3 < q AND true GROUP BY *, time(5m) fill(0)) WHERE a > -2 "
        "GROUP BY time(1h), k fill(previous) ORDER BY time ASC LIMIT 1 SLIMIT 2",
    ),
    (
        "SELECT max(block::integer) AS block, count(distinct x), mean(X)*2/3 as Y INTO chain.m1.t FROM chain.raw.s "
        "where a =100000000.0 and b=1.23456789 GROUP BY time(60m) fill(linear) ORDER BY time",
        "SELECT max(block::integer) AS block, count(DISTINCT x), mean(X) * 2 / 3 AS Y INTO chain.m1.t FROM chain.raw.s "
        "WHERE a = 100000000.000 AND b = 1.235 GROUP BY time(1h) fill(linear) ORDER BY time ASC",
    ),
]


@pytest.mark.parametrize(("given", "shown"), SHOWN)
def test_the_server_s_words_say_the_same(given: str, shown: str) -> None:
    assert influxql.same_query(given, shown, "chain", "raw")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT max(a) INTO b FROM c", "SELECT max(A) INTO b FROM c"),
        ("SELECT max(a) INTO b FROM c GROUP BY time(1m)", "SELECT max(a) INTO b FROM c GROUP BY time(2m)"),
        ("SELECT max(a) INTO b FROM x.c", "SELECT max(a) INTO b FROM raw.c"),
        ("SELECT max(a) INTO b FROM /c/", "SELECT max(a) INTO b FROM c"),
        ("SELECT max(a) INTO b FROM c WHERE d = 'x'", "SELECT max(a) INTO b FROM c WHERE d = x"),
        ("SELECT max(a) INTO b FROM c fill(0)", "SELECT max(a) INTO b FROM c"),
    ],
)
def test_the_control_of_that_test(one: str, other: str) -> None:
    assert not influxql.same_query(one, other, "chain", "raw")


def test_what_cannot_be_read() -> None:
    with pytest.raises(QueryError, match="cannot read"):
        influxql.tokens("SELECT ~")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7d", 7 * DAY),
        ("168h0m0s", 7 * DAY),
        ("5y", 1825 * DAY),
        ("1h30m", HOUR * 3 // 2),
        ("INF", 0),
        ("0s", 0),
        ("4w", 28 * DAY),
    ],
)
def test_durations(text: str, value: int) -> None:
    assert influxql.parse_duration(text) == value


@pytest.mark.parametrize("text", ["", "7", "d7", "7 days", "-1d", "1.5h"])
def test_no_durations(text: str) -> None:
    with pytest.raises(QueryError, match="no duration"):
        influxql.parse_duration(text)


@pytest.mark.parametrize("text", ["2w", "3d", "5h", "7m", "9s", "11ms", "13u", "15ns", "0s"])
def test_durations_are_written_as_they_are_read(text: str) -> None:
    assert influxql.duration(influxql.parse_duration(text)) == text


def test_names_and_strings_are_quoted() -> None:
    assert influxql.name('a"b\\c') == '"a\\"b\\\\c"'
    assert influxql.string("it's \\") == "'it\\'s \\\\'"
    with pytest.raises(QueryError):
        influxql.name("")
    with pytest.raises(QueryError):
        influxql.name("a\nb")


@pytest.mark.parametrize(
    ("kept", "shard"), [(HOUR, HOUR), (2 * DAY, DAY), (180 * DAY, DAY), (181 * DAY, 7 * DAY), (0, 7 * DAY)]
)
def test_the_shards_that_the_server_chooses(kept: int, shard: int) -> None:
    assert influxql.default_shard_duration(kept) == shard
