"""The role on the hosts of a small site: two regions of two, and a witness."""

from __future__ import annotations

from typing import Any

from tests.unit.roles_ethereum.rendered import Role

SITE = {
    "db-a": ("10.87.1.21", "east"),
    "db-b": ("10.87.1.22", "east"),
    "db-c": ("10.87.2.21", "west"),
    "db-d": ("10.87.2.22", "west"),
    "witness": ("10.87.3.21", "witness"),
}
MEMBERS = ["db-a", "db-b", "db-c", "db-d"]
HOSTVARS = {host: {"ansible_host": address, "site_region": region} for host, (address, region) in SITE.items()}


def role(**variables: Any) -> Role:
    """As on db-a."""
    given = {
        "groups": {"postgresql": MEMBERS, "etcd": ["db-a", "db-c", "witness"]},
        "hostvars": HOSTVARS,
        "inventory_hostname": "db-a",
        "ansible_host": "10.87.1.21",
    }
    return Role("postgresql", **{**given, **variables})
