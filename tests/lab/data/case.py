"""The register of the data layer's cases: a name, what must hold, and the function that shows it."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tests.lab.conftest import at_full_length
from tests.lab.results import Case, load, save

from .world import World

SUITE = "data"
# Seconds, for a machine that stands still now and then.
BESIDE_OTHERS_S = 10.0
MODULES = ("postgresql", "guard", "switchover", "operations", "pgbouncer", "redis", "influxdb", "backup", "tuning")
# What the cases of a store depend on; those that are not here depend on all roles.
_POSTGRESQL = [
    "etcd",
    "haproxy",
    "host_certificate",
    "lab",
    "pgbackrest",
    "pgbouncer",
    "postgresql",
    "postgresql_objects",
]
ROLES = {
    "postgresql": _POSTGRESQL,
    "backup": _POSTGRESQL,
    "tuning": _POSTGRESQL,
    "redis": ["backup_repository", "haproxy", "host_certificate", "lab", "redis", "redis_backup", "redis_sentinel"],
    "influxdb": ["backup_repository", "chain_metrics", "host_certificate", "influxdb", "lab"],
}
Figures = dict[str, float]
Show = Callable[[World], Figures]
Limits = Callable[[World], Figures]


@dataclass
class Spec:
    """A case as it is written down. ``limits`` may depend on the world, which knows the policy's times."""

    name: str
    store: str
    show: Show
    limits: Limits
    short: bool = False
    goes_red: list[str] = field(default_factory=list)
    """For a control: the figures of which at least one must be over its limit."""


CASES: dict[str, Spec] = {}


def case(
    name: str, store: str, *, limits: Limits, short: bool = False, goes_red: list[str] | None = None
) -> Callable[[Show], Show]:
    """Put a function on the register. It gets the settled world, returns figures, and may assert more."""

    def register(show: Show) -> Show:
        assert name not in CASES, f"two cases are called {name}"
        assert name.startswith("control-") == bool(goes_red), f"{name}: controls, and only they, say what goes red"
        CASES[name] = Spec(name, store, show, limits, short, goes_red or [])
        return show

    return register


def nothing_lost(_world: World) -> Figures:
    """What every case promises."""
    return {"lost": 0, "misjudged": 0, "foreign": 0, "old_primary": 0}


def within(world: World, seconds: float) -> float:
    """A limit in seconds. The short form runs on whatever CI has, beside others: it shows that a fault is survived,
    and that in a time of this order; the seconds that are promised are held at full length."""
    return seconds if world.full_length else seconds + BESIDE_OTHERS_S


def choose(metafunc: pytest.Metafunc, store: str) -> None:
    """Parametrize a test with the cases of a store: the short ones, all at full length, or the one asked for."""
    for module in MODULES:
        importlib.import_module(f"tests.lab.data.cases_{module}")
    wanted = metafunc.config.getoption("--case")
    if wanted and wanted not in CASES:
        raise pytest.UsageError(f"there is no case {wanted}; there are {', '.join(CASES)}")
    mine = {name: spec for name, spec in CASES.items() if spec.store == store}
    if wanted:
        chosen = [wanted] if wanted in mine else []
    else:
        chosen = [name for name, spec in mine.items() if at_full_length() or spec.short]
    # a set of none would be a test that is skipped; conftest.py leaves out the case without a name
    metafunc.parametrize("name", chosen or [""])


def prove(name: str, world: World, again: bool) -> None:
    """Run a case, put its result on record, and fail with it; one that passed for this product is not run again."""
    done = load(SUITE).get(name)
    if done and done.passed and world.full_length and not again:
        return
    result = run(CASES[name], world)
    save(SUITE, [result], full_length=world.full_length)
    shown = ", ".join(f"{figure} {value:g}" for figure, value in result.figures.items())
    print(f"\n{name}: {'passed' if result.passed else 'FAILED'}: {shown}")
    assert result.passed, f"{result.note} ({shown})"


def run(spec: Spec, world: World) -> Case:
    """Run one case to its verdict; whatever it left broken is mended after."""
    result = Case(spec.name, roles=ROLES.get(spec.store, []))
    try:
        if spec.store == "redis":
            world.settle_redis()
        elif spec.store in ("postgresql", "operations", "backup"):
            world.settle()
        result.limits = spec.limits(world)
        result.figures = spec.show(world)
        over = result.over_limit()
        if spec.goes_red:
            red = [figure for figure in spec.goes_red if result.figures[figure] > result.limits[figure]]
            result.passed = bool(red)
            result.note = f"went red: {', '.join(red)}" if red else "stayed green without the protection"
        else:
            result.passed = not over
            result.note = "; ".join(over)
    except Exception as error:  # a case that breaks is a case that failed; the next one still runs
        result.note = f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-3)}"
    finally:
        world.mend()
    return result
