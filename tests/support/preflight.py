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
from ansible_collections.chainops.infra.plugins.plugin_utils.preflight.host import RoleOnHost
from ansible_collections.chainops.infra.plugins.plugin_utils.preflight.mistake import Mistake
from ansible_collections.chainops.infra.plugins.plugin_utils.preflight.report import report
from ansible_collections.chainops.infra.plugins.plugin_utils.preflight.scope import make_templar
from ansible_collections.chainops.infra.plugins.plugin_utils.preflight.site import Outcome, Site

NAME = "chainops.infra"
ROOT = Path(__file__).resolve().parents[2]
REGIONS = {"region_east": 1, "region_west": 2, "region_witness": 3}


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
        """These variables on every host of a pattern, over whatever the inventory says; may be nested."""
        hosts = self.inventory.get_hosts(pattern)
        assert hosts, f"no host matches {pattern}"
        kept = {name: dict(values) for name, values in self.manager._vars_cache.items()}
        for host in hosts:
            for name, value in variables.items():
                self.manager.set_host_variable(host.name, name, value)
        try:
            yield
        finally:
            self.manager._vars_cache.clear()
            self.manager._vars_cache.update(kept)

    def check(self, *layers: str, before_facts: bool = False, only: dict[str, bool] | None = None) -> Outcome:
        site = Site(
            self._collection, self.inventory, self.manager, self.loader, self._templar, before_facts=before_facts
        )
        return site.check(list(layers), only)

    def applied(self, layer: str, role: str) -> dict[str, RoleOnHost]:
        """What a role of a layer is given on each host that it is for."""
        site = Site(self._collection, self.inventory, self.manager, self.loader, self._templar)
        results = [each for play in self._collection.layer(layer) for each in site._check_play(play, {role: True})]
        return {each.host: each for each in results}


def message(mistakes: list[Mistake]) -> str:
    """The text a user would see, "" if there is no mistake."""
    return report(mistakes, NAME) if mistakes else ""


def lab_facts(region: int) -> dict[str, Any]:
    """What the layers gather of a host of the lab."""
    address = {"interface": "host0", "network": f"10.87.{region}.0", "netmask": "255.255.255.0", "prefix": "24"}
    return {
        "default_ipv4": address,
        "distribution": "Debian",
        "distribution_major_version": "13",
        "memtotal_mb": 24576,
        "mounts": [],
        "processor_vcpus": 2,
    }


def lab_inventory(layer: str = "", lab: Path = ROOT / "inventories" / "lab") -> CheckedInventory:
    """The lab's inventory of one layer, or the whole lab's, with the facts of its hosts."""
    checked = CheckedInventory(lab / f"{layer}.yml" if layer else lab)
    for group, number in REGIONS.items():
        for host in checked.inventory.get_hosts(group):
            checked.manager.set_host_facts(host.name, lab_facts(number))
    return checked


def noise(case: dict[str, Any], mistakes: list[Mistake]) -> list[str]:
    """What is said that names no variable of the case: one mistake must not look like many."""
    named = [*case["vars"], *case.get("also", [])]
    return [line for m in mistakes if not any(name in (line := f"{m.variable} {m.text}") for name in named)]
