"""The checks of the action preflight in this process: an inventory is read once, then checked with any change to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.manager import VariableManager
from ansible_collections.chainops.infra.plugins.plugin_utils.preflight.collection import Collection
from ansible_collections.chainops.infra.plugins.plugin_utils.preflight.mistake import Mistake
from ansible_collections.chainops.infra.plugins.plugin_utils.preflight.report import report
from ansible_collections.chainops.infra.plugins.plugin_utils.preflight.scope import make_templar
from ansible_collections.chainops.infra.plugins.plugin_utils.preflight.site import Outcome, Site

NAME = "chainops.infra"
ROOT = Path(__file__).resolve().parents[2]


class CheckedInventory:
    """An inventory and a collection, without a run: nothing here could reach a host."""

    def __init__(self, inventory: Path, collection: Path = ROOT) -> None:
        self.loader = DataLoader()
        self.inventory = InventoryManager(self.loader, [str(inventory)])
        self.manager = VariableManager(self.loader, self.inventory)
        self._collection = Collection(collection, NAME, self.loader)
        self._templar = make_templar(self.loader)

    def yaml(self, path: Path) -> Any:
        """A YAML file whose strings may be templates, as in an inventory."""
        return self.loader.load_from_file(str(path), trusted_as_template=True)

    @contextmanager
    def changed(self, pattern: str, variables: dict[str, Any]) -> Iterator[None]:
        """These variables on every host of a pattern, over whatever the inventory says."""
        hosts = self.inventory.get_hosts(pattern)
        assert hosts, f"no host matches {pattern}"
        for host in hosts:
            for name, value in variables.items():
                self.manager.set_host_variable(host.name, name, value)
        try:
            yield
        finally:
            self.manager._vars_cache.clear()

    def check(self, *layers: str, before_facts: bool = False, only: dict[str, bool] | None = None) -> Outcome:
        site = Site(
            self._collection, self.inventory, self.manager, self.loader, self._templar, before_facts=before_facts
        )
        return site.check(list(layers), only)


def message(mistakes: list[Mistake]) -> str:
    """The text a user would see, "" if there is no mistake."""
    return report(mistakes, NAME) if mistakes else ""
