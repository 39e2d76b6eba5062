"""pgbackrest_restore with a fake pgBackRest and a fake PostgreSQL."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.chainops.infra.plugins.modules import pgbackrest_restore

from tests.support.pgbackrest import Fake
from tests.unit.plugins.modules.in_process import run_module

PSQL = """#!/bin/sh
asked=$(cat)
echo "$asked" >> "$(dirname "$0")/asked"
case "$asked" in
  *"ALTER SYSTEM"*) ;;
  *timeline*) echo '{"lsn": "0/9", "timeline": 2}' ;;
  *) echo true ;;
esac
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake(tmp_path / "bin", monkeypatch)
    made.program("pg_ctl", f"#!/bin/sh\nkill $(cat {tmp_path}/pid)\n")
    made.program("postgres", f'#!/bin/sh\necho $$ > {tmp_path}/pid\necho "$@" > {tmp_path}/postgres\nexec sleep 20\n')
    made.program("psql", PSQL)
    return made


def run(fake: Fake, tmp_path: Path, check: bool = False, **options: object) -> dict:
    given = {"stanza": "main", "user": "", "data_dir": str(tmp_path / "data" / "main"), "bin_dir": str(fake.path)}
    (tmp_path / "data").mkdir(exist_ok=True)
    return run_module(pgbackrest_restore, check, **(given | {"run_dir": str(tmp_path / "run")} | options))


def old(tmp_path: Path, pid: int | None = None) -> Path:
    data = tmp_path / "data" / "main"
    data.mkdir(parents=True)
    (data / "old").write_text("old")
    if pid:
        (data / "postmaster.pid").write_text(f"{pid}\n")
    return data


def test_the_old_directory_is_kept_and_the_new_one_recovered(fake: Fake, tmp_path: Path) -> None:
    data = old(tmp_path)
    result = run(fake, tmp_path, type="time", target="2026-01-05 02:10:00+00", repository=2)
    assert result["recovered"] == {"lsn": "0/9", "timeline": 2}
    assert (Path(result["kept"]) / "old").exists() and (data / "PG_VERSION").exists()
    options = fake.options("restore")
    assert (options["repo"], options["type"], options["target"]) == ("2", "time", "2026-01-05 02:10:00+00")
    # or members that clone it would stop at the same target
    assert "ALTER SYSTEM RESET recovery_target_time;" in (fake.path / "asked").read_text()
    told = (tmp_path / "postgres").read_text()
    assert "listen_addresses= " in told and "archive_mode=off" in told


def test_a_copy_that_becomes_the_cluster_keeps_its_wal_for_the_archive(fake: Fake, tmp_path: Path) -> None:
    run(fake, tmp_path, archive_later=True)
    told = (tmp_path / "postgres").read_text()
    assert "archive_mode=on" in told and "archive_command=/bin/false" in told


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"type": "time", "target": "yesterday"}, "with its offset"),
        ({"type": "name"}, "needs a target"),
        ({"data_dir": "/main"}, "below a directory of its own"),
    ],
)
def test_bad_options_touch_nothing(fake: Fake, tmp_path: Path, options: dict, words: str) -> None:
    data = old(tmp_path)
    assert words in run(fake, tmp_path, **options)["msg"]
    assert fake.commands == [] and (data / "old").exists()


def test_refused_while_postgresql_runs(fake: Fake, tmp_path: Path) -> None:
    data = old(tmp_path, os.getpid())
    for state in ("restored", "set_aside"):
        assert "PostgreSQL runs" in run(fake, tmp_path, state=state)["msg"]
    assert (data / "old").exists() and "restore" not in fake.commands
    assert run(fake, tmp_path, state="possible")["changed"] is False


@pytest.mark.parametrize("state", ["restored", "possible"])
def test_a_silent_repository_shows_before_anything_is_touched(fake: Fake, tmp_path: Path, state: str) -> None:
    data = old(tmp_path)
    fake.info("info_silent")
    assert "unable to connect" in run(fake, tmp_path, repository=2, state=state)["msg"]
    assert (data / "old").exists()


def test_a_restore_that_fails_says_where_the_old_data_is(fake: Fake, tmp_path: Path) -> None:
    old(tmp_path)
    fake.refuse("restore", 29, "ERROR: [029]: zst error: [-20] Data corruption detected")
    result = run(fake, tmp_path)
    assert "Data corruption" in result["msg"] and "before-restore" in result["msg"] and result["changed"] is True


def test_a_target_that_is_not_reached_is_an_error(fake: Fake, tmp_path: Path) -> None:
    words = "FATAL:  recovery ended before configured recovery target was reached"
    fake.program("postgres", f"#!/bin/sh\necho '{words}' >&2\nexit 1\n")
    fake.program("psql", "#!/bin/sh\nexit 2\n")
    assert words in run(fake, tmp_path, type="name", target="x")["msg"]


def test_check_mode_asks_only(fake: Fake, tmp_path: Path) -> None:
    data = old(tmp_path)
    assert run(fake, tmp_path, check=True)["changed"] is True
    assert run(fake, tmp_path, check=True, state="set_aside")["changed"] is True
    assert fake.commands == ["info"] and (data / "old").exists()


def test_set_aside_for_a_clone_is_done_once(fake: Fake, tmp_path: Path) -> None:
    data = old(tmp_path)
    assert Path(run(fake, tmp_path, state="set_aside")["kept"]).is_dir() and not data.exists()
    assert run(fake, tmp_path, state="set_aside")["changed"] is False
