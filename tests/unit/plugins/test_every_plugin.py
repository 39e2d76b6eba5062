"""Every public plugin has a unit test that names it: a file of its own, or for a filter a call in one of theirs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
PLUGINS = HERE.parents[2] / "plugins"
KINDS = ("modules", "action", "filter", "lookup", "test")
PUBLIC = [(kind, path.stem) for kind in KINDS for path in sorted((PLUGINS / kind).glob("*.py"))]


@pytest.mark.parametrize(("kind", "name"), PUBLIC, ids=str)
def test_it_is_tested_by_name(kind: str, name: str) -> None:
    if kind in ("modules", "action"):
        # A module that is an action has its documentation only.
        places = ("action",) if (PLUGINS / "action" / f"{name}.py").exists() else ("modules",)
        assert [place for place in places if (HERE / place / f"test_{name}.py").is_file()]
        return
    called = re.compile(rf"(import|chainops\.infra\.|filters\(\)\[.)[\s(]*{name}\b|{kind}\.{name} import")
    assert [path.name for path in HERE.parent.rglob("test_*.py") if called.search(path.read_text(encoding="utf-8"))]
