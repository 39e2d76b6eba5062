"""The lab's inventory, where a mistake would not show as an error."""

from __future__ import annotations

import yaml

from tests.support.preflight import ROOT

VARIABLES = ROOT / "inventories" / "lab" / "group_vars" / "all" / "lab.yml"


def test_a_connection_belongs_to_the_machine_that_it_goes_to() -> None:
    """By the inventory's name, a delegated task would find the socket of the host that it is delegated from."""
    path = yaml.safe_load(VARIABLES.read_text(encoding="utf-8"))["ansible_control_path"]
    assert "%%h" in path
    assert "inventory_hostname" not in path
