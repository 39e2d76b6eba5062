"""Where the members of a cluster are, by the inventory."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.chainops.infra.plugins.filter.member_endpoints import member_endpoints

HOSTVARS: dict[str, dict[str, Any]] = {
    "db-b": {"ansible_host": "10.0.0.2", "redis_port": "6400"},
    "db-a": {"ansible_host": "10.0.0.1", "site_address": "10.9.0.1"},
    "db-c": {},
}


def test_the_site_s_address_goes_before_ansible_s_and_a_host_may_have_a_port_of_its_own() -> None:
    assert member_endpoints(["db-b", "db-a", "db-c"], HOSTVARS, "redis_port", 6379) == [
        {"name": "db-a", "address": "10.9.0.1", "port": 6379},
        {"name": "db-b", "address": "10.0.0.2", "port": 6400},
        {"name": "db-c", "address": "db-c", "port": 6379},
    ]


def test_a_host_that_the_inventory_does_not_have_is_named() -> None:
    with pytest.raises(AnsibleFilterError, match="'db-x' is no host of the inventory"):
        member_endpoints(["db-x"], HOSTVARS, "redis_port", 6379)
