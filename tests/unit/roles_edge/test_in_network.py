"""Whether an address belongs to a network, as the roles' checks ask."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.chainops.infra.plugins.filter.in_network import FilterModule

in_network = FilterModule().filters()["in_network"]


@pytest.mark.parametrize(
    ("address", "network", "belongs"),
    [
        ("10.87.1.100", "10.87.1.0/24", True),
        ("10.87.1.100", "10.87.1.21/255.255.255.0", True),
        ("10.87.2.100", "10.87.1.0/24", False),
        ("10.87.1.0", "10.87.1.0/24", False),
        ("10.87.1.255", "10.87.1.0/24", False),
        ("10.87.1.7", "10.87.1.7/32", True),
        ("10.87.1.6", "10.87.1.6/31", True),
        ("2001:db8::5", "2001:db8::/64", True),
        ("10.87.1.100", "2001:db8::/64", False),
    ],
)
def test_in_network(address: str, network: str, belongs: bool) -> None:
    assert in_network(address, network) is belongs


@pytest.mark.parametrize(("address", "network"), [("10.87.1.300", "10.87.1.0/24"), ("10.87.1.1", "east"), ("", "")])
def test_what_is_neither_is_said(address: str, network: str) -> None:
    with pytest.raises(AnsibleFilterError, match="in_network: "):
        in_network(address, network)
