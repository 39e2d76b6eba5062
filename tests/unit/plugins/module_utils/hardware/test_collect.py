"""What is read of made-up hosts, and what is said where nothing can be read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.hardware import ethtool, power, smbios
from ansible_collections.chainops.infra.plugins.module_utils.hardware.collect import collect
from ansible_collections.chainops.infra.plugins.module_utils.hardware.reading import Unreadable, attempt, first, found
from ansible_collections.chainops.infra.plugins.module_utils.hardware.tree import Tree

from . import fake_host
from .fake_host import GIB


@pytest.fixture
def primary(tmp_path: Path) -> dict[str, Any]:
    fake_host.execution_primary(tmp_path)
    return collect(str(tmp_path))


def leaves(value: Any) -> list[dict[str, Any]]:
    """Every reading in a result."""
    if isinstance(value, dict):
        own = [value] if {"value", "read_from", "error"} <= set(value) else []
        return own + [leaf for each in value.values() for leaf in leaves(each)]
    return [leaf for each in value for leaf in leaves(each)] if isinstance(value, list) else []


def test_processors_count_cores_not_threads(primary: dict[str, Any]) -> None:
    cpu = primary["cpu"]
    assert (cpu["cores"]["value"], cpu["threads"]["value"], cpu["sockets"]["value"]) == (32, 64, 1)
    assert cpu["model"]["value"] == "AMD EPYC 9354P 32-Core Processor"
    assert "sha_ni" in cpu["flags"]["value"]


def test_memory_is_what_the_firmware_has_installed(primary: dict[str, Any]) -> None:
    memory = primary["memory"]
    assert memory["installed_bytes"]["value"] == 128 * GIB
    assert "SMBIOS type 17" in memory["installed_bytes"]["read_from"]
    assert [each["slot"] for each in memory["modules"]["value"]] == ["DIMM_A", "DIMM_B", "DIMM_C", "DIMM_D"]
    assert memory["modules"]["value"][0]["ecc_bits"] == 16
    assert memory["ecc"] == {"value": True, "read_from": "/sys/devices/system/edac/mc/mc*", "error": None}
    assert memory["errors"]["value"] == {"corrected": 2, "uncorrected": 0}


def test_drives_have_size_kind_and_state_but_no_serial_number(primary: dict[str, Any]) -> None:
    drives = primary["storage"]["drives"]["value"]
    assert [each["name"] for each in drives] == ["nvme0n1", "nvme1n1"]
    assert drives[0]["size_bytes"]["value"] == 3_840_755_982_336
    assert drives[0]["transport"]["value"] == "nvme"
    assert drives[0]["rotational"]["value"] is False
    assert drives[0]["state"]["value"] == "live"
    assert "no command is run" in drives[0]["health"]["error"]
    assert not any("serial" in key for key in drives[0])


def test_ports_are_hardware_and_know_their_card_and_bond(primary: dict[str, Any]) -> None:
    ports = primary["network"]["ports"]["value"]
    assert [(each["name"], each["card"], each["bond"]) for each in ports] == [
        ("eno1", "0000:81:00", "bond0"),
        ("eno2", "0000:82:00", "bond0"),
    ]
    assert ports[0]["speed_mbps"]["value"] == 25000
    assert ports[0]["driver"]["value"] == "ice"
    bond = primary["network"]["bonds"]["value"][0]
    assert bond["mode"]["value"] == "802.3ad"
    assert [(each["name"], each["up"], each["failures"]) for each in bond["members"]["value"]] == [
        ("eno1", True, 1),
        ("eno2", True, 1),
    ]


def test_supplies_come_from_the_firmware_where_there_is_no_sensor(primary: dict[str, Any]) -> None:
    supplies = primary["power"]["supplies"]
    assert [each["works"] for each in supplies["value"]] == [True, True]
    assert "SMBIOS type 39" in supplies["read_from"]


def test_a_port_that_is_off_has_no_speed_but_is_known_to_be_down(tmp_path: Path) -> None:
    fake_host.under_sized(tmp_path)
    port = collect(str(tmp_path))["network"]["ports"]["value"][2]
    assert port["link"]["value"] is False
    assert port["speed_mbps"]["error"] == "could not be read: the link is down"


def test_a_virtual_machine_says_what_it_hides(tmp_path: Path) -> None:
    fake_host.virtual_machine(tmp_path)
    hardware = collect(str(tmp_path))
    installed = hardware["memory"]["installed_bytes"]
    assert installed["value"] is None
    assert installed["error"].startswith("could not be read: there is no such file; this is a virtual machine")
    speed = hardware["network"]["ports"]["value"][0]["speed_mbps"]
    assert speed["error"] == "could not be read: the driver does not know it (it says -1)"
    assert hardware["storage"]["drives"]["value"][0]["transport"]["value"] == "virtio"


def test_a_container_does_not_pass_off_its_virtual_port_as_a_link(tmp_path: Path) -> None:
    fake_host.container(tmp_path)
    ports = collect(str(tmp_path))["network"]["ports"]
    assert ports["value"] is None
    assert ports["error"] == "could not be read: this is a container (systemd-nspawn), which does not show it"


def test_raid_of_the_controller_and_of_the_kernel(tmp_path: Path) -> None:
    fake_host.ipfs(tmp_path)
    raid = collect(str(tmp_path))["raid"]
    controller = raid["controllers"]["value"][0]
    assert (controller["id"], controller["driver"], controller["hardware"]) == ("9005:028f", "smartpqi", True)
    assert controller["volumes"][0]["level"]["value"] == "RAID-6"
    array = raid["arrays"]["value"][0]
    assert (array["name"], array["level"], array["members"], array["missing"]) == (
        "md0",
        "raid1",
        ["nvme0n1", "nvme1n1"],
        0,
    )
    assert array["lost_bytes"]["value"] == 2 * 2_000_398_934_016 - 2_000_000_000_000


@pytest.mark.parametrize(("driver", "hardware"), [("megaraid_sas", True), ("vmd", False), ("ahci", False), ("", None)])
def test_the_class_raid_alone_is_no_hardware_raid(tmp_path: Path, driver: str, hardware: bool | None) -> None:
    host = fake_host.virtual_machine(tmp_path)
    host.raid_controller("0000:21:00.0", driver, (0x8086, 0x28C0))
    controllers = collect(str(tmp_path))["raid"]["controllers"]["value"]
    assert [each["hardware"] for each in controllers] == [hardware]


def test_a_degraded_array_shows_its_missing_member(tmp_path: Path) -> None:
    host = fake_host.virtual_machine(tmp_path)
    host.write(
        "/proc/mdstat",
        "Personalities : [raid1]\nmd127 : active (auto-read-only) raid1 sda2[0]\n  9 blocks [2/1] [U_]\n",
    )
    array = collect(str(tmp_path))["raid"]["arrays"]["value"][0]
    assert (array["name"], array["level"], array["members"], array["missing"]) == ("md127", "raid1", ["sda2"], 1)


def test_a_bare_directory_gives_errors_and_no_zero(tmp_path: Path) -> None:
    found_nothing = collect(str(tmp_path))
    for part in ("cores", "threads", "model"):
        assert found_nothing["cpu"][part]["value"] is None
    readings = leaves(found_nothing)
    assert len(readings) > 15
    assert all((each["value"] is None) == bool(each["error"]) for each in readings)
    assert all(each["read_from"] for each in readings)


def test_without_topology_the_firmware_counts_the_cores(tmp_path: Path) -> None:
    host = fake_host.Host(tmp_path)
    host.smbios(fake_host.processor(300, 600), fake_host.processor(8, 16, populated=False))
    cores = collect(str(tmp_path))["cpu"]["cores"]
    assert cores["value"] == 300
    assert "SMBIOS type 4" in cores["read_from"]


def test_a_table_cut_short_is_an_error_not_less_memory(tmp_path: Path) -> None:
    host = fake_host.execution_primary(tmp_path)
    table = tmp_path / "sys/firmware/dmi/tables/DMI"
    host.write("/sys/firmware/dmi/tables/DMI", table.read_bytes()[:150])
    installed = collect(str(tmp_path))["memory"]["installed_bytes"]
    assert installed["value"] is None
    assert "SMBIOS structure of type" in installed["error"]


def test_a_module_of_unknown_size_makes_the_sum_unknown(tmp_path: Path) -> None:
    host = fake_host.execution_primary(tmp_path)
    broken = bytearray(fake_host.module(16, "DIMM_X"))
    broken[0x0C:0x0E] = b"\xff\xff"
    host.smbios(fake_host.memory_array(6), fake_host.module(32, "DIMM_A"), bytes(broken))
    installed = collect(str(tmp_path))["memory"]["installed_bytes"]
    assert "does not know the size of DIMM_X" in installed["error"]


@pytest.mark.parametrize(("gib", "ecc"), [(16, True), (32, False), (256, True)])
def test_module_sizes_in_the_old_and_the_extended_field(gib: int, ecc: bool) -> None:
    modules = smbios.memory_modules(smbios.parse(fake_host.module(gib, "A1", ecc) + fake_host.END))
    assert modules[0]["size_bytes"] == gib * GIB
    assert modules[0]["ecc_bits"] == (16 if ecc else 0)
    assert (modules[0]["type"], modules[0]["speed_mts"]) == ("DDR5", 4800)


def test_a_structure_of_an_old_version_is_shorter() -> None:
    old = fake_host.structure(17, 1, b"\0\x10\xfe\xff\x48\0\x40\0\0\x20\x09\0\x01", "DIMM0")
    assert smbios.memory_modules(smbios.parse(old + fake_host.END))[0]["size_bytes"] == 8 * GIB


def test_sensors_tell_dead_and_missing_supplies() -> None:
    text = (
        "PS1 Status       | C8h | ok  | 10.1 | Presence detected\n"
        "PS2 Status       | C9h | ok  | 10.2 | Presence detected, Power Supply AC lost\n"
        "PS3 Status       | CAh | ns  | 10.3 | No Reading\n"
        "PS Redundancy    | 77h | ok  |  7.1 | Redundancy Lost\n"
        "PS1 Input Power  | 32h | ok  | 10.1 | 120 Watts\n"
    )
    assert power.parse_sensors(text) == [
        {"name": "PS1 Status", "present": True, "works": True, "faults": []},
        {"name": "PS2 Status", "present": True, "works": False, "faults": ["Power Supply AC lost"]},
        {"name": "PS3 Status", "present": False, "works": False, "faults": []},
    ]


def test_the_fastest_mode_of_a_mask() -> None:
    assert ethtool.fastest(1 << 5 | 1 << 12 | 1 << 31 | 1 << 6) == 25000
    assert ethtool.fastest(1 << 6 | 1 << 7) is None


def test_ethtool_on_a_port_without_one_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        ethtool.fastest_supported("no-such-port")


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("1")
    tree = Tree(str(tmp_path))
    (tmp_path / "secret").chmod(0)
    if os.geteuid() == 0:
        (tmp_path / "directory").mkdir()
        assert attempt(lambda: tree.text("/directory"), "/directory")["error"] == "could not be read: Is a directory"
    else:
        assert "permission denied" in (attempt(lambda: tree.text("/secret"), "/secret")["error"] or "")


def test_a_link_that_leads_out_of_the_root_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/")
    with pytest.raises(Unreadable, match="leads out"):
        Tree(str(tmp_path)).target("/link")


def test_commands_that_are_missing_fail_or_hang() -> None:
    tree = Tree()
    with pytest.raises(Unreadable, match="not installed"):
        tree.command("no-such-program")
    with pytest.raises(Unreadable, match="ended with status 1"):
        tree.command("false")
    assert tree.command("echo", "yes") == "yes\n"


def test_first_keeps_every_reason() -> None:
    assert first(attempt(lambda: int("x"), "/a"), found(3, "/b"))["value"] == 3
    both = first(attempt(lambda: int("x"), "/a"), attempt(lambda: int("y"), "/b"))
    assert both["read_from"] == "/a, /b"
    assert both["error"].count("/a") == 1 and "'y'" in both["error"]
