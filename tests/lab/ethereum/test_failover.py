"""Runs the failover cases: the short ones for `make test`, all of them for `make prove`, one of them with --case."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.faults.core import Faults

from tests.lab.ethereum.failover import case as cases
from tests.lab.ethereum.failover.world import World
from tests.lab.results import load, save
from tests.lab.site import Site

SUITE = "failover"

# Each registers its cases.
for module in (
    "cases_pair",
    "cases_daemon",
    "cases_site",
    "cases_chain",
    "cases_upgrade",
    "cases_operations",
    "controls",
):
    importlib.import_module(f"tests.lab.ethereum.failover.{module}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    wanted = metafunc.config.getoption("--case")
    if wanted and wanted not in cases.CASES:
        raise pytest.UsageError(f"there is no case {wanted}; there are {', '.join(cases.CASES)}")
    full = os.environ.get("CHAINOPS_FULL_LENGTH") == "1"
    names = [wanted] if wanted else [name for name, spec in cases.CASES.items() if full or spec.short]
    metafunc.parametrize("name", names)


@pytest.fixture(scope="module")
def world(site: Site, full_length: bool) -> Iterator[World]:
    with Faults.load(os.environ.get("LAB_PREFIX", "lab")) as faults:
        yield World(site, faults, full_length)


def test_case(name: str, world: World, request: pytest.FixtureRequest) -> None:
    done = load(SUITE).get(name)
    if done and done.passed and world.full_length and not request.config.getoption("--case"):
        return  # on record for this very commit: a prove that was interrupted goes on
    result = cases.run(cases.CASES[name], world)
    save(SUITE, [result], full_length=True)
    shown = ", ".join(f"{figure} {value:g}" for figure, value in result.figures.items())
    print(f"\n{name}: {'passed' if result.passed else 'FAILED'}: {shown}")
    assert result.passed, f"{result.note} ({shown})"
