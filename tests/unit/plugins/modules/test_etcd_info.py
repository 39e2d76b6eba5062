# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a cluster may be founded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chainops.infra.plugins.modules import etcd_info

from tests.unit.plugins.modules.in_process import run_module


def look(root: Path, data_dir: str = "data") -> dict[str, Any]:
    configured = [str(root / name) for name in ("run.yml", "etcd.yml")]
    return run_module(etcd_info, data_dir=str(root / data_dir), founding=str(root / ".founding"), configured=configured)


@pytest.mark.parametrize(
    ("data", "founding", "empty"), [(False, False, True), (True, False, False), (True, True, True), (False, True, True)]
)
def test_data_of_a_founding_that_never_got_ready_is_no_data(
    tmp_path: Path, data: bool, founding: bool, empty: bool
) -> None:
    if data:
        (tmp_path / "data" / "member").mkdir(parents=True)
    if founding:
        (tmp_path / ".founding").touch()
    found = look(tmp_path)
    assert found == {"changed": False, "has_data": data, "founding": founding, "empty": empty}


@pytest.mark.parametrize("configuration", ["run.yml", "etcd.yml"])
@pytest.mark.parametrize("written", ['"{}"', "'{}'", "{}"])
def test_a_member_s_data_is_not_left_behind(tmp_path: Path, configuration: str, written: str) -> None:
    """A new directory would be an empty one, and empty members found a new cluster."""
    (tmp_path / "data" / "member").mkdir(parents=True)
    line = f"data-dir: {written.format(tmp_path / 'data')}"
    (tmp_path / configuration).write_text(f"name: db-a\n{line}\nlog-level: info\n", encoding="utf-8")
    refused = look(tmp_path, "elsewhere")
    assert refused["failed"]
    for words in (str(tmp_path / "elsewhere"), f"{tmp_path / configuration} names {tmp_path / 'data'}", "stop etcd"):
        assert words in refused["msg"]
    assert look(tmp_path)["has_data"], "where it was it may stay"
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    assert look(tmp_path, "elsewhere") == {"changed": False, "has_data": True, "founding": False, "empty": False}


def test_a_configuration_without_data_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "etcd.yml").write_text(f"data-dir: {tmp_path / 'never'}\n", encoding="utf-8")
    (tmp_path / "run.yml").write_text("name: db-a\n", encoding="utf-8")
    assert look(tmp_path)["empty"]


def test_another_path_to_the_same_directory_is_no_move(tmp_path: Path) -> None:
    (tmp_path / "disk" / "member").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    (tmp_path / "etcd.yml").write_text(f"data-dir: {tmp_path / 'disk'}\n", encoding="utf-8")
    assert look(tmp_path, "link")["has_data"]


def test_a_configuration_that_cannot_be_read_founds_nothing(tmp_path: Path) -> None:
    (tmp_path / "etcd.yml").write_bytes(b"data-dir: \xff\n")
    assert look(tmp_path)["failed"]
