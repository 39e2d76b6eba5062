# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Playbooks of operations: what a run of them rests on, as far as it shows without hosts."""

from __future__ import annotations

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[3]
OPERATIONS = ROOT / "playbooks" / "operations"


def plays(path: Path) -> list[dict]:
    return yaml.safe_load(path.read_text())


def layer_vars(path: Path) -> list[dict[str, str]]:
    found = [play.get("vars") or {} for play in plays(path)]
    return [{name: value for name, value in each.items() if name.startswith("__layer_")} for each in found]


def test_an_upgrade_gives_the_roles_what_the_layer_gives_them():
    layer = [each for each in layer_vars(ROOT / "playbooks" / "layers" / "ethereum.yml") if each]
    upgrade = [each for each in layer_vars(OPERATIONS / "rolling_upgrade.yml") if each]
    assert len(upgrade) == 1
    assert all(each == upgrade[0] for each in layer)


def test_an_upgrade_takes_one_pair_at_a_time_and_references_first():
    play = plays(OPERATIONS / "rolling_upgrade.yml")[-1]
    assert play["serial"] == 1
    assert play["hosts"].split(":") == [f"chainops_upgrade_{each}" for each in ("reference", "standby", "primary")]


def test_every_operation_says_how_it_is_run():
    for path in OPERATIONS.glob("*.yml"):
        assert f"chainops.infra.operations.{path.stem}" in path.read_text(), path.name
