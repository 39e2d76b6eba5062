"""What all lab tests share: the running site, full or short length, and the order in which they make sense."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.lab.site import Site

# A site is converged before it is broken, and what takes hosts apart comes last. Files that are not named come between.
FIRST = ("test_wrong_values.py", "test_converge.py", "test_canary.py")
LAST = (
    "test_switchover.py",
    "test_redis_faults.py",
    "test_postgresql_faults.py",
    "test_failover.py",
    "test_interrupted.py",
    "test_consumer.py",
    "test_whole_site.py",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--case", default="", help="run this case only")


def pytest_configure(config: pytest.Config) -> None:
    # SIGTERM ends the run as Ctrl-C does, with every fault undone; as an error of one test it would go on with the next
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    config.addinivalue_line("markers", "full: only at full length (make prove), to keep make test short")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if _is_left_out(item, config.getoption("--case"))]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]

    def place(item: pytest.Item) -> int:
        name = Path(item.path).name
        if name in FIRST:
            return FIRST.index(name) - len(FIRST)
        return 1 + LAST.index(name) if name in LAST else 0

    items.sort(key=place)


def _is_left_out(item: pytest.Item, wanted: str) -> bool:
    """Only at full length; of a store that has no case to run now; or not the one case, nor what brings the site up."""
    name = item.callspec.params.get("name") if hasattr(item, "callspec") else None
    if wanted:
        return name != wanted and not item.name.startswith("test_first_run")
    return name == "" or bool(item.get_closest_marker("full") and not at_full_length())


def at_full_length() -> bool:
    return os.environ.get("CHAINOPS_FULL_LENGTH") == "1"


@pytest.fixture(scope="session")
def full_length() -> bool:
    """Whether everything is shown at full length (make prove) or the short form (make test)."""
    return at_full_length()


@pytest.fixture(scope="session")
def site() -> Site:
    """The lab that is up."""
    return Site()
