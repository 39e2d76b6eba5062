"""The measured tables of pages say what the result file says, or nothing is written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import measured  # noqa: E402 - tools/ is no package

PAGE = """# A page

<!-- measured: zero_host-* switchover | runs lost outage_s -->
old
<!-- measured: end -->

The rest.
"""


def case(name: str, passed: bool = True, limits: dict[str, float] | None = None, **figures: float) -> dict[str, Any]:
    return {"case": name, "passed": passed, "figures": figures, "limits": limits or {}}


def document(*cases: dict[str, Any]) -> dict[str, Any]:
    return {"machine": "2 cores", "cases": list(cases)}


def test_a_table_has_the_cases_in_the_page_s_order_and_their_limits() -> None:
    found = measured.page(
        PAGE,
        document(
            case("switchover", limits={"outage_s": 5, "lost": 0}, lost=0, outage_s=3.52),
            case("zero_host-host-killed", runs=3, lost=0, outage_s=22.5),
            case("another", lost=7),
        ),
    )
    assert found.splitlines()[3:10] == [
        "",
        "On 2 cores:",
        "",
        "| case | runs | lost | outage_s |",
        "| --- | --- | --- | --- |",
        "| `zero_host-host-killed` | 3 | 0 | 22.5 |",
        "| `switchover` |  | 0 | 3.52 (at most 5) |",
    ]
    assert found.endswith("<!-- measured: end -->\n\nThe rest.\n")


def test_a_second_time_nothing_changes() -> None:
    what = document(case("switchover", lost=0), case("zero_host-host-killed", lost=0))
    once = measured.page(PAGE, what)
    assert measured.page(once, what) == once


@pytest.mark.parametrize(
    ("cases", "words"),
    [
        ([case("switchover", lost=0)], "zero_host-\\*: no such case"),
        ([case("switchover", passed=False), case("zero_host-x")], "not passed: switchover"),
    ],
    ids=["missing", "failed"],
)
def test_what_was_not_shown_is_in_no_page(cases: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(measured.Unproven, match=words):
        measured.page(PAGE, document(*cases))
