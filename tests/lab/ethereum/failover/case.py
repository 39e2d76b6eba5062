"""The register of cases: a name, what must hold, and the function that shows it."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.lab.results import Case

from .world import World

Figures = dict[str, float]
Show = Callable[[World], Figures]


@dataclass
class Spec:
    """A case as it is written down. ``limits`` may be a function of the world, for those that depend on the policy."""

    name: str
    show: Show
    limits: Callable[[World], Figures]
    short: bool = False
    goes_red: list[str] = field(default_factory=list)
    """For a control: the figures of which at least one must be over its limit."""


CASES: dict[str, Spec] = {}


def case(
    name: str, *, short: bool = False, goes_red: list[str] | None = None, limits: Callable[[World], Figures]
) -> Callable[[Show], Show]:
    """Put a function on the register. It gets the settled world, returns figures, and may assert more."""

    def register(show: Show) -> Show:
        assert name not in CASES, f"two cases are called {name}"
        assert name.startswith("control-") == bool(goes_red), f"{name}: controls, and only they, say what goes red"
        CASES[name] = Spec(name, show, limits, short, goes_red or [])
        return show

    return register


def fresh_answers(world: World) -> Figures:
    """What every case promises: no request failed, no transaction lost, no answer too old."""
    return {"failed": 0, "tx_lost": 0, "oldest_answer_s": world.policy_age + 2}


def run(spec: Spec, world: World) -> Case:
    """Run one case to its verdict; whatever it left broken is mended before and after."""
    result = Case(spec.name)
    try:
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
        world.faults.undo_all()
    return result
