"""The module hardware_info on made-up hosts: every value comes with where it was read, or with why it was not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible_collections.chainops.infra.plugins.modules import hardware_info

from tests.unit.plugins.module_utils.hardware import fake_host
from tests.unit.plugins.modules.in_process import run_module

PARTS = {"system", "cpu", "memory", "storage", "raid", "network", "power"}


def readings(value: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """(path, reading) of every leaf that is a reading."""
    if isinstance(value, dict) and set(value) == {"value", "read_from", "error"}:
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from readings(item, f"{path}.{key}")


def test_what_a_host_is_made_of(tmp_path: Path) -> None:
    fake_host.execution_primary(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    result = run_module(hardware_info, root=str(tmp_path))
    hardware = result["hardware"]
    assert (result["changed"], set(hardware)) == (False, PARTS)
    assert hardware["cpu"]["cores"]["value"] == 32
    assert hardware["memory"]["installed_bytes"]["value"] == 128 * 2**30
    assert [drive["name"] for drive in hardware["storage"]["drives"]["value"]] == ["nvme0n1", "nvme1n1"]
    assert sorted(tmp_path.rglob("*")) == before
    assert run_module(hardware_info, check=True, root=str(tmp_path)) == result
    # It goes through a connection: what a host answers is JSON.
    assert json.loads(json.dumps(result)) == result


def test_what_could_not_be_read_says_why_and_is_not_nothing(tmp_path: Path) -> None:
    """A directory in which nothing stands: no reading is a guess."""
    hardware = run_module(hardware_info, root=str(tmp_path))["hardware"]
    found = dict(readings(hardware))
    for path in (".cpu.cores", ".memory.installed_bytes", ".memory.usable_bytes"):
        assert found[path]["value"] is None, path
        assert found[path]["error"].startswith("could not be read"), path
    unread = [path for path, each in found.items() if (each["value"] is None) != bool(each["error"])]
    assert unread == []


def test_this_machine_can_be_asked() -> None:
    hardware = run_module(hardware_info)["hardware"]
    assert hardware["cpu"]["threads"]["value"] >= 1
    assert hardware["memory"]["usable_bytes"]["value"] > 2**20
