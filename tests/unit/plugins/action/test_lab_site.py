"""The action takes the hosts of a lab from the inventory, and names what the inventory lacks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.chainops.infra.plugins.action.lab_site import ActionModule

HOSTVARS: dict[str, dict[str, Any]] = {
    "eth-a": {
        "ansible_host": "10.87.1.11",
        "site_region": "east",
        "lab_disks": [{"path": "/var/lib/geth", "size": "2G"}],
        "lab_for_layers": ["ethereum"],
        "secret": "not the lab's business",
    },
    "db-a": {"ansible_host": "10.87.1.31", "site_region": "east", "lab_for_layers": ["data"], "lab_memory_mb": 512},
    "lb-a": {"ansible_host": "10.87.1.21", "site_region": "east"},
}
GROUPS = {"all": list(HOSTVARS), "balancers": ["lb-a"], "databases": ["db-a"]}


def run(monkeypatch: pytest.MonkeyPatch, hostvars: dict[str, Any] | None = None, **arguments: Any) -> dict[str, Any]:
    """The arguments that reach the module."""
    task = SimpleNamespace(args=arguments, async_val=0)
    action = ActionModule(task, SimpleNamespace(), SimpleNamespace(), SimpleNamespace(), None, None)
    given: dict[str, Any] = {}
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda _self, _tmp, _vars: {})
    monkeypatch.setattr(action, "_execute_module", lambda module_args, task_vars: given.update(module_args) or {})
    action.run(task_vars={"groups": GROUPS, "hostvars": hostvars or HOSTVARS})
    return given


def test_hosts_come_from_the_inventory_with_what_concerns_the_lab_only(monkeypatch: pytest.MonkeyPatch) -> None:
    given = run(monkeypatch)
    assert given["hosts"]["eth-a"] == {
        "address": "10.87.1.11",
        "region": "east",
        "capabilities": [],
        "memory_mb": 0,
        "disks": [{"path": "/var/lib/geth", "size": "2G"}],
    }
    assert given["hosts"]["db-a"]["memory_mb"] == 512
    assert given["limit"] == []


@pytest.mark.parametrize(
    ("limit", "layers", "chosen"),
    [
        (["lb-a", "eth-a"], [], ["eth-a", "lb-a"]),
        (["balancers", "databases"], [], ["db-a", "lb-a"]),
        (["all"], [], []),
        ([], ["ethereum"], ["eth-a", "lb-a"]),
        ([], ["ethereum", "data"], []),
        (["eth-a", "db-a"], ["data"], ["db-a"]),
    ],
)
def test_limit_and_layers_narrow(monkeypatch: Any, limit: list[str], layers: list[str], chosen: list[str]) -> None:
    assert run(monkeypatch, limit=limit, layers=layers)["limit"] == chosen


def test_an_unknown_name_in_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AnsibleActionFail, match="lab_limit has 'eth-z', which is neither a host nor a group"):
        run(monkeypatch, limit=["eth-z"])


def test_nothing_left_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AnsibleActionFail, match="leave no host"):
        run(monkeypatch, limit=["eth-a"], layers=["data"])


@pytest.mark.parametrize("variable", ["ansible_host", "site_region"])
def test_a_host_without_address_or_region_is_named(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    broken = HOSTVARS | {"lb-a": {name: value for name, value in HOSTVARS["lb-a"].items() if name != variable}}
    with pytest.raises(AnsibleActionFail, match=f"host lb-a has no {variable}"):
        run(monkeypatch, hostvars=broken)
