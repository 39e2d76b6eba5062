"""pgbackrest_restore in place: what is looked at before anything is stopped, and which restore is never made twice."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.pgbackrest import in_place, info, mark
from ansible_collections.chainops.infra.plugins.module_utils.pgbackrest.target import Target
from ansible_collections.chainops.infra.plugins.modules import pgbackrest_restore

from tests.support.etcd_gateway import Etcd
from tests.support.pgbackrest import DATA, Fake
from tests.unit.plugins.modules.in_process import run_module
from tests.unit.plugins.modules.patroni_site import certificates
from tests.unit.plugins.modules.test_pgbackrest_restore import PSQL

WISH = {"type": "time", "target": "2026-12-05 02:10:00+00"}


class Member:
    """One host: its Patroni's file, its data, and a fake pgBackRest and PostgreSQL."""

    def __init__(self, fake: Fake, etcd: Etcd, home: Path) -> None:
        self.fake, self.etcd, self.home = fake, etcd, home
        self.data = home / "17" / "app"
        self.data.mkdir(parents=True)
        (self.data / "old").write_text("old")
        self.config = etcd.config(home, data_dir=str(self.data), bin_dir=str(fake.path))

    def run(self, state: str = "restored", check: bool = False, **options: object) -> dict:
        given = {"stanza": "main", "user": "", "patroni_config": self.config, "run_dir": str(self.home / "run")}
        return run_module(pgbackrest_restore, check, **(given | {"state": state} | WISH | options))

    def aside(self, kind: str) -> list[Path]:
        return sorted(self.data.parent.glob(f"app.{kind}-restore-*"))


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def member(tmp_path: Path, paths: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Member]:
    monkeypatch.setattr(mark, "JOURNALS", tmp_path / "journals")
    fake = Fake(tmp_path / "bin", monkeypatch)
    fake.program("pg_ctl", f"#!/bin/sh\nkill $(cat {tmp_path}/pid)\n")
    fake.program("postgres", f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 20\n")
    fake.program("psql", PSQL)
    etcd = Etcd(paths)
    yield Member(fake, etcd, tmp_path)
    etcd.end()


def test_where_the_data_is_says_patroni_and_nobody_else(member: Member) -> None:
    result = member.run()
    assert Path(result["kept"]).parent == member.data.parent and (member.data / "PG_VERSION").exists()
    assert {name: result["member"][name] for name in ("scope", "port", "rest_address", "rest_port")} == {
        "scope": "app",
        "port": 5433,
        "rest_address": "2001:db8::1",
        "rest_port": 8008,
    }
    assert member.fake.options("restore")["pg1-path"] == str(member.data)


def test_a_second_run_throws_nothing_away(member: Member) -> None:
    first = member.run()
    (member.data / "written").write_text("by a client")
    for state in ("possible", "restored"):
        again = member.run(state)
        assert (again["changed"], again["restore"]["id"]) == (False, first["restore"]["id"])
    assert (member.data / "written").exists() and member.fake.commands.count("restore") == 1
    assert again["kept"] == first["kept"] and again["recovered"] == first["recovered"]
    # neither the backup that it begins at nor the repository makes it another one
    assert member.run(repository=2, backup="20261126-071727F")["changed"] is False


def test_another_target_or_the_first_one_by_its_name_is_restored(member: Member) -> None:
    first = member.run()["restore"]["id"]
    time.sleep(1.1)
    assert member.run("possible", target="2026-12-05 02:11:00+00")["restore"] == {}
    second = member.run(again=first)
    assert second["changed"] is True and member.fake.commands.count("restore") == 2
    # the same words again: it was made
    assert member.run(again=first)["changed"] is False


def test_that_it_leads_is_noted_once_and_in_the_data(member: Member) -> None:
    assert member.run()["restore"]["stage"] == "recovered"
    assert [member.run("led")["changed"] for _time in range(2)] == [True, False]
    assert member.run("possible")["restore"]["stage"] == "led"


def test_one_that_was_killed_is_begun_anew_and_knows_the_old_data(member: Member) -> None:
    member.fake.refuse("restore", 29, "ERROR: killed", times=1)
    assert member.run()["failed"]
    [old] = member.aside("before")
    # pgBackRest may have brought the mark of an earlier restore to the same target, out of the backup
    wish = "time 2026-12-05 02:10:00+00 timeline latest"
    (member.data / mark.MARK).write_text(json.dumps({"id": "earlier", "wish": wish, "kept": "", "recovered": {}}))
    assert member.run("possible")["restore"] == {}
    result = member.run()
    assert result["changed"] and result["kept"] == str(old) and (old / "old").exists()
    assert len(member.aside("unfinished")) == 1 and len(member.aside("before")) == 1


def test_old_data_that_was_moved_back_is_not_taken_for_what_was_unfinished(member: Member) -> None:
    member.fake.refuse("restore", 29, "ERROR: killed", times=1)
    member.run()
    [old] = member.aside("before")
    shutil.rmtree(member.data)
    old.rename(member.data)
    member.run()
    assert (member.aside("before")[0] / "old").exists() and member.aside("unfinished") == []


def test_the_server_of_a_restore_that_was_killed_is_ended(member: Member) -> None:
    words = [sys.executable, "-c", "import time; time.sleep(60)", f"config_file={member.home}/run/postgresql.conf"]
    with subprocess.Popen(words) as left:
        (member.data / "postmaster.pid").write_text(f"{left.pid}\n")
        (member.home / "pid").write_text(str(left.pid))
        assert "failed" not in member.run("possible")
        # pg_ctl waits for it; the fake one only kills
        member.fake.program("pg_ctl", f"#!/bin/sh\nkill $(cat {member.home}/pid); rm -f {member.data}/postmaster.pid\n")
        assert member.run()["changed"] is True
        left.wait(10)


def test_two_restores_are_not_made_at_once(member: Member) -> None:
    mark.JOURNALS.mkdir()
    with open(mark.JOURNALS / "restore-main.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another restore is being made" in member.run()["msg"]
    assert (member.data / "old").exists()


def test_a_clone_has_the_mark_and_stays_and_old_data_is_put_aside(member: Member) -> None:
    name = member.run()["restore"]["id"]
    (member.data / "postmaster.pid").write_text(f"{os.getpid()}\n")
    assert member.run("set_aside", restore_id=name)["changed"] is False
    (member.data / "postmaster.pid").unlink()
    time.sleep(1.1)
    assert member.run("set_aside", restore_id="another")["changed"] is True and not member.data.exists()


@pytest.mark.parametrize("check", [False, True])
def test_all_that_would_fail_is_said_before_anything_is_stopped(
    member: Member, check: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    member.etcd.values["/chainops/app/config"] = '{"pause": true}'
    (member.data / "pg_tblspc").mkdir()
    (member.data / "pg_tblspc" / "16400").symlink_to("/elsewhere")
    (member.data / "postmaster.pid").write_text(f"{os.getpid()}\n")
    monkeypatch.setattr(in_place, "MORE_THAN_THE_BACKUP", 1e12)
    said = member.run("possible", check)["msg"]
    for words in ("is paused", "tablespaces (16400)", "no Patroni of this host", "MiB are needed"):
        assert words in said
    member.fake.info("info_silent")
    assert "unable to connect" in member.run("possible", check, repository=2)["msg"]
    member.etcd.status = 503
    assert "etcd does not answer" in member.run("possible", check)["msg"]
    assert (member.data / "old").exists() and "restore" not in member.fake.commands


def test_a_directory_that_cannot_be_renamed_is_said_before(member: Member) -> None:
    member.data.rename(member.home / "real")
    member.data.symlink_to(member.home / "real")
    assert "no directory of its own" in member.run("possible")["msg"]


def test_what_runs_under_its_patroni_is_possible(member: Member) -> None:
    (member.data / "postmaster.pid").write_text(f"{os.getpid()}\n")
    (member.data / "global").mkdir()
    (member.data / "global" / "pg_control").touch()
    member.etcd.values |= {"/chainops/app/leader": "db-a", "/chainops/app/members/db-a": "{}"}
    found = member.run("possible")
    assert (found["leader"], found["alive"], found["restore"], found["cloning"]) == ("db-a", ["db-a"], {}, False)
    assert member.run(check=True)["changed"] is True


def test_a_member_that_clones_is_left_to_it(member: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    member.etcd.values["/chainops/app/members/db-a"] = "{}"
    monkeypatch.setattr(in_place, "MORE_THAN_THE_BACKUP", 1e12)
    assert member.run("possible")["cloning"] is True


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"backup": "20200101-000000F"}, "no backup 20200101-000000F"),
        ({"target": "2020-01-05 02:10:00+00"}, "no backup that ended before 2020-01-05"),
        ({"type": "lsn", "target": "0/1"}, "no backup that ended before 0/1"),
    ],
)
def test_a_backup_that_is_not_there_is_said(member: Member, options: dict, words: str) -> None:
    assert words in member.run("possible", **options)["msg"]


@pytest.mark.parametrize(
    ("wish", "label"),
    [
        (Target("latest"), "20261126-071727F_20261126-071732I"),
        (Target("name", "x"), "20261126-071727F_20261126-071732I"),
        (Target("time", "2026-11-26 07:17:33Z"), "20261126-071727F"),
        (Target("lsn", "0/8FFFFFF"), "20261126-071727F"),
    ],
)
def test_the_backup_is_that_which_pgbackrest_takes(wish: Target, label: str) -> None:
    repository = info.parse((DATA / "info_repo1.json").read_text(), 1)
    assert in_place.backup_for(repository, wish).label == label
