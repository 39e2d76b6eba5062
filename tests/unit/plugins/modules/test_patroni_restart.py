# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""patroni_restart against an API over TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chainops.infra.plugins.modules import patroni_restart

from tests.unit.plugins.modules.in_process import run_module
from tests.unit.plugins.modules.patroni_site import Patroni, certificates


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def patroni(paths: dict[str, str]) -> Iterator[Patroni]:
    made = Patroni(paths)
    yield made
    made.server.shutdown()
    made.server.server_close()


def run(patroni: Patroni, paths: dict[str, str], check: bool = False, **options: Any) -> dict[str, Any]:
    given = {"address": "127.0.0.1", "port": patroni.port, "name": "db-b", "timeout": 2, **paths}
    return run_module(patroni_restart, check, **(given | options))


def program(folder: Path, version: str) -> str:
    path = folder / "postgres"
    path.write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_without_a_reason_nothing_is_restarted(patroni: Patroni, paths: dict[str, str], tmp_path: Path) -> None:
    found = run(patroni, paths, program=program(tmp_path, "17.6 (Debian 17.6-1)"))
    assert (found["changed"], found["reasons"], patroni.requests) == (False, [], [])
    assert run(patroni, paths, always=True)["reasons"] == ["asked for"]


def test_a_parameter_that_waits_is_a_reason(patroni: Patroni, paths: dict[str, str]) -> None:
    waiting = {"max_connections": {"old_value": "100", "new_value": "200"}}
    patroni.member.update(pending_restart=True, pending_restart_reason=waiting)
    assert run(patroni, paths, check=True)["reasons"] == ["max_connections: 100 to 200"]
    assert patroni.requests == []
    found = run(patroni, paths)
    assert (found["changed"], found["pending_restart"], found["leads"]) == (True, False, False)
    assert patroni.requests == ["POST /restart {}"]


def test_another_installed_version_is_a_reason(patroni: Patroni, paths: dict[str, str], tmp_path: Path) -> None:
    assert run(patroni, paths, program=program(tmp_path, "17.7"))["reasons"] == ["17.6 runs, 17.7 is installed"]
    assert "no version" in run(patroni, paths, program=program(tmp_path, "seventeen"))["msg"]


@pytest.mark.parametrize(
    ("unit", "due"), [("patroni.service", True), ("another.service", False)], ids=["this member's", "another server's"]
)
def test_another_build_of_the_version_is_a_reason(
    patroni: Patroni, paths: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, unit: str, due: bool
) -> None:
    """A server's file is replaced, as dpkg does it, while the server runs."""
    path = program(tmp_path, "17.6 (Debian 17.6-2)")
    process = tmp_path / "proc" / "4711"
    process.mkdir(parents=True)
    (process / "exe").symlink_to(f"{path} (deleted)")
    (process / "cgroup").write_text(f"0::/system.slice/{unit}\n")
    (tmp_path / "proc" / "2").mkdir()
    monkeypatch.setattr(patroni_restart, "PROC", tmp_path / "proc")
    found = run(patroni, paths, check=True, program=path)["reasons"]
    assert found == (["another build of 17.6 is installed than the one that runs"] if due else [])


def test_a_leader_is_not_restarted_unless_that_is_said(patroni: Patroni, paths: dict[str, str]) -> None:
    found = run(patroni, paths, name="db-a", always=True)
    assert found["failed"] and "have another member lead first" in found["msg"] and patroni.requests == []
    assert run(patroni, paths, name="db-a", always=True, leader=True)["changed"] is True


def test_what_still_waits_afterwards_is_told(patroni: Patroni, paths: dict[str, str]) -> None:
    patroni.member.update(pending_restart=True)
    patroni.on_change["/restart"] = lambda body: patroni.member.update(postmaster_start_time="2")
    assert run(patroni, paths)["pending_restart"] is True


def test_one_that_does_not_come_back_is_a_failure(patroni: Patroni, paths: dict[str, str]) -> None:
    patroni.on_change["/restart"] = lambda body: patroni.named("db-b").update(state="start failed")
    found = run(patroni, paths, always=True)
    assert found["failed"] and "db-b is start failed 2 s after its restart" in found["msg"]
