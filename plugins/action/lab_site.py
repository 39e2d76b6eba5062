# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Read from the inventory what the lab's hosts are to be, and hand it to the module of the same name."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

# host variable: (name in the module's parameters, what it is without one)
HOST_VARIABLES: dict[str, tuple[str, Any]] = {
    "ansible_host": ("address", None),
    "site_region": ("region", None),
    "lab_capabilities": ("capabilities", []),
    "lab_memory_mb": ("memory_mb", 0),
    "lab_disks": ("disks", []),
}


class ActionModule(ActionBase):
    """Inventory in, module out."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module with the inventory's hosts added."""
        result = super().run(tmp, task_vars)
        variables = task_vars or {}
        arguments = dict(self._task.args)
        if not arguments.get("hosts"):
            arguments["hosts"] = {name: self._host(name, variables) for name in variables["groups"]["all"]}
        arguments["limit"] = self._chosen(arguments, variables)
        result.update(self._execute_module(module_args=arguments, task_vars=task_vars))
        return result

    def _host(self, name: str, variables: dict[str, Any]) -> dict[str, Any]:
        own = variables["hostvars"][name]
        host = {}
        for variable, (parameter, default) in HOST_VARIABLES.items():
            value = own.get(variable, default)
            if value is None:
                raise AnsibleActionFail(f"host {name} has no {variable}; every host of a lab needs one")
            host[parameter] = value
        return host

    def _chosen(self, arguments: dict[str, Any], variables: dict[str, Any]) -> list[str]:
        """The hosts that limit and layers leave, in inventory order; empty when that is all of them."""
        groups, every = variables["groups"], list(arguments["hosts"])
        chosen = set(every)
        limit = arguments.get("limit") or []
        if limit:
            for name in limit:
                if name not in groups and name not in arguments["hosts"]:
                    raise AnsibleActionFail(
                        f"lab_limit has {name!r}, which is neither a host nor a group of the inventory"
                    )
            chosen = {host for name in limit for host in groups.get(name, [name])}
        layers = set(arguments.get("layers") or [])
        if layers:
            for name in every:
                needed_by = variables["hostvars"].get(name, {}).get("lab_for_layers") or []
                if needed_by and not layers & set(needed_by):
                    chosen.discard(name)
        if chosen == set(every):
            return []
        if not chosen:
            raise AnsibleActionFail("lab_limit and lab_layers together leave no host of the inventory")
        return [name for name in every if name in chosen]
