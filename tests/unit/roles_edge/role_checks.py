"""What a role's own preflight says of variables on one host, and on several together, without a layer that runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible_collections.chainops.infra.plugins.plugin_utils.preflight.collection import Collection
from ansible_collections.chainops.infra.plugins.plugin_utils.preflight.host import check_role
from ansible_collections.chainops.infra.plugins.plugin_utils.preflight.scope import Scope, make_templar

ROOT = Path(__file__).resolve().parents[3]
LOADER = DataLoader()
COLLECTION = Collection(ROOT, "chainops.infra", LOADER)
REGIONS = {"db-a": "east", "db-b": "east", "db-c": "west", "db-d": "west"}
ADDRESSES = {host: f"10.87.1.{number}" for number, host in enumerate(REGIONS, 41)}


def site(host: str = "lb-a", **variables: Any) -> dict[str, Any]:
    """Variables of a host in a site that has a database cluster."""
    hostvars = {
        name: {"inventory_hostname": name, "ansible_host": ADDRESSES[name], "site_region": region}
        for name, region in REGIONS.items()
    }
    return {
        "inventory_hostname": host,
        "ansible_managed": "Ansible managed",
        "ansible_play_hosts": [host],
        "site_region": "east",
        "groups": {"all": list(REGIONS), "postgresql": list(REGIONS), "redis": ["db-a", "db-c", "db-d"]},
        "hostvars": hostvars,
        **variables,
    }


def mistakes(name: str, **variables: Any) -> list[str]:
    """What is said of a role with these variables, "" for the variable where a check names several."""
    role = COLLECTION.role(name)
    given = {**role.defaults, **site(), **variables, **role.variables}
    result = check_role("lb-a", role, Scope(make_templar(LOADER), given))
    return [f"{mistake.variable} {mistake.text}".strip() for mistake in result.mistakes]


def site_mistakes(name: str, hosts: list[dict[str, Any]]) -> list[str]:
    """Messages of the checks between hosts that do not hold."""
    role = COLLECTION.role(name)
    scope = Scope(make_templar(LOADER), {**role.defaults, **site(), "preflight_hosts": hosts})
    return [
        str(scope.template(rule["message"]))
        for rule in role.rules.site
        if "that" in rule and not scope.condition(rule["that"])
    ]
