"""What the tuning is worth: the case stands in cases_tuning.py."""

from __future__ import annotations

import pytest

from tests.lab.data import case as cases
from tests.lab.data.world import World


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    cases.choose(metafunc, "tuning")


def test_case(name: str, world: World, request: pytest.FixtureRequest) -> None:
    cases.prove(name, world, again=bool(request.config.getoption("--case")))
