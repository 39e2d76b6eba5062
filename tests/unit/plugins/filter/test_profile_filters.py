"""Filters over profiles of hardware and of kernel parameters, and over where hosts stand, as templates use them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

PROFILES = {"execution": {"cores": 32, "memory_gb": 64}, "ipfs": {"cores": 16, "nvme_gb": 2000}, "any": None}
SYSCTL = {"chain": {"vm.swappiness": 1, "net.core.somaxconn": 4096}, "edge": {"net.core.somaxconn": 65535}}


def template(expression: str, **variables: Any) -> Any:
    return Templar(loader=DataLoader(), variables=variables).template(trust_as_template("{{ " + expression + " }}"))


@pytest.mark.parametrize(
    ("classes", "overrides", "wanted"),
    [
        ([], None, {}),
        (["execution"], None, {"cores": 32, "memory_gb": 64}),
        (["ipfs", "execution"], None, {"cores": 32, "memory_gb": 64, "nvme_gb": 2000}),
        (["any", "ipfs"], None, {"cores": 16, "nvme_gb": 2000}),
        (["execution"], {"cores": 8, "hardware_raid": True}, {"cores": 8, "memory_gb": 64, "hardware_raid": True}),
        (["execution"], {"cores": None}, {"cores": None, "memory_gb": 64}),
    ],
)
def test_hardware_profile_takes_the_higher_value_and_the_host_s_own_over_all(
    classes: list[str], overrides: dict[str, Any] | None, wanted: dict[str, Any]
) -> None:
    found = template("p | chainops.infra.hardware_profile(c, o)", p=PROFILES, c=classes, o=overrides)
    assert found == wanted


def test_hardware_profile_names_a_class_that_nobody_describes() -> None:
    with pytest.raises(AnsibleError, match="no hardware profile mainframe, big: known are execution, ipfs, any"):
        template("p | chainops.infra.hardware_profile(['mainframe', 'ipfs', 'big'])", p=PROFILES)


def test_hardware_profile_faults_are_all_of_every_profile() -> None:
    assert template("p | chainops.infra.hardware_profile_faults", p={"execution": PROFILES["execution"]}) == []
    wrong = {"a": {"core": 4, "cores": "32"}, "b": [], "c": {"hardware_raid": "yes"}, "d": {"cores": None}}
    faults = template("p | chainops.infra.hardware_profile_faults", p=wrong)
    assert len(faults) == 4
    for words in (
        "unknown key core",
        "profile a: cores = '32': must be an integer of at least 1",
        "profile b = []: must be a dictionary",
        "profile c: hardware_raid = 'yes': must be true or false",
    ):
        assert sum(words in fault for fault in faults) == 1, words


def host(name: str, role: str, region: str, uplink: str, *, tier: int = 3, group: str = "ethereum_serving") -> dict:
    place = {"site_region": region, "site_rack": f"{region}-r1", "site_uplinks": [uplink], "site_datacentre_tier": tier}
    return {"name": name, "group_names": [group], "site_role": role, **place}


def test_placement_faults_are_those_of_primaries_and_standbys() -> None:
    good = [host("eth-a", "primary", "east", "c1"), host("eth-b", "standby", "west", "c2", tier=2)]
    assert template("h | chainops.infra.placement_faults", h=good) == []
    (fault,) = template("h | chainops.infra.placement_faults(primary_tier=4)", h=good)
    assert "eth-a" in fault and "wanted tier 4" in fault
    beside = [good[0], host("eth-b", "standby", "east", "c2")]
    faults = template("h | chainops.infra.placement_faults", h=beside)
    assert len(faults) == 2
    assert any("region of the standby" in fault and "east on both" in fault for fault in faults)
    assert any("rack of the standby" in fault and "east-r1 on both" in fault for fault in faults)


def test_placement_faults_can_be_those_of_another_group() -> None:
    hosts = [host("eth-a", "primary", "east", "c1", group="signers"), host("eth-b", "standby", "east", "c2")]
    assert template("h | chainops.infra.placement_faults(group='nobody')", h=hosts) == []
    (fault,) = template("h | chainops.infra.placement_faults(group='signers')", h=hosts)
    assert "eth-a: standby" in fault


@pytest.mark.parametrize("hosts", ["eth-a", {"eth-a": {}}, ["eth-a"]])
def test_placement_faults_want_hosts(hosts: Any) -> None:
    with pytest.raises(AnsibleError, match="placement_faults wants a list of hosts"):
        template("h | chainops.infra.placement_faults", h=hosts)


@pytest.mark.parametrize(
    ("names", "overrides", "wanted"),
    [
        ([], None, {}),
        (["chain"], None, SYSCTL["chain"]),
        (["chain", "edge"], None, {"vm.swappiness": 1, "net.core.somaxconn": 65535}),
        (["edge", "chain"], None, {"vm.swappiness": 1, "net.core.somaxconn": 4096}),
        (["chain"], {"net.core.somaxconn": None, "vm.max_map_count": 0}, {"vm.swappiness": 1, "vm.max_map_count": 0}),
    ],
)
def test_sysctl_profile_takes_the_last_value_and_null_takes_one_away(
    names: list[str], overrides: dict[str, Any] | None, wanted: dict[str, Any]
) -> None:
    assert template("p | chainops.infra.sysctl_profile(n, o)", p=SYSCTL, n=names, o=overrides) == wanted
    assert SYSCTL["chain"] == {"vm.swappiness": 1, "net.core.somaxconn": 4096}


def test_sysctl_profile_names_one_that_nobody_describes() -> None:
    with pytest.raises(AnsibleError, match="no sysctl profile chains: known are chain, edge"):
        template("p | chainops.infra.sysctl_profile(['chain', 'chains'])", p=SYSCTL)
