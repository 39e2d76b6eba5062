# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""influxdb_retention_policy: created, altered in place, and never shortened by mistake."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chainops.infra.plugins.modules import influxdb_retention_policy

from tests.unit.plugins.modules.fake_influxdb import Asked


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Asked]:
    asked = Asked(tmp_path)
    yield asked
    asked.fake.close()


RAW = {"name": "raw", "duration": "7d", "shard_duration": "1d", "default": True}


@pytest.fixture
def chain(server: Asked) -> Asked:
    server.fake.add_database("chain", raw=("168h0m0s", "24h0m0s", True), m1=("2160h0m0s", "24h0m0s", False))
    return server


def test_what_is_there_in_other_words_is_no_change(chain: Asked) -> None:
    result = chain.run(influxdb_retention_policy, database="chain", policies=[RAW, {"name": "m1", "duration": "90d"}])
    assert not result["changed"] and chain.changes == []


def test_a_new_one(chain: Asked) -> None:
    result = chain.run(influxdb_retention_policy, database="chain", policies=[{"name": "h1", "duration": "5y"}])
    assert result["changes"] == ["policy chain.h1: kept 1825d, shards 1w"]
    assert chain.fake.databases["chain"]["policies"]["h1"] == ["1825d", "1w", False]


def test_a_longer_one_is_altered(chain: Asked) -> None:
    result = chain.run(influxdb_retention_policy, database="chain", policies=[{"name": "m1", "duration": "180d"}])
    assert result["diff"] == {
        "before": "policy chain.m1: kept 90d, shards 1d\n",
        "after": "policy chain.m1: kept 180d, shards 1d\n",
    }
    assert chain.changes == [
        'ALTER RETENTION POLICY "m1" ON "chain" DURATION 180d REPLICATION 1 SHARD DURATION 1d',
    ]


@pytest.mark.parametrize("check", [False, True])
def test_a_shorter_one_must_be_allowed_and_shows_its_difference(chain: Asked, check: bool) -> None:
    shorter = [{"name": "m1", "duration": "30d"}]
    result = chain.run(influxdb_retention_policy, check, database="chain", policies=shorter)
    assert result["failed"] and "points in chain.m1 that are older than 30d" in result["msg"]
    assert result["diff"]["after"] == "policy chain.m1: kept 30d, shards 1d\n"
    assert chain.changes == []


def test_a_finite_one_is_shorter_than_for_ever(server: Asked) -> None:
    server.fake.add_database("d")
    result = server.run(influxdb_retention_policy, database="d", policies=[{"name": "autogen", "duration": "30d"}])
    assert "older than 30d" in result["msg"]


def test_shortened_when_allowed(chain: Asked) -> None:
    shorter = {"database": "chain", "policies": [{"name": "m1", "duration": "30d"}], "allow_data_loss": True}
    assert chain.run(influxdb_retention_policy, **shorter)["losses"] == ["points in chain.m1 that are older than 30d"]
    assert not chain.run(influxdb_retention_policy, **shorter)["changed"]


def test_another_default(chain: Asked) -> None:
    policy = {"name": "m1", "duration": "90d", "default": True}
    chain.run(influxdb_retention_policy, database="chain", policies=[policy])
    assert [name for name, values in chain.fake.databases["chain"]["policies"].items() if values[2]] == ["m1"]


def test_dropped(chain: Asked) -> None:
    gone = {"database": "chain", "policies": [{"name": "m1"}], "state": "absent"}
    assert "all points in chain.m1" in chain.run(influxdb_retention_policy, **gone)["msg"]
    assert chain.run(influxdb_retention_policy, **gone, allow_data_loss=True)["changed"]
    assert not chain.run(influxdb_retention_policy, **gone)["changed"]


def test_the_default_is_not_dropped(chain: Asked) -> None:
    gone = {"database": "chain", "policies": [{"name": "raw"}], "state": "absent", "allow_data_loss": True}
    assert "default policy" in chain.run(influxdb_retention_policy, **gone)["msg"]


@pytest.mark.parametrize(
    ("policy", "word"),
    [
        ({"name": "x", "duration": "30m"}, "less than the 1h"),
        ({"name": "x", "duration": "1d", "shard_duration": "2d"}, "shard_duration 2d must be"),
        ({"name": "x", "duration": "a week"}, "is no duration"),
        ({"name": "x"}, "has no duration"),
    ],
)
def test_what_the_server_would_not_take(chain: Asked, policy: dict[str, str], word: str) -> None:
    result = chain.run(influxdb_retention_policy, database="chain", policies=[policy])
    assert word in result["msg"] and chain.changes == []


def test_a_database_that_is_not_there(server: Asked) -> None:
    assert "no database chain" in server.run(influxdb_retention_policy, database="chain", policies=[RAW])["msg"]
