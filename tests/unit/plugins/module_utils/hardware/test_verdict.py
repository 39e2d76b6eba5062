"""Profiles against made-up hosts, and placement against inventories."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.hardware import placement as where
from ansible_collections.chainops.infra.plugins.module_utils.hardware.collect import collect
from ansible_collections.chainops.infra.plugins.module_utils.hardware.verdict import (
    Line,
    check_profile,
    judge,
    strictest,
)

from . import fake_host

EXECUTION = {"cores": 32, "memory_gb": 64, "memory_ecc": True, "nvme_gb": 4000, "redundant_links_gbps": 10}
IPFS = {"nvme_gb": 2000, "memory_gb": 32, "bandwidth_gbps": 5, "power_supplies": 2, "hardware_raid": True}


def states(lines: list[Line]) -> dict[str, str]:
    return {line.item: line.state for line in lines}


def of(build: Callable[[Path], fake_host.Host], root: Path, profile: dict[str, Any]) -> dict[str, Line]:
    build(root)
    return {line.item: line for line in judge(profile, collect(str(root)))}


def test_a_good_primary_has_every_line_ok(tmp_path: Path) -> None:
    lines = of(fake_host.execution_primary, tmp_path, EXECUTION)
    assert states(list(lines.values())) == dict.fromkeys(lines, "ok")
    assert lines["processor cores"].found == "32 cores (64 threads, AMD EPYC 9354P 32-Core Processor)"
    assert lines["memory"].found == "128 GiB installed"
    assert lines["NVMe storage"].found == "7,682 GB (nvme0n1 3,841, nvme1n1 3,841)"
    assert lines["redundant links"].found == "eno1 25 Gbit/s, eno2 25 Gbit/s"
    assert all(line.read_from for line in lines.values())


def test_an_under_sized_host_has_every_line_short_with_what_was_found(tmp_path: Path) -> None:
    lines = of(fake_host.under_sized, tmp_path, {**EXECUTION, "power_supplies": 2, "hardware_raid": True})
    assert set(states(list(lines.values())).values()) == {"short"}
    assert lines["memory"].found == "32 GiB installed"
    assert lines["redundant links"].found == "enp1s0 1 Gbit/s, enp2s0 10 Gbit/s, enp2s1 down"
    assert lines["power supplies"].found == "1 of 2 give power; PSU2: unplugged"
    assert lines["RAID controller"].found == "none"


def test_what_a_virtual_machine_hides_is_its_own_answer(tmp_path: Path) -> None:
    lines = of(fake_host.virtual_machine, tmp_path, {**EXECUTION, "power_supplies": 2, "hardware_raid": True})
    assert states(list(lines.values())) == {
        "processor cores": "short",
        "memory": "short",
        "memory error correction": "unread",
        "NVMe storage": "short",
        "redundant links": "unread",
        "power supplies": "unread",
        "RAID controller": "unread",
    }
    assert all(line.found.startswith("could not be read: ") for line in lines.values() if line.state == "unread")


def test_a_container_cannot_tell_its_links(tmp_path: Path) -> None:
    lines = of(fake_host.container, tmp_path, {"redundant_links_gbps": 10, "bandwidth_gbps": 5})
    assert set(states(list(lines.values())).values()) == {"unread"}


def test_an_ipfs_host_counts_the_mirror_once(tmp_path: Path) -> None:
    lines = of(fake_host.ipfs, tmp_path, IPFS)
    assert states(list(lines.values())) == dict.fromkeys(lines, "ok")
    assert lines["NVMe storage"].found == "2,000 GB (nvme0n1 2,000, nvme1n1 2,000, less 2,001 for RAID)"
    assert lines["RAID controller"].found == "9005:028f (smartpqi) with sda RAID-6"
    assert lines["network bandwidth"].wanted == "5 Gbit/s or more, up"


def test_both_links_on_one_card_is_said_and_let_pass(tmp_path: Path) -> None:
    line = of(fake_host.ipfs, tmp_path, {"redundant_links_gbps": 10})["redundant links"]
    assert line.state == "ok"
    assert line.found.endswith("all on one card")


def test_a_bond_that_lost_a_member_is_not_redundant(tmp_path: Path) -> None:
    host = fake_host.execution_primary(tmp_path)
    proc = tmp_path / "proc/net/bonding/bond0"
    before, after = proc.read_text().rsplit("MII Status: up", maxsplit=1)
    host.write("/proc/net/bonding/bond0", f"{before}MII Status: down{after}")
    line = judge({"redundant_links_gbps": 10}, collect(str(tmp_path)))[0]
    assert line.state == "short"
    assert "eno2 25 Gbit/s (down in bond0)" in line.found


@pytest.mark.parametrize(("usable_gib", "state"), [(62.6, "ok"), (60.9, "ok"), (60.7, "short"), (47.0, "short")])
def test_without_the_firmware_a_reserve_may_be_missing(tmp_path: Path, usable_gib: float, state: str) -> None:
    host = fake_host.virtual_machine(tmp_path)
    host.memory(int(usable_gib * 2**20))
    line = judge({"memory_gb": 64}, collect(str(tmp_path)))[0]
    assert (line.state, line.read_from) == (state, "/proc/meminfo")


def test_the_firmware_s_word_leaves_no_tolerance(tmp_path: Path) -> None:
    host = fake_host.Host(tmp_path)
    host.smbios(fake_host.memory_array(6), fake_host.module(32, "A"), fake_host.module(16, "B"))
    line = judge({"memory_gb": 64}, collect(str(tmp_path)))[0]
    assert (line.state, line.found) == ("short", "48 GiB installed")


def test_a_drive_of_3_84_tb_is_no_drive_of_4_tb(tmp_path: Path) -> None:
    host = fake_host.virtual_machine(tmp_path)
    host.nvme(0, 3_840_755_982_336)
    hardware = collect(str(tmp_path))
    assert judge({"nvme_gb": 4000}, hardware)[0].state == "short"
    assert judge({"nvme_gb": 3840}, hardware)[0].state == "ok"


def test_the_health_of_a_drive_that_cannot_be_asked_is_unread(tmp_path: Path) -> None:
    host = fake_host.virtual_machine(tmp_path)
    host.nvme(0, 4 * 10**12)
    hardware = collect(str(tmp_path))
    assert judge({"nvme_healthy": True}, hardware)[0].state == "unread"
    health = hardware["storage"]["drives"]["value"][0]["health"]
    health.update(value={"critical_warning": 0, "used_percent": 12}, error=None)
    assert judge({"nvme_healthy": True}, hardware)[0].state == "ok"
    health.update(value={"critical_warning": 4, "used_percent": 12}, error=None)
    assert judge({"nvme_healthy": True}, hardware)[0].state == "short"


def test_a_profile_that_asks_nothing_says_nothing(tmp_path: Path) -> None:
    fake_host.container(tmp_path)
    assert judge({"cores": None, "hardware_raid": False}, collect(str(tmp_path))) == []


@pytest.mark.parametrize(
    ("profile", "part"),
    [
        ({"core": 4}, "unknown key core"),
        ({"cores": "32"}, "must be an integer of at least 1"),
        ({"cores": 0}, "at least 1"),
        ({"cores": True}, "must be an integer"),
        ({"hardware_raid": "yes"}, "must be true or false"),
    ],
)
def test_a_wrong_profile_is_named(profile: dict[str, Any], part: str) -> None:
    problems = check_profile("mine", profile)
    assert len(problems) == 1
    assert "mine" in problems[0] and part in problems[0]


def test_a_host_of_two_classes_gets_the_higher_values() -> None:
    assert strictest([{"cores": 32, "nvme_gb": None, "hardware_raid": False}, {"cores": 4, "memory_gb": 8}]) == {
        "cores": 32,
        "memory_gb": 8,
        "hardware_raid": False,
    }
    assert strictest([{"hardware_raid": False}, {"hardware_raid": True}]) == {"hardware_raid": True}


def host(name: str, role: str, region: str, *uplinks: str, tier: Any = 3) -> dict[str, Any]:
    return {
        "name": name,
        "group_names": ["ethereum_serving"],
        "site_role": role,
        "site_region": region,
        "site_rack": f"{region}-r1",
        "site_uplinks": list(uplinks),
        "site_datacentre_tier": tier,
    }


GOOD = [host("eth-a", "primary", "east", "c1", "c2"), host("eth-b", "standby", "west", "c3", tier=2)]


def test_a_good_placement_has_no_fault_and_shows_every_line() -> None:
    assert where.faults(GOOD, 3) == []
    assert [(name, line.item) for name, line in where.placement(GOOD, 3)] == [
        ("eth-a", "data centre of the primary"),
        ("eth-b", "region of the standby"),
        ("eth-b", "rack of the standby"),
        ("eth-b", "uplinks of the standby"),
    ]


@pytest.mark.parametrize(
    ("which", "changes", "words"),
    [
        (1, {"site_region": "east"}, "east on both"),
        (1, {"site_rack": "east-r1"}, "east-r1 on both"),
        (1, {"site_uplinks": ["c9", "c2"]}, "both use c2"),
        (1, {"site_uplinks": []}, "site_uplinks of eth-b is not set"),
        (0, {"site_rack": ""}, "site_rack of eth-a is not set"),
        (0, {"site_datacentre_tier": 2}, "tier 2"),
        (0, {"site_datacentre_tier": "3"}, "site_datacentre_tier of eth-a is not set"),
    ],
)
def test_each_wrong_placement_is_one_fault_that_names_the_variable(
    which: int, changes: dict[str, Any], words: str
) -> None:
    hosts = [dict(each) for each in GOOD]
    hosts[which].update(changes)
    faults = where.faults(hosts, 3)
    assert len(faults) == 1
    assert words in faults[0] and "inventory: site_" in faults[0]


def test_hosts_of_other_groups_do_not_count() -> None:
    balancer = {**GOOD[1], "name": "lb-a2", "group_names": ["rpc_balancers"], "site_region": "east"}
    assert where.faults([*GOOD, balancer], 3) == []


def test_a_serving_host_has_a_role_and_a_primary_has_a_standby() -> None:
    other = {**GOOD[1], "name": "eth-x", "site_role": None}
    assert where.faults([*GOOD, other], 3) == [
        "eth-x: role of the host: wanted primary or standby, site_role of eth-x is not set (inventory: site_role)"
    ]
    assert where.faults(GOOD[:1], 3) == [
        "eth-a: standby: wanted one or more, none (inventory: site_role in group ethereum_serving)"
    ]
