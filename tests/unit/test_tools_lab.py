"""tools/lab: what it hands to the playbooks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import lab  # noqa: E402 - tools/ is no package


@pytest.mark.parametrize(("name", "layers"), [("up", "data"), ("down", None)])
def test_layers_narrow_what_comes_up_and_never_what_is_removed(
    name: str, layers: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of the lab that stayed would keep its bridges and firewall table on the machine."""
    given: dict[str, str] = {}

    def run(_argv: list[str], env: dict[str, str], **_more: object) -> subprocess.CompletedProcess[str]:
        given.update(env)
        return subprocess.CompletedProcess([], 0)

    monkeypatch.setenv("LAYERS", "data")
    monkeypatch.setattr(lab.needs, "check_root", lambda: None)
    monkeypatch.setattr(lab.subprocess, "run", run)
    assert lab.play(name, []) == 0
    assert given.get("LAYERS") == layers
