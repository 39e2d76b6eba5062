"""pgbackrest_stanza with a fake pgBackRest that answers as the real one did."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.pgbackrest import stanza as utils
from ansible_collections.chainops.infra.plugins.modules import pgbackrest_stanza

from tests.support.pgbackrest import Fake
from tests.unit.plugins.modules.in_process import run_module


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake(tmp_path / "bin", monkeypatch)
    made.program("systemctl", f'#!/bin/sh\necho "$@" >> {tmp_path}/systemctl\n')
    monkeypatch.setattr(utils, "RECORDS", tmp_path / "records")
    (tmp_path / "pgbackrest.conf").write_text("[global]\n")
    return made


def run(tmp_path: Path, check: bool = False, **options: object) -> dict:
    options = {"stanza": "main", "repository": 1, "user": "", "check_on": [str(tmp_path / "pgbackrest.conf")]} | options
    return run_module(pgbackrest_stanza, check, **options)


def test_created_and_checked_once(fake: Fake, tmp_path: Path) -> None:
    fake.info("info_no_stanza")
    first = run(tmp_path)
    assert first["actions"] == ["create", "check"]
    assert fake.commands == ["info", "stanza-create", "check", "info"]
    second = run(tmp_path)
    assert (second["changed"], second["actions"]) == (False, [])
    assert second["backups"] == ["20261126-071727F", "20261126-071727F_20261126-071732I"]


def test_checked_again_after_a_change_until_it_went_well(fake: Fake, tmp_path: Path) -> None:
    run(tmp_path)
    (tmp_path / "pgbackrest.conf").write_text("[global]\nprocess-max=4\n")
    fake.refuse("check", 82, "ERROR: [082]: WAL segment was not archived before the 60000ms timeout")
    assert "was not archived" in run(tmp_path)["msg"]
    (fake.path / "fail-check").unlink()
    assert run(tmp_path)["actions"] == ["check"]
    assert run(tmp_path)["changed"] is False


def test_checked_again_when_a_member_has_something_else(fake: Fake, tmp_path: Path) -> None:
    every = {"db-a": "1", "db-b": "1"}
    assert run(tmp_path, check_also=every)["actions"] == ["check"]
    assert run(tmp_path, check_also=every)["changed"] is False
    # a run with --limit, which knows nothing of one, or of both
    assert run(tmp_path, check_also={"db-a": "1"})["changed"] is False
    assert run(tmp_path)["changed"] is False
    assert run(tmp_path, check_also={"db-a": "2"})["actions"] == ["check"]
    assert run(tmp_path, check_also=every | {"db-a": "2"})["changed"] is False


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (50, "ERROR: [050]: unable to acquire lock"),
        (
            56,
            "WARN: unable to check pg4: [LockAcquireError] raised from remote-0 tls protocol on '192.0.2.4': unable to "
            "acquire lock on file\nERROR: [056]: unable to find primary cluster - cannot proceed",
        ),
    ],
)
def test_a_lock_that_somebody_has_for_a_moment_is_waited_for(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, said: str
) -> None:
    monkeypatch.setattr(utils, "LOCK_INTERVAL", 0.01)
    fake.info("info_no_stanza")
    fake.refuse("stanza-create", code, said, times=2)
    assert run(tmp_path)["actions"] == ["create", "check"]
    assert fake.commands.count("stanza-create") == 3
    monkeypatch.setattr(utils, "LOCK_PATIENCE", 0.0)
    (tmp_path / "pgbackrest.conf").write_text("[global]\nprocess-max=8\n")
    fake.refuse("check", code, said)
    assert "unable to acquire lock" in run(tmp_path)["msg"]


def test_no_primary_at_all_is_said_at_once(fake: Fake, tmp_path: Path) -> None:
    fake.info("info_no_stanza")
    fake.refuse("stanza-create", 56, "ERROR: [056]: unable to find primary cluster - cannot proceed")
    assert "unable to find primary cluster" in run(tmp_path)["msg"]
    assert fake.commands.count("stanza-create") == 1


def test_check_mode_only_reads(fake: Fake, tmp_path: Path) -> None:
    fake.info("info_no_stanza")
    assert run(tmp_path, check=True)["actions"] == ["create", "check"]
    assert fake.commands == ["info"]


def test_check_mode_before_the_first_run_is_a_planned_change(fake: Fake, tmp_path: Path) -> None:
    (fake.path / "pgbackrest").unlink()
    result = run(tmp_path, check=True)
    assert result["changed"] is True and "failed" not in result
    assert "pgbackrest is not on this host" in run(tmp_path)["msg"]


def test_a_repository_that_cannot_be_read_is_an_error_in_check_mode_too(fake: Fake, tmp_path: Path) -> None:
    fake.info("info_denied")
    for check in (False, True):
        assert "access denied" in run(tmp_path, check=check)["msg"]
    assert "stanza-create" not in fake.commands


def test_another_cluster_s_stanza_is_not_touched(fake: Fake, tmp_path: Path) -> None:
    fake.refuse("check", 28, "ERROR: [028]: backup and archive info files exist but do not match the database")
    message = run(tmp_path)["msg"]
    assert "set upgrade" in message and "do not match the database" in message
    assert "stanza-upgrade" not in fake.commands


def test_a_new_major_version_is_taken_over_when_asked_for(fake: Fake, tmp_path: Path) -> None:
    fake.refuse("check", 28, "ERROR: [028]: do not match the database")
    assert run(tmp_path, upgrade=True)["actions"] == ["upgrade", "check"]
    assert fake.commands == ["info", "check", "stanza-upgrade", "check", "info"]


def test_the_first_backup_is_started_and_not_waited_for(fake: Fake, tmp_path: Path) -> None:
    fake.info("info_no_stanza", created="info_no_stanza")
    assert "first backup" in run(tmp_path, first_backup_unit="pgbackrest-backup@full.service")["actions"]
    assert (tmp_path / "systemctl").read_text() == "start --no-block pgbackrest-backup@full.service\n"
    fake.info("info_repo1")
    assert run(tmp_path, first_backup_unit="pgbackrest-backup@full.service")["changed"] is False


def test_the_caller_s_environment_does_not_reach_pgbackrest(fake: Fake, tmp_path: Path) -> None:
    run(tmp_path)
    assert {tuple(env) for _command, _options, env in fake.calls} == {()}
