"""The way back: what is on disk at each moment. systemctl is a program that writes down what it is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.host import rollback


class World:
    def __init__(self, root: Path) -> None:
        self.config = root / "00-chainops.conf"
        self.state = root / "state"
        self.units = root / "units"
        self.log = root / "log"
        self.units.mkdir()

    def told(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path)
    monkeypatch.setattr(rollback, "STATE", made.state)
    monkeypatch.setattr(rollback, "UNITS", made.units)
    (tmp_path / "bin").mkdir()
    systemctl = tmp_path / "bin" / "systemctl"
    systemctl.write_text(f'#!/bin/sh\necho "$*" >> {made.log}\n')
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.defpath}")
    return made


def service(world: World) -> str:
    return (world.units / "chainops-sshd-rollback.service").read_text()


def test_armed_the_unit_brings_back_what_was_there(world: World) -> None:
    world.config.write_text("old\n")
    rollback.arm(world.config, 45)
    assert rollback.pending()
    assert (world.state / "before").read_text() == "old\n"
    assert f"ExecStart=/usr/bin/cp -p {world.state}/before {world.config}" in service(world)
    assert f"ConditionPathExists={world.state}/pending" in service(world)
    assert "OnActiveSec=45" in (world.units / "chainops-sshd-rollback.timer").read_text()
    assert world.told() == [
        "daemon-reload",
        "enable chainops-sshd-rollback.timer",
        "restart chainops-sshd-rollback.timer",
    ]


def test_armed_without_a_file_before_the_unit_removes_it(world: World) -> None:
    rollback.arm(world.config, 60)
    assert f"ExecStart=/usr/bin/rm -f {world.config}" in service(world)


def test_armed_again_after_a_killed_run_the_file_on_trial_is_not_taken_for_the_good_one(world: World) -> None:
    world.config.write_text("good\n")
    rollback.arm(world.config, 60)
    rollback.replace(world.config, "on trial\n")
    rollback.arm(world.config, 60)
    assert (world.state / "before").read_text() == "good\n"


def test_an_old_backup_of_a_finished_countdown_is_not_used(world: World) -> None:
    world.state.mkdir()
    (world.state / "before").write_text("of long ago\n")
    rollback.arm(world.config, 60)
    assert not (world.state / "before").exists()


def test_confirmed_nothing_is_left(world: World) -> None:
    world.config.write_text("old\n")
    rollback.arm(world.config, 60)
    assert rollback.confirm()
    assert not world.state.exists()
    assert list(world.units.iterdir()) == []
    assert "disable --now chainops-sshd-rollback.timer" in world.told()


def test_confirmed_too_late_it_says_so(world: World) -> None:
    rollback.arm(world.config, 60)
    (world.state / "pending").unlink()
    assert not rollback.confirm()


def test_restored_by_the_same_unit_as_the_timer_s(world: World) -> None:
    rollback.arm(world.config, 60)
    rollback.restore()
    assert "start chainops-sshd-rollback.service" in world.told()
    assert list(world.units.iterdir()) == []


def test_a_countdown_that_ran_out_is_cleared(world: World) -> None:
    rollback.clear()
    assert world.told() == []
    rollback.arm(world.config, 60)
    (world.state / "pending").unlink()
    rollback.clear()
    assert list(world.units.iterdir()) == []


def test_the_file_is_private_whatever_was_there(world: World) -> None:
    world.config.write_text("old\n")
    world.config.chmod(0o666)
    rollback.replace(world.config, "new\n")
    assert world.config.read_text() == "new\n"
    assert world.config.stat().st_mode & 0o777 == 0o600


def test_a_systemctl_that_fails_is_heard(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (world.config.parent / "bin/systemctl").write_text("#!/bin/sh\necho no bus >&2; exit 1\n")
    with pytest.raises(rollback.Failed, match="no bus"):
        rollback.arm(world.config, 60)
    assert not rollback.pending()
