# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Roles and layers of this collection as they stand on disk, in a checkout as in an installed copy."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader

from .rules import Rules, parse

ROLE_ENTRY_KEYS = {"role", "name", "vars", "when", "tags", "become", "become_user", "environment"}
PLAY_KEYS_WITH_TASKS = ("tasks", "pre_tasks", "post_tasks")
TASK_KEYS_WITH_TASKS = ("block", "rescue", "always")
APPLY_ROLE = ("import_role", "include_role")


@dataclass
class Role:
    """What preflight needs to know of one role; errors says what is wrong with its files."""

    name: str
    options: dict[str, dict[str, t.Any]] = field(default_factory=dict)
    defaults: dict[str, t.Any] = field(default_factory=dict)
    variables: dict[str, t.Any] = field(default_factory=dict)
    rules: Rules = field(default_factory=Rules)
    path: str = ""
    errors: list[str] = field(default_factory=list)

    @property
    def names(self) -> set[str]:
        """Names an inventory may set."""
        aliases = {alias for option in self.options.values() for alias in option.get("aliases") or []}
        return set(self.options) | aliases | set(self.rules.known)

    def reads(self, expression: t.Any) -> set[str]:
        """Every name in an expression (or in a list of them), and in the role's own values of those names."""
        found: set[str] = set()
        todo = [expression]
        while todo:
            new = set(re.findall(r"\w+", str(todo.pop()))) - found
            found |= new
            todo += [values[name] for name in new for values in (self.variables, self.defaults) if name in values]
        return found


@dataclass
class Applied:
    """A role as a play applies it."""

    name: str
    variables: dict[str, t.Any]
    when: list[t.Any]

    @property
    def short_name(self) -> str:
        return self.name.rsplit(".", maxsplit=1)[-1]


@dataclass
class LayerPlay:
    """One play of a layer."""

    layer: str
    name: str
    hosts: t.Any
    variables: dict[str, t.Any]
    roles: list[Applied]


class Collection:
    """The collection whose directory is given; name is namespace.name."""

    def __init__(self, root: Path, name: str, loader: DataLoader) -> None:
        self.root = root
        self.name = name
        self._loader = loader
        self._roles: dict[str, Role] = {}

    @cached_property
    def role_names(self) -> list[str]:
        return sorted(path.name for path in (self.root / "roles").glob("*") if (path / "meta").is_dir())

    def read(self, path: Path) -> t.Any:
        """The content of a YAML file, its strings trusted as templates as in a play; None if there is no such file."""
        if not path.is_file():
            return None
        # As it is: nobody changes it here, and copying it takes longer than reading it.
        return self._loader.load_from_file(str(path), unsafe=True, trusted_as_template=True)

    def role(self, name: str) -> Role:
        """The role of that name, or of that name in this collection (namespace.name.role)."""
        short = name.removeprefix(f"{self.name}.")
        if short not in self._roles:
            self._roles[short] = self._read_role(short)
        return self._roles[short]

    def _read_role(self, name: str) -> Role:
        path = self.root / "roles" / name
        role = Role(name=name, path=str(path))
        if not path.is_dir():
            role.errors.append(f"there is no role {name} in {self.name}: {', '.join(self.role_names) or 'none'}")
            return role
        specs = (self.read(path / "meta" / "argument_specs.yml") or {}).get("argument_specs") or {}
        if "main" not in specs:
            role.errors.append(f"roles/{name}/meta/argument_specs.yml is missing or has no entry point main")
        role.options = {key: value or {} for key, value in ((specs.get("main") or {}).get("options") or {}).items()}
        role.defaults = self.read(path / "defaults" / "main.yml") or {}
        role.variables = self.read(path / "vars" / "main.yml") or {}
        role.rules = parse(self.read(path / "meta" / "preflight.yml"))
        role.errors += [f"roles/{name}/meta/preflight.yml {error}" for error in role.rules.errors]
        return role

    def layer(self, name: str) -> list[LayerPlay]:
        """The plays of playbooks/layers/<name>.yml that apply roles."""
        path = self.root / "playbooks" / "layers" / f"{name}.yml"
        plays = self.read(path)
        if not isinstance(plays, list):
            layers = sorted(item.stem for item in path.parent.glob("*.yml"))
            raise AnsibleError(f"there is no layer {name} in {self.name}: {', '.join(layers) or 'none'}")
        return [play for play in (read_play(name, play) for play in plays) if play.roles]


def read_play(layer: str, play: dict[str, t.Any]) -> LayerPlay:
    """One play; what preflight would not see in it (roles applied deep in tasks) is an error, not a gap."""
    where = f"playbooks/layers/{layer}.yml: play {play.get('name', play.get('hosts'))!s}"
    if play.get("vars_files"):
        raise AnsibleError(f"{where} has vars_files; a layer sets __layer_* variables under vars:")
    play_when = as_list(play.get("when"))
    roles = []
    for entry in play.get("roles") or []:
        item: dict[str, t.Any] = {"role": entry} if isinstance(entry, str) else dict(entry)
        parameters = {key: value for key, value in item.items() if key not in ROLE_ENTRY_KEYS}
        roles.append(
            Applied(
                name=str(item.get("role") or item.get("name")),
                variables={**parameters, **(item.get("vars") or {})},
                when=play_when + as_list(item.get("when")),
            )
        )
    for key in PLAY_KEYS_WITH_TASKS:
        for task in play.get(key) or []:
            applied = role_of(task)
            if applied and (key != "tasks" or "{{" in applied):
                raise AnsibleError(
                    f"{where} applies a role in {key}; preflight sees roles by name under roles: and tasks:"
                )
            if applied:
                variables, when = task.get("vars") or {}, play_when + as_list(task.get("when"))
                roles.append(Applied(name=applied, variables=variables, when=when))
            elif applies_deeper(task):
                raise AnsibleError(f"{where} applies a role in a block, where preflight does not see it")
    return LayerPlay(layer, str(play.get("name", "")), play.get("hosts"), play.get("vars") or {}, roles)


def role_of(task: dict[str, t.Any]) -> str:
    """The name of the role that a task applies; empty for other tasks."""
    for word, arguments in task.items():
        if str(word).rsplit(".", maxsplit=1)[-1] in APPLY_ROLE:
            return str(arguments["name"])
    return ""


def applies_deeper(task: dict[str, t.Any]) -> bool:
    inner = [inside for key in TASK_KEYS_WITH_TASKS for inside in task.get(key) or []]
    return any(role_of(inside) or applies_deeper(inside) for inside in inner)


def as_list(value: t.Any) -> list[t.Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]
