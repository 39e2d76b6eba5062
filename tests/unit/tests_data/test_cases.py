"""The data layer's cases as they are written down: nothing here needs the lab."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.lab.data import case as cases
from tests.lab.data import cases_postgresql, names
from tests.lab.data.world import World

for module in ("cases_switchover", "cases_pgbouncer", "cases_redis", "cases_influxdb", "cases_backup"):
    importlib.import_module(f"tests.lab.data.{module}")

SHORT = {"zero_host-host-killed", "redis-master-killed", "influxdb-count", "drill"}


def test_each_strict_policy_has_twenty_runs_of_all_faults() -> None:
    asked = {
        "host-killed",
        "postgresql-frozen",
        "patroni-frozen",
        "patroni-killed",
        "primary-cut-off",
        "etcd-leader-killed",
        "etcd-lost",
        "disk-full",
        "standbys-lost",
    }
    for policy, faults in cases_postgresql.RUNS.items():
        assert sum(faults.values()) >= 20, policy
        assert asked <= faults.keys() <= cases_postgresql.KINDS.keys(), policy
    assert "region-killed" in cases_postgresql.RUNS["zero_region"]


def test_the_short_form_is_one_case_a_store() -> None:
    assert {name for name, spec in cases.CASES.items() if spec.short} == SHORT


def test_every_store_has_a_control_that_must_go_red() -> None:
    red = {spec.store for name, spec in cases.CASES.items() if spec.goes_red}
    assert red == {"postgresql", "redis", "backup"}
    assert {"control-fast", "control-redis-one-replica"} <= cases.CASES.keys()


class Faults:
    """Writes down which faults are made."""

    def __init__(self) -> None:
        self.made: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *given, **more: self.made.append((name, *given, *more.values()))


class Hosts:
    """As much of a site as the faults ask."""

    def hosts(self, group: str = "all") -> list[str]:
        return {
            "postgresql": list(names.POSTGRESQL),
            "etcd": list(names.ETCD),
            "data_balancers": list(names.BALANCERS),
            "pgbackrest_repository": [names.REPOSITORY, names.OFFSITE],
        }.get(group, [])

    def variables(self, host: str) -> dict[str, str]:
        east = (*names.EAST, names.BALANCERS[0], names.REPOSITORY)
        west = (*names.WEST, names.BALANCERS[1])
        return {"site_region": "east" if host in east else "west" if host in west else "witness"}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("host-killed", [("kill_host", "db-a")]),
        ("postgresql-frozen", [("freeze_unit", "db-a", "patroni.service", "postgres")]),
        ("patroni-killed", [("kill_unit", "db-a", "patroni.service", True, "patroni")]),
        ("standbys-lost", [("kill_unit", host, "patroni.service", True) for host in ("db-b", "db-c", "db-d")]),
        ("etcd-lost", [("kill_unit", host, "etcd.service", True) for host in ("db-a", "db-c", "db-w")]),
        ("region-killed", [("kill_host", host) for host in ("db-a", "db-b", "lb-d1", "bk-a")]),
        ("region-cut-off", [("partition", ["east"], ["west", "witness", "machine"])]),
        (
            "primary-cut-off",
            [("partition", ["db-a"], ["db-b", "db-c", "db-d", "db-w", "bk-a", "bk-w"])],
        ),
    ],
)
def test_what_each_fault_breaks(kind: str, expected: list[tuple[Any, ...]]) -> None:
    faults = Faults()
    world = World(Hosts(), faults, full_length=True)  # type: ignore[arg-type]  # stand-ins for a lab
    cases_postgresql.KINDS[kind].make(world, "db-a")
    assert faults.made == expected


def run(figures: dict[str, float], limits: dict[str, float], goes_red: list[str] | None = None) -> Any:
    spec = cases.Spec("a case", "influxdb", lambda _world: figures, lambda _world: limits, goes_red=goes_red or [])
    world = World(Hosts(), Faults(), full_length=True)  # type: ignore[arg-type]  # stand-ins for a lab
    world.mend = lambda: None  # type: ignore[method-assign]  # nothing is broken
    return cases.run(spec, world)


def test_a_case_is_judged_by_its_limits() -> None:
    assert run({"lost": 0}, {"lost": 0}).passed
    assert not run({"lost": 1}, {"lost": 0}).passed
    assert run({}, {"lost": 0}).note == "lost was not measured (limit 0)"


def test_a_control_passes_only_by_going_red() -> None:
    assert run({"lost": 3}, {"lost": 0}, ["lost"]).passed
    green = run({"lost": 0}, {"lost": 0}, ["lost"])
    assert (green.passed, green.note) == (False, "stayed green without the protection")
