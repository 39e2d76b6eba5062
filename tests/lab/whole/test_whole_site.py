"""Both layers as one site: one playbook brings all of it up, and what its nodes do is in its own InfluxDB."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.faults.core import Faults

from tests.lab.data import names
from tests.lab.data.world import World
from tests.lab.results import Case, save
from tests.lab.site import ROOT, Site

SITE = "chainops.infra.site"
INVENTORIES = [ROOT / "inventories" / "lab" / f"{layer}.yml" for layer in ("ethereum", "data")]
NODES = ("eth-a", "eth-b", "eth-c", "eth-d")
# Seconds. A node that was just brought up has to join its chain; a rung is filled when its minute is over.
STREAMS_WITHIN, SAMPLES_WITHIN, RUNG_WITHIN = 180, 30, 180
FIELDS = {"up", "block", "gas_used", "base_fee_wei", "peers", "head_age_s"}


@pytest.fixture(scope="module")
def site() -> Site:
    return Site(*INVENTORIES)


@pytest.fixture(scope="module")
def world(site: Site) -> Iterator[World]:
    with Faults.load(names.PREFIX) as faults:
        yield World(site, faults, full_length=True)


def newest(world: World, node: str) -> dict[str, Any]:
    """The last sample of a node; nothing where none is young enough."""
    where = f"node = '{node}' AND time > now() - {SAMPLES_WITHIN}s"
    found = world.influx_admin(f"SELECT * FROM raw.chain WHERE {where} ORDER BY time DESC LIMIT 1", "chain")
    return dict(zip(found[0]["columns"], found[0]["values"][0], strict=True)) if found else {}


@pytest.mark.full
def test_one_run_brings_all_layers_up_and_a_second_changes_nothing(site: Site) -> None:
    first = site.play(SITE, timeout=2400).check()
    second = site.play(SITE, "--diff", timeout=1200).check()
    assert second.changed == {}, second.output[-8000:]
    seconds = {"first_s": round(first.seconds, 1), "second_s": round(second.seconds, 1)}
    save("whole", [Case("whole-site", True, {"hosts": len(first.recap), **seconds})], True)


@pytest.mark.full
@pytest.mark.parametrize("node", NODES)
def test_a_node_s_stream_moves_with_its_chain(world: World, node: str) -> None:
    def streams() -> bool:
        sample = newest(world, node)
        return bool(sample.get("up")) and all(sample.get(field) is not None for field in FIELDS)

    world.until(f"samples of {node} with {FIELDS}", streams, STREAMS_WITHIN, 2)
    before = newest(world, node)["block"]
    world.until(f"blocks of {node} after {before}", lambda: newest(world, node).get("block", 0) > before, 60, 2)


@pytest.mark.full
def test_minutes_are_made_of_samples(world: World) -> None:
    """The ladder's first rung, by the continuous query that was created with its policy."""

    def minutes() -> set[str]:
        found = world.influx_admin("SELECT * FROM m1.chain WHERE time > now() - 10m", "chain")
        rows = [dict(zip(series["columns"], row, strict=True)) for series in found for row in series["values"]]
        return {row["node"] for row in rows if any(value is not None for name, value in row.items() if "block" in name)}

    world.until("a minute of every node", lambda: minutes() >= set(NODES), RUNG_WITHIN, 5)


@pytest.mark.full
def test_a_node_whose_client_is_down_says_so(world: World) -> None:
    node = NODES[-1]
    with world.faults.stop_unit(node, "geth.service"):
        world.until(f"{node} is not up", lambda: newest(world, node).get("up") is False, 60, 1)
    world.until(f"{node} is up again", lambda: newest(world, node).get("up") is True, STREAMS_WITHIN, 2)


@pytest.mark.full
def test_what_the_stream_could_not_write_is_counted(world: World) -> None:
    """The control of the ones before: InfluxDB is away, points wait, and none is lost when it is back."""
    node = NODES[0]
    with world.faults.stop_unit(names.INFLUXDB, names.INFLUXDB_UNIT):
        at = time.time()
        time.sleep(20)
    during = f"time > {int(at * 1e9)} AND time < {int((at + 20) * 1e9)}"
    text = f"SELECT count(block) FROM raw.chain WHERE node = '{node}' AND {during}"

    def caught_up() -> bool:
        found = world.influx_admin(text, "chain")
        return bool(found) and found[0]["values"][0][1] >= 1

    world.until("the samples of the time without InfluxDB", caught_up, 120, 3)
