"""The files of a role, read once, and which variables a piece of it uses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, meta, nodes

ROOT = Path(__file__).resolve().parents[3]
# Variables that Ansible itself defines; `item` only for what a plugin loops over.
MAGIC = {
    "ansible_check_mode",
    "ansible_diff_mode",
    "ansible_facts",
    "ansible_host",
    "ansible_limit",
    "ansible_managed",
    "ansible_play_hosts",
    "ansible_play_batch",
    "ansible_play_hosts_all",
    "ansible_search_path",
    "ansible_user",
    "ansible_version",
    "group_names",
    "lookup",
    "now",
    "query",
    "groups",
    "hostvars",
    "inventory_hostname",
    "inventory_hostname_short",
    "omit",
    "playbook_dir",
    "role_name",
    "role_path",
    "template_destpath",
    "template_path",
}
# Keywords whose text is an expression without braces
EXPRESSIONS = {"when", "that", "until", "failed_when", "changed_when", "among"}


class AnyName(dict):
    """Filters or tests of which every name exists: whether it does is ansible-lint's business."""

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name, str)


ENVIRONMENT = Environment(extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"])
ENVIRONMENT.filters = AnyName(ENVIRONMENT.filters)
ENVIRONMENT.tests = AnyName(ENVIRONMENT.tests)


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None


def used(text: str) -> set[str]:
    """Variables that a template reads from outside of itself."""
    text = re.sub(r"\A#jinja2:.*\n", "", text)
    tree = ENVIRONMENT.parse(text)
    # What is set in one branch and read in another counts as undeclared; whether the branches fit is for its own tests.
    assigned = {node.name for node in tree.find_all(nodes.Name) if node.ctx == "store"}
    return meta.find_undeclared_variables(tree) - assigned


def walk(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """(key, value) of everything in a structure that is no list and no dictionary; a list's items have its key."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from walk(item, str(name))
    elif isinstance(value, list):
        for item in value:
            yield from walk(item, key)
    else:
        yield key, value


def used_in(data: Any) -> set[str]:
    """Variables read by templates and expressions in YAML."""
    names: set[str] = set()
    for key, value in walk(data):
        if not isinstance(value, str):
            continue
        if "{{" in value or "{%" in value:
            names |= used(value)
        elif key in EXPRESSIONS:
            names |= used("{{ (" + value + ") }}")
    return names


def keys_under(data: Any, name: str) -> set[str]:
    """The keys of every dictionary that stands under a name, wherever that is (vars:)."""
    found: set[str] = set()
    if isinstance(data, dict):
        for key, value in data.items():
            if key == name and isinstance(value, dict):
                found |= set(value)
            found |= keys_under(value, name)
    elif isinstance(data, list):
        for item in data:
            found |= keys_under(item, name)
    return found


@dataclass(frozen=True)
class RoleFiles:
    """One role."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def spec(self) -> dict[str, Any]:
        return load(self.path / "meta" / "argument_specs.yml")["argument_specs"]["main"]

    @cached_property
    def options(self) -> dict[str, dict[str, Any]]:
        return self.spec.get("options") or {}

    @cached_property
    def defaults(self) -> dict[str, Any]:
        return load(self.path / "defaults" / "main.yml") or {}

    @cached_property
    def variables(self) -> dict[str, Any]:
        return load(self.path / "vars" / "main.yml") or {}

    @cached_property
    def rules(self) -> Any:
        return load(self.path / "meta" / "preflight.yml")

    @cached_property
    def tasks(self) -> list[dict[str, Any]]:
        return load(self.path / "tasks" / "main.yml") or []

    @cached_property
    def handlers(self) -> list[dict[str, Any]]:
        return load(self.path / "handlers" / "main.yml") or []

    @cached_property
    def all_tasks(self) -> list[dict[str, Any]]:
        """Every task of every block of tasks/main.yml."""

        def flat(tasks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
            for task in tasks:
                inner = [item for word in ("block", "rescue", "always") for item in task.get(word) or []]
                if inner:
                    yield from flat(inner)
                else:
                    yield task

        return list(flat(self.tasks))

    @cached_property
    def local_names(self) -> set[str]:
        """Names that tasks give: vars, register, loop variables."""
        data = [self.tasks, self.handlers, self.variables, self.defaults]
        names = keys_under(data, "vars")
        for task in [*self.all_tasks, *self.handlers]:
            names |= {task["register"]} if "register" in task else set()
            names |= {(task.get("loop_control") or {}).get("loop_var", "item")} if "loop" in task else set()
        return names

    @cached_property
    def known(self) -> set[str]:
        """Every variable that this role may read."""
        return MAGIC | set(self.options) | set(self.variables) | self.local_names

    def may_read(self, name: str) -> bool:
        return name in self.known or name.startswith(("site_", "__layer_"))

    def files(self, *patterns: str) -> list[Path]:
        return sorted(path for pattern in patterns for path in self.path.glob(pattern) if path.is_file())


ROLES = [RoleFiles(path.parents[1]) for path in sorted(ROOT.glob("roles/*/meta/argument_specs.yml"))]
LAYERS = sorted(ROOT.glob("playbooks/layers/*.yml"))
