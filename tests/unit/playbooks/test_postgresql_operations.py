"""Restore and drill as playbooks: nothing is stopped before the name was typed and the repository has answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

OPERATIONS = Path(__file__).parents[3] / "playbooks" / "operations"


def plays(name: str) -> list[dict[str, Any]]:
    return yaml.safe_load((OPERATIONS / f"postgresql_{name}.yml").read_text())


def module(task: dict[str, Any], name: str) -> dict[str, Any]:
    return task.get(f"chainops.infra.{name}") or {}


def test_the_restore_in_place_asks_the_repository_before_it_stops_anything() -> None:
    tasks = [task for play in plays("restore") for task in play["tasks"]]
    asked = next(i for i, task in enumerate(tasks) if module(task, "pgbackrest_restore").get("state") == "possible")
    stopped = [i for i, task in enumerate(tasks) if module(task, "unit").get("state") == "stopped"]
    restored = next(i for i, task in enumerate(tasks) if module(task, "pgbackrest_restore").get("archive_later"))
    assert asked < min(stopped) and max(stopped) < restored


def test_the_name_of_the_cluster_has_to_be_typed() -> None:
    checks = plays("restore")[0]["tasks"][0]["ansible.builtin.assert"]["that"]
    assert any("postgresql_restore_confirm" in check for check in checks)


def test_a_play_for_the_cluster_is_for_nobody_where_the_copy_goes_to_scratch() -> None:
    for play in plays("restore")[1:]:
        assert "else '!all' }}" in play["hosts"], play["name"]


def test_no_playbook_deletes_a_data_directory() -> None:
    for name in ("restore", "drill"):
        assert "state: absent" not in (OPERATIONS / f"postgresql_{name}.yml").read_text()


def test_a_drill_tries_every_repository_before_it_fails() -> None:
    tasks = plays("drill")[-1]["tasks"]
    names = [task["name"] for task in tasks]
    assert names.index("Drill a repository") < names.index("Fail if a repository is not to be trusted")
