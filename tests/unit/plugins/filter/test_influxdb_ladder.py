# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ladders become policies and queries together; what is no ladder is named before anything is touched."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.chainops.infra.plugins.filter.influxdb_ladder import influxdb_ladder
from ansible_collections.chainops.infra.plugins.filter.influxdb_ladder_faults import influxdb_ladder_faults

LADDER: dict[str, Any] = {
    "database": "chain",
    "raw": {"name": "raw", "retention": "7d", "shard": "1d"},
    "rungs": [{"name": "m1", "every": "1m", "retention": "90d"}, {"name": "h1", "every": "1h", "retention": "5y"}],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The ladder with one value changed, or taken away where it is None; the path is keys and numbers with dots."""
    ladder = copy.deepcopy(LADDER)
    *way, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    place: Any = ladder
    for key in way:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return ladder


def test_policies_and_queries_of_a_ladder() -> None:
    (database,) = influxdb_ladder([LADDER])
    assert database["name"] == "chain" and database["exclusive_queries"]
    assert [(p["name"], p["duration"], p["shard_duration"], p["default"]) for p in database["retention_policies"]] == [
        ("raw", "1w", "1d", True),
        ("m1", "90d", "1d", False),
        ("h1", "1825d", "1w", False),
    ]
    minute, hour = database["continuous_queries"]
    assert minute == {
        "name": "m1",
        "query": 'SELECT mean(*), min(*), max(*), count(*), last(*) INTO "chain"."m1".:MEASUREMENT '
        'FROM "chain"."raw"./.*/ GROUP BY time(1m), *',
        "resample_every": "1m",
        "resample_for": "11m",
    }
    # from the raw points as well: a mean of means is none
    assert 'FROM "chain"."raw"./.*/' in hour["query"] and hour["resample_for"] == "2h"


def test_chosen_aggregates_of_chosen_measurements() -> None:
    ladder = LADDER | {"aggregates": ["max"], "measurements": ["chain", "p eers"], "late": "1h"}
    minute = influxdb_ladder([ladder])[0]["continuous_queries"][0]
    assert (
        minute["query"].startswith("SELECT max(*) INTO") and '"raw"."chain", "chain"."raw"."p eers"' in minute["query"]
    )
    assert minute["resample_for"] == "61m"


def test_chosen_aggregates_of_chosen_fields() -> None:
    ladder = LADDER | {"fields": {"chain": {"gas": ["mean", "max"], "block": ["last"]}}}
    queries = influxdb_ladder([ladder])[0]["continuous_queries"]
    assert [query["name"] for query in queries] == ["m1_chain", "h1_chain"]
    assert (
        'SELECT mean("gas") AS "mean_gas", max("gas") AS "max_gas", last("block") AS "last_block" INTO'
        in queries[0]["query"]
    )


def test_a_last_rung_for_ever() -> None:
    policies = influxdb_ladder([changed("rungs.1.retention", "INF")])[0]["retention_policies"]
    assert (policies[2]["duration"], policies[2]["shard_duration"]) == ("INF", "1w")


@pytest.mark.parametrize(
    ("ladder", "words"),
    [
        (changed("rungs.1.retention", "30d"), ".rungs[1].retention = 30d: must be longer"),
        (changed("rungs.0.retention", "7d"), ".rungs[0].retention = 7d: must be longer"),
        (changed("rungs.0.retention", "INF"), ".rungs[1].retention = 5y: must be longer"),
        (changed("rungs.1.every", "30s"), ".rungs[1].every = 30s: must be a multiple of the 1m"),
        (changed("rungs.1.every", "90s"), ".rungs[1].every = 90s: must be a multiple of the 1m"),
        (changed("rungs.0.every", "0s"), ".rungs[0].every = 0s: must be more than 0"),
        (changed("rungs.1.every", "4d"), ".raw.retention = 7d: must be at least twice the coarsest interval"),
        (changed("raw.retention", "30m"), ".raw.retention = 30m: must be at least 1h"),
        (changed("raw.shard", "8d"), ".raw.shard = 8d: must be from 1h"),
        (changed("raw.retention", "a week"), ".raw.retention = 'a week' is no duration"),
        (changed("rungs.1.name", "m1"), ".rungs[1].name = m1 is there twice"),
        (changed("raw.name", None), ".raw.name is missing"),
        (changed("rungs.0.evry", "1m"), ".rungs[0].evry is unknown"),
        (changed("rungs", None), ".rungs is missing"),
        (changed("rung", []), ".rung is unknown"),
        (changed("aggregates", ["avg"]), ".aggregates = ['avg']: must be of mean"),
        (changed("late", "soon"), ".late = 'soon' is no duration"),
        (changed("fields", {"chain": {"gas": ["avg"]}}), ".fields.chain.gas = ['avg']"),
        (LADDER | {"fields": {"a": {"b": ["max"]}}, "measurements": ["a"]}, ".fields and .measurements are both set"),
    ],
)
def test_no_ladders(ladder: dict[str, Any], words: str) -> None:
    assert any(words in text and text.startswith("[0] (chain)") for text in influxdb_ladder_faults([ladder]))
    with pytest.raises(AnsibleFilterError, match="ladders"):
        influxdb_ladder([ladder])


def test_good_ones_have_no_faults() -> None:
    assert influxdb_ladder_faults([LADDER, LADDER | {"database": "site"}]) == []
    assert influxdb_ladder_faults([]) == []


def test_one_database_one_ladder() -> None:
    assert influxdb_ladder_faults([LADDER, LADDER]) == [
        "[1] (chain).database has a ladder already: one database, one ladder"
    ]


@pytest.mark.parametrize("ladders", ["chain", [1]])
def test_what_is_not_even_a_list_of_dictionaries(ladders: Any) -> None:
    assert influxdb_ladder_faults(ladders)


def test_what_an_argument_spec_fills_in_counts_as_not_given() -> None:
    filled = LADDER | {"aggregates": None, "measurements": None, "fields": None, "late": None}
    filled["raw"] = LADDER["raw"] | {"shard": None}
    assert influxdb_ladder_faults([filled]) == []
    assert influxdb_ladder([filled])[0]["continuous_queries"] == influxdb_ladder([LADDER])[0]["continuous_queries"]
