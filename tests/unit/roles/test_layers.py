"""Layers compose roles: they check first, and say what roles do not know of each other through __layer_ variables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.unit.roles.role_files import LAYERS, ROLES, ROOT, load, used_in

each_layer = pytest.mark.parametrize("path", LAYERS, ids=lambda path: path.stem)
BY_NAME = {role.name: role for role in ROLES}


def plays_with_roles(path: Path) -> list[dict[str, Any]]:
    return [play for play in load(path) if play.get("roles")]


def role_names(play: dict[str, Any]) -> list[str]:
    entries = [entry if isinstance(entry, str) else entry.get("role") or entry["name"] for entry in play["roles"]]
    return [name.rsplit(".", maxsplit=1)[-1] for name in entries]


def preflight_tasks(play: dict[str, Any]) -> list[dict[str, Any]]:
    return [task for task in play.get("tasks") or [] if "chainops.infra.preflight" in task]


def assert_checked_before_and_after_facts(play: dict[str, Any], layers: list[str]) -> None:
    """Wrong variables are listed although no host can be reached; and what needs facts is looked at before a change."""
    before, facts, after = play["tasks"]
    assert before["chainops.infra.preflight"] == {"layers": layers, "before_facts": True}
    assert "ansible.builtin.setup" in facts
    assert after["chainops.infra.preflight"] == {"layers": layers}
    for task in (before, after):
        assert task["run_once"] is True
        assert "always" in str(play.get("tags", "")) + str(task.get("tags", ""))


@each_layer
def test_a_layer_checks_all_hosts_first(path: Path) -> None:
    play = load(path)[0]
    assert play["hosts"] == "all"
    assert_checked_before_and_after_facts(play, [path.stem])


def test_the_site_checks_every_layer_first() -> None:
    site = load(ROOT / "playbooks" / "site.yml")
    imported = [
        Path(play["ansible.builtin.import_playbook"]).stem for play in site if "ansible.builtin.import_playbook" in play
    ]
    assert_checked_before_and_after_facts(site[0], imported)
    assert sorted(imported) == sorted(path.stem for path in LAYERS)


@each_layer
def test_roles_are_named_in_full(path: Path) -> None:
    entries = [entry for play in plays_with_roles(path) for entry in play["roles"]]
    names = [entry if isinstance(entry, str) else entry.get("role") or entry["name"] for entry in entries]
    assert [name for name in names if not name.startswith("chainops.infra.")] == []


@each_layer
def test_a_layer_only_sets_layer_variables_and_a_role_reads_each(path: Path) -> None:
    """Plays of a layer may share their vars: it is enough that one of its roles reads each."""
    plays = plays_with_roles(path)
    roles = [BY_NAME[name] for play in plays for name in role_names(play) if name in BY_NAME]
    read = used_in([[role.defaults, role.variables] for role in roles]) | used_in([play.get("vars") for play in plays])
    given = {name for play in plays for name in play.get("vars") or {}}
    assert sorted(name for name in given if not name.startswith("__layer_")) == []
    assert sorted(given - read) == []


@each_layer
def test_what_a_layer_takes_for_an_option_nobody_set_is_the_role_s_default(path: Path) -> None:
    """A layer cannot see the defaults of another play's role, so it repeats them: geth_http_port | default(8545)."""
    options = {name: option for role in ROLES for name, option in role.options.items()}
    text = str([play.get("vars") for play in load(path)])
    repeated = {(name, value) for name, value in re.findall(r"(\w+) \| default\((\d+)\)", text) if name in options}
    assert sorted((name, value) for name, value in repeated if str(options[name]["default"]) != value) == []
    assert repeated or path.stem != "ethereum"
