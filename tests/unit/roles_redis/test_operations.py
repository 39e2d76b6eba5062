"""The order of operations on Redis: nothing is restarted while it is master, and never two at once."""

from __future__ import annotations

from typing import Any

import yaml

from tests.unit.roles.role_files import ROOT

OPERATIONS = ROOT / "playbooks" / "operations"


def plays(name: str) -> list[dict[str, Any]]:
    return yaml.safe_load((OPERATIONS / f"{name}.yml").read_text())


def restarts(play: dict[str, Any]) -> bool:
    return any("ansible.builtin.systemd_service" in task for task in play["tasks"])


def test_replicas_are_restarted_one_by_one_and_the_master_after_it_was_moved() -> None:
    _known, _group, replicas, move, master = plays("redis_restart")
    assert replicas["serial"] == 1 and restarts(replicas) and restarts(master)
    assert (replicas["hosts"], move["hosts"], master["hosts"]) == (
        "redis_restart_first",
        "redis_restart_last",
        "redis_restart_last",
    )
    assert not restarts(move)
    assert move["tasks"][0]["chainops.infra.redis_master"]["away_from"] == "{{ inventory_hostname }}"
    for play in (replicas, move, master):
        assert play["any_errors_fatal"] is True


def test_every_restart_is_waited_for_before_the_next() -> None:
    for play in plays("redis_restart"):
        if restarts(play):
            assert play["tasks"][-1]["chainops.infra.redis_master"]["state"] == "known"


def test_the_role_never_restarts_a_server_that_runs() -> None:
    tasks = yaml.safe_load((ROOT / "roles" / "redis" / "tasks" / "main.yml").read_text())
    units = [task["chainops.infra.unit"] for block in tasks for task in block["block"] if "chainops.infra.unit" in task]
    (server,) = [unit for unit in units if unit["name"] == "redis-server.service"]
    assert server["restart"] == "report" and "restart_on" not in server


def test_the_report_of_a_drill_is_shown_when_it_is_red_too() -> None:
    (play,) = plays("redis_drill")
    (block,) = play["tasks"]
    assert "ansible.builtin.slurp" in block["always"][0]
