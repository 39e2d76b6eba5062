"""Every role has the same four steps, no logic, and few round trips."""

from __future__ import annotations

import pytest

from tests.unit.roles.role_files import ROLES, RoleFiles, used_in, walk

each_role = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
STEPS = ["Preflight", "Install", "Configure", "Service"]
# Roles that are no service on a host, and what they consist of instead
OTHER_STEPS = {
    "hardware_preflight": ["Preflight"],  # looks at a host and changes nothing
    "postgresql_objects": ["Preflight", "Configure", "Service"],  # what it speaks to is there
    "lab": ["The site on this machine"],  # one module makes the whole lab on the control node
}
WITHOUT_REMOTE_TASK = {
    "chainops.infra.preflight",
    "ansible.builtin.assert",
    "ansible.builtin.debug",
    "ansible.builtin.fail",
    "ansible.builtin.include_vars",
    "ansible.builtin.meta",
    "ansible.builtin.set_fact",
}
FORBIDDEN = {
    "ansible.builtin.shell": "a loop, a parse or a comparison belongs in a plugin",
    "ansible.builtin.raw": "hosts have Python",
    "ansible.builtin.script": "logic belongs in a plugin",
    "ansible.builtin.include_role": "playbooks compose roles, roles do not",
    "ansible.builtin.import_role": "playbooks compose roles, roles do not",
    "ansible.builtin.user": "users come from sysusers.d",
    "ansible.builtin.group": "groups come from sysusers.d",
}
KEYWORDS = {
    "name", "when", "register", "vars", "loop", "loop_control", "tags", "notify", "become", "become_user", "no_log",
    "check_mode", "changed_when", "failed_when", "until", "retries", "delay", "run_once", "delegate_to", "environment",
    "ignore_errors", "listen", "diff", "any_errors_fatal", "throttle",
}  # fmt: skip


def action(task: dict) -> str:
    """What a task runs."""
    return next((key for key in task if key not in KEYWORDS), "")


def reads_missing_facts(task: dict) -> bool:
    """Facts that the play has gathered already are not read again: no round trip."""
    return action(task) == "ansible.builtin.setup" and any(
        words in str(task.get("when")) for words in ("is not defined", "not in ansible_facts")
    )


@each_role
def test_the_steps_are_the_same_in_every_role(role: RoleFiles) -> None:
    assert [task.get("name") for task in role.tasks] == OTHER_STEPS.get(role.name, STEPS)
    if role.name not in OTHER_STEPS:
        assert all("block" in task for task in role.tasks)


@each_role
def test_preflight_comes_first(role: RoleFiles) -> None:
    if role.name == "lab":
        return
    first = next(task for task in role.all_tasks if not reads_missing_facts(task))
    assert first["chainops.infra.preflight"] == {"roles": [role.name]}


@each_role
def test_only_main_yml_holds_tasks(role: RoleFiles) -> None:
    assert [path.name for path in role.files("tasks/*")] == ["main.yml"]


@each_role
def test_nothing_forbidden_is_used(role: RoleFiles) -> None:
    used = {action(task) for task in [*role.all_tasks, *role.handlers]}
    assert {name: FORBIDDEN[name] for name in used & set(FORBIDDEN)} == {}
    assert [key for key, _value in walk(role.tasks) if key == "tasks_from"] == []


@each_role
def test_few_round_trips(role: RoleFiles) -> None:
    tasks = [task for task in role.all_tasks if not reads_missing_facts(task)]
    remote = [task.get("name") for task in tasks if action(task) not in WITHOUT_REMOTE_TASK]
    assert len(remote) <= 5, remote
    assert [task.get("name") for task in role.all_tasks if "loop" in task or "with_items" in task] == []


@each_role
def test_handlers_only_reload(role: RoleFiles) -> None:
    assert [handler["name"] for handler in role.handlers if "restarted" in str(handler)] == []


@each_role
def test_tasks_read_only_what_the_role_may_read(role: RoleFiles) -> None:
    data = [role.tasks, role.handlers, role.defaults, role.variables]
    assert sorted(name for name in used_in(data) if not role.may_read(name)) == []
