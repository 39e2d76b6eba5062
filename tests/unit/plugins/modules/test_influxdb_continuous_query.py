# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""influxdb_continuous_query: compared as the server shows queries, replaced whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chainops.infra.plugins.modules import influxdb_continuous_query

from tests.unit.plugins.modules.fake_influxdb import Asked


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Asked]:
    asked = Asked(tmp_path)
    yield asked
    asked.fake.close()


QUERY = {
    "name": "m1",
    "query": 'SELECT mean("gas") AS "gas" INTO "chain"."m1".:MEASUREMENT FROM "chain"."raw"./.*/ GROUP BY time(60m), *',
    "resample_for": "10m",
}


@pytest.fixture
def chain(server: Asked) -> Asked:
    server.fake.add_database("chain", raw=("168h0m0s", "24h0m0s", True))
    return server


def test_made_once_though_shown_in_other_words(chain: Asked) -> None:
    assert chain.run(influxdb_continuous_query, database="chain", queries=[QUERY])["changed"]
    shown = chain.fake.databases["chain"]["queries"]["m1"]
    assert '"' not in shown and "time(1h)" in shown
    again = chain.run(influxdb_continuous_query, database="chain", queries=[QUERY])
    assert not again["changed"] and chain.changes == []


def test_an_edited_one_is_replaced_in_one_request(chain: Asked) -> None:
    chain.run(influxdb_continuous_query, database="chain", queries=[QUERY])
    edited = QUERY | {"query": QUERY["query"].replace("mean", "max")}
    result = chain.run(influxdb_continuous_query, database="chain", queries=[edited])
    assert "mean(gas)" in result["diff"]["before"] and 'max("gas")' in result["diff"]["after"]
    assert [text.split()[0] for text in chain.changes] == ["DROP", "CREATE"]
    assert "max(gas)" in chain.fake.databases["chain"]["queries"]["m1"]


def test_one_that_is_no_query_leaves_the_old_one(chain: Asked) -> None:
    chain.run(influxdb_continuous_query, database="chain", queries=[QUERY])
    before = dict(chain.fake.databases["chain"]["queries"])
    result = chain.run(influxdb_continuous_query, database="chain", queries=[QUERY | {"query": "SELECT BROKEN"}])
    assert result["failed"] and "error parsing query" in result["msg"]
    assert chain.fake.databases["chain"]["queries"] == before


def test_one_that_fails_after_the_drop_is_put_back(chain: Asked) -> None:
    chain.run(influxdb_continuous_query, database="chain", queries=[QUERY])
    before = dict(chain.fake.databases["chain"]["queries"])
    fails = QUERY | {"query": QUERY["query"].replace("gas", "refused")}
    assert chain.run(influxdb_continuous_query, database="chain", queries=[fails])["failed"]
    assert chain.fake.databases["chain"]["queries"] == before


def test_check_mode(chain: Asked) -> None:
    assert chain.run(influxdb_continuous_query, check=True, database="chain", queries=[QUERY])["changed"]
    assert chain.fake.databases["chain"]["queries"] == {}


def test_exclusive_drops_the_others(chain: Asked) -> None:
    other = QUERY | {"name": "other"}
    chain.run(influxdb_continuous_query, database="chain", queries=[QUERY, other])
    assert not chain.run(influxdb_continuous_query, database="chain", queries=[QUERY])["changed"]
    assert chain.run(influxdb_continuous_query, database="chain", queries=[QUERY], exclusive=True)["changed"]
    assert list(chain.fake.databases["chain"]["queries"]) == ["m1"]


def test_absent(chain: Asked) -> None:
    chain.run(influxdb_continuous_query, database="chain", queries=[QUERY])
    gone = {"database": "chain", "queries": [{"name": "m1"}], "state": "absent"}
    assert chain.run(influxdb_continuous_query, **gone)["changed"]
    assert not chain.run(influxdb_continuous_query, **gone)["changed"]


def test_a_query_without_text(chain: Asked) -> None:
    result = chain.run(influxdb_continuous_query, database="chain", queries=[{"name": "m1"}])
    assert "m1 has no query" in result["msg"]
