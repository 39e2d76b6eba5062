"""What a lab is to be: everything derives from one prefix and one network, and what cannot be built is refused."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.lab.shell import LabError
from ansible_collections.chainops.infra.plugins.module_utils.lab.spec import Spec


def spec(prefix: str = "lab", network: str = "10.87.0.0/16", secrets: tuple[str, ...] = (), **changes: Any) -> Spec:
    hosts = {
        "eth-a": {"address": "10.87.1.11", "region": "east"},
        "eth-b": {"address": "10.87.2.11", "region": "west"},
    }
    for name, values in changes.items():
        hosts[name.replace("_", "-")] = hosts.get(name.replace("_", "-"), {}) | values
    return Spec.from_dict({"prefix": prefix, "network": network, "hosts": hosts, "secrets": list(secrets)})


def test_names_and_addresses_derive() -> None:
    site = spec()
    site.validate()
    assert str(site.state_dir) == "/var/lib/chainops-lab/lab"
    assert {region: str(subnet) for region, subnet in site.regions.items()} == {
        "east": "10.87.1.0/24",
        "west": "10.87.2.0/24",
    }
    assert (site.bridge("west"), site.gateway("west")) == ("lab-west", "10.87.2.1")
    assert {site.mark("eth-a"), site.mark("eth-b")} == {0x10B, 0x20B}


def test_a_spec_survives_its_record() -> None:
    site = spec(
        eth_a={"disks": [{"path": "/var/lib/geth", "size": "2G"}], "capabilities": ["containers"], "memory_mb": 512}
    )
    assert Spec.from_dict(site.as_dict()) == site
    assert site.hosts["eth-a"].disks[0].size_bytes == 2 << 30


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prefix": "Lab"}, "lab_prefix is 'Lab'; lower case letters"),
        ({"prefix": "my-lab"}, "lab_prefix is 'my-lab'"),
        ({"prefix": "staginglab"}, "lab_prefix 'staginglab' is too long: at most 8"),
        (
            {"prefix": "staging8", "lb_x": {"address": "10.87.3.9", "region": "witness"}},
            "bridge 'staging8-witness' would have 16",
        ),
        ({"network": "10.87.0.0"}, "a private IPv4 /16 is needed"),
        ({"network": "10.87.0.0/24"}, "lab_network is '10.87.0.0/24'; a private IPv4 /16"),
        ({"network": "8.8.0.0/16"}, "a private IPv4 /16 is needed"),
        ({"network": "10.87.1.0/16"}, "has host bits set"),
        ({"eth_a": {"address": "10.88.1.11"}}, "ansible_host 10.88.1.11 is not in lab_network 10.87.0.0/16"),
        ({"eth_a": {"address": "eth-a.example"}}, "ansible_host is 'eth-a.example', not an IPv4 address"),
        ({"eth_a": {"address": "10.87.1.1"}}, r"\.1 \(the gateway\)"),
        ({"eth_b": {"address": "10.87.1.11"}}, "10.87.1.11 is also the address of eth-a"),
        ({"eth_b": {"address": "10.87.1.12"}}, "regions east and west share the subnet"),
        (
            {"lb_a": {"address": "10.87.2.21", "region": "east"}},
            "10.87.2.21 is not in 10.87.1.0/24, the subnet of region east",
        ),
        ({"eth_a": {"region": "East 1"}}, "site_region is 'East 1'"),
        ({"eth_a": {"capabilities": ["kvm"]}}, "lab_capabilities has 'kvm'; allowed: containers"),
        ({"eth_a": {"memory_mb": 64}}, "lab_memory_mb is 64; a host needs at least 128"),
        ({"eth_a": {"disks": [{"path": "data", "size": "1G"}]}}, "lab_disks has path 'data'"),
        ({"eth_a": {"disks": [{"path": "/", "size": "1G"}]}}, "lab_disks has path '/'"),
        ({"eth_a": {"disks": [{"path": "/a/../b", "size": "1G"}]}}, "lab_disks has path '/a/../b'"),
        ({"eth_a": {"disks": [{"path": "/data", "size": "1T"}]}}, "lab_disks has size '1T'; allowed: 32M or more"),
        ({"eth_a": {"disks": [{"path": "/data", "size": "8M"}]}}, "lab_disks has size '8M'"),
        ({"secrets": ("../id_ed25519",)}, "lab_secrets has '../id_ed25519'"),
        ({"UPPER": {"address": "10.87.1.12", "region": "east"}}, "a name is lower case letters"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_built_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(LabError, match=message):
        spec(**changes).validate()
