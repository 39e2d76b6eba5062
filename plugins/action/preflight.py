# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Check the variables of hosts and roles before anything is changed; documented in plugins/modules/preflight.py."""

from __future__ import annotations

import hashlib
import json
import typing as t
from pathlib import Path

from ansible import constants as C
from ansible.plugins.action import ActionBase
from ansible_collections.chainops.infra.plugins.plugin_utils.preflight.collection import Collection
from ansible_collections.chainops.infra.plugins.plugin_utils.preflight.host import check_role
from ansible_collections.chainops.infra.plugins.plugin_utils.preflight.report import merge, merge_notes, plural, report
from ansible_collections.chainops.infra.plugins.plugin_utils.preflight.scope import Scope, make_templar
from ansible_collections.chainops.infra.plugins.plugin_utils.preflight.site import Outcome, Site, unknown_names

NAME = "chainops.infra"


class ActionModule(ActionBase):
    """Reads the inventory, the layers and the roles; opens no connection to any host."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = False
    seen_before = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={
                "layers": {"type": "list", "elements": "str"},
                "roles": {"type": "list", "elements": "str"},
                "before_facts": {"type": "bool", "default": False},
            },
            required_one_of=[["layers", "roles"]],
            mutually_exclusive=[["layers", "roles"]],
        )
        variables = task_vars or {}
        collection = Collection(Path(__file__).parents[2], NAME, self._loader)
        if arguments["layers"]:
            outcome = self._layers(collection, arguments["layers"], variables, arguments["before_facts"])
        else:
            outcome = self._roles(collection, arguments["roles"], variables)
        result.update(changed=False, notes=merge_notes(outcome.notes), mistakes=merge(outcome.mistakes))
        if outcome.mistakes:
            result.update(failed=True, msg=report(outcome.mistakes, NAME))
        elif outcome.roles:
            where = f"{plural(len(outcome.roles), 'role')} on {plural(len(outcome.hosts), 'host')}"
            result["msg"] = f"{where}: {plural(outcome.options, 'option')} good"
        else:
            result["msg"] = "found good before in this run" if self.seen_before else "no role applies to any host"
        return result

    def _layers(
        self, collection: Collection, layers: list[str], variables: dict[str, t.Any], before_facts: bool
    ) -> Outcome:
        """All hosts and roles of layers; what was found good is not looked at again while nothing has changed.

        After a good check without facts, that is all but what waited for them.
        """
        hostvars = variables["hostvars"]
        manager, inventory = hostvars._variable_manager, hostvars._inventory
        everything, without_facts = hashlib.sha256(), hashlib.sha256()
        for host in inventory.get_hosts("all", ignore_limits=True):
            given = manager.get_vars(host=host, include_hostvars=False)
            everything.update(repr(sorted(given.items())).encode())
            facts = {
                "ansible_facts",
                "discovered_interpreter_python",
                *(f"ansible_{name}" for name in given.get("ansible_facts") or {}),
            }
            without_facts.update(repr(sorted(item for item in given.items() if item[0] not in facts)).encode())
        # Every task runs in a process of its own; what they share is this run's temporary directory, which ansible
        # makes for each run and removes at its end.
        here = Path(C.DEFAULT_LOCAL_TMP)
        good = {layer: here / f"preflight-{layer}-{everything.hexdigest()}" for layer in layers}
        waited = {layer: here / f"preflight-facts-{layer}-{without_facts.hexdigest()}" for layer in layers}
        marks = waited if before_facts else good
        todo = [layer for layer in layers if not marks[layer].exists()]
        only: dict[str, bool] | None = None
        if not before_facts and all(waited[layer].exists() for layer in todo):
            only = {}
            for layer in todo:
                for name, whole in json.loads(waited[layer].read_text()).items():
                    only[name] = only.get(name, False) or whole
        outcome = Outcome()
        self.seen_before = not todo or (only is not None and not only)
        if not self.seen_before:
            site = Site(collection, inventory, manager, self._loader, before_facts=before_facts)
            outcome = site.check(todo, only)
        if not outcome.mistakes:
            for layer in todo:
                marks[layer].write_text(json.dumps(outcome.waiting))
        return outcome

    def _roles(self, collection: Collection, roles: list[str], variables: dict[str, t.Any]) -> Outcome:
        """These roles on the current host, with the variables the task sees."""
        outcome = Outcome()
        host = variables["inventory_hostname"]
        options = {name: collection.role(name).names for name in collection.role_names}
        for name in roles:
            role = collection.role(name)
            scope = Scope(make_templar(self._loader), {**role.defaults, **variables, **role.variables})
            outcome.add(check_role(host, role, scope))
            outcome.mistakes += unknown_names(host, variables, options, only=role.name)
        return outcome
