"""Restore and drill as playbooks: nothing is stopped before the name was typed and the repository has answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

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


def members_play(operation: str) -> list[dict[str, Any]]:
    """What is done on one member after the other."""
    (play,) = [
        play for play in plays(operation) if play["hosts"] == "chainops_postgresql_standby:chainops_postgresql_leader"
    ]
    assert play["serial"] == 1 and play["any_errors_fatal"] is True
    return play["tasks"]


def holds(condition: str, **variables: Any) -> bool:
    templar = Templar(loader=DataLoader(), variables={"inventory_hostname": "db-a"} | variables)
    return bool(templar.evaluate_conditional(trust_as_template(condition)))


@pytest.mark.parametrize("operation", ["restart", "upgrade"])
def test_patroni_is_restarted_only_where_another_member_leads(operation: str) -> None:
    """And before PostgreSQL, which then runs under the unit as it is now."""
    tasks = members_play(operation)
    places = {
        name: [i for i, task in enumerate(tasks) if module(task, name)]
        for name in ("unit", "patroni_switchover", "patroni_restart")
    }
    asked, done = places["unit"]
    assert tasks[asked]["check_mode"] is True and "check_mode" not in tasks[done]
    assert "restart" not in tasks[done]["chainops.infra.unit"], "here it may"
    (switched,) = places["patroni_switchover"]
    assert asked < switched < done < places["patroni_restart"][-1]
    assert any(module(task, "patroni_cluster_info").get("wait_whole") for task in tasks[done:])


@pytest.mark.parametrize(
    ("leader", "action", "pending", "everybody", "moves"),
    [
        ("db-a", "none", False, False, False),
        ("db-a", "restarted", False, False, True),
        ("db-a", "none", True, False, True),
        ("db-a", "none", False, True, True),
        ("db-b", "restarted", True, True, False),
    ],
)
def test_the_leader_hands_over_before_any_restart(
    leader: str, action: str, pending: bool, everybody: bool, moves: bool
) -> None:
    (switch,) = [task for task in members_play("restart") if module(task, "patroni_switchover")]
    found = {"leader": leader, "members": [{"name": "db-a", "pending_restart": pending}]}
    given = {"__postgresql_now": found, "__postgresql_patroni": {"action": action}, "restart_all": everybody}
    assert holds(switch["when"], **given) is moves
