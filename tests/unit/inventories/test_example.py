"""The production example: it passes every check as it is, and what an operator may get wrong in it is named."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.preflight import ROOT, CheckedInventory, message

LAYERS = ("baseline", "ethereum")


@pytest.fixture(scope="module")
def example() -> CheckedInventory:
    return CheckedInventory(ROOT / "inventories" / "example")


def test_the_example_passes_as_it_is(example: CheckedInventory) -> None:
    outcome = example.check(*LAYERS)
    assert message(outcome.mistakes) == ""
    assert len(outcome.hosts) == 8
    assert {"baseline", "hardware_preflight", "geth", "lighthouse", "prysm", "haproxy", "keepalived"} <= outcome.roles


def test_hoodi_is_one_variable(example: CheckedInventory) -> None:
    with example.changed("all", {"site_network": "hoodi"}):
        assert message(example.check(*LAYERS).mistakes) == ""


@pytest.mark.parametrize(
    ("hosts", "values", "words"),
    [
        ("eth-west-1", {"site_rack": "east-r07"}, "rack of the standby"),
        ("region_west", {"site_region": "east"}, "region of the standby"),
        ("region_west", {"site_uplinks": ["carrier-b-east"]}, "both use carrier-b-east"),
        ("region_east", {"site_datacentre_tier": 2}, "data centre of the primary: wanted tier 3"),
        ("eth-west-1", {"site_role": "primary"}, "standby: wanted one or more"),
        ("eth-west-1", {"hardware_preflight_overrides": {"nvme_tb": 4}}, "unknown key nvme_tb"),
        ("eth-west-1", {"hardware_preflight_classes": ["big"]}, "big is not in hardware_preflight_profiles"),
        ("all", {"hardware_preflight_mode": "strict"}, "must be one of enforce, warn, off"),
        ("all", {"hardware_preflight_primary_tier": 5}, "must be from 1 to 4"),
        ("eth-west-1", {"hardware_preflight_primary_tier": 2}, "the same on all hosts"),
        ("all", {"baseline_ntp_servers": []}, "this host would have no time at all"),
        ("all", {"baseline_ntp_servers": [{"adress": "a"}]}, "did you mean address?"),
        ("all", {"baseline_ssh_allow_users": ["alice"]}, "does not have ops (ansible_user)"),
        ("all", {"baseline_clock_max_ofset": 1}, "did you mean baseline_clock_max_offset?"),
        ("all", {"baseline_limit_nofile_soft": 2097152}, "is more than"),
        ("all", {"baseline_timezone": "Mars/../x"}, "a time zone such as"),
        ("all", {"baseline_sysctl_profiles": ["chains"]}, "did you mean chain?"),
        ("all", {"ansible_user": "root"}, "ansible_user is root"),
    ],
)
def test_what_an_operator_may_get_wrong_is_named(
    example: CheckedInventory, hosts: str, values: dict[str, Any], words: str
) -> None:
    with example.changed(hosts, values):
        assert words in message(example.check("baseline").mistakes)
