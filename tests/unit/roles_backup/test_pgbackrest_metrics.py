"""The metrics script with fakes: what a silent repository and an archive that stands still look like."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.pgbackrest import Fake

SCRIPT = Path(__file__).parents[3] / "roles" / "pgbackrest" / "files" / "metrics.py"
ROW = {"standby": False, "failed": 9, "last": 100.5, "last_failed": 90.0, "lsn": 1000}


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake(tmp_path / "bin", monkeypatch)
    database(made, ROW)
    status = tmp_path / "data" / "pg_wal" / "archive_status"
    status.mkdir(parents=True)
    (tmp_path / "out").mkdir()
    return made


def database(fake: Fake, row: dict[str, Any]) -> None:
    fake.program("psql", f"#!/bin/sh\necho '{json.dumps(row)}'\n")


def ready(tmp_path: Path, name: str, age: float) -> None:
    path = tmp_path / "data" / "pg_wal" / "archive_status" / f"{name}.ready"
    path.touch()
    os.utime(path, (time.time() - age, time.time() - age))


def run(fake: Fake, tmp_path: Path, role: str = "member", repositories: tuple[int, ...] = (1,)) -> dict[str, float]:
    config = {
        "role": role,
        "stanza": "main",
        "user": "",
        "repositories": repositories,
        "repository_path": str(tmp_path),
        "data_dir": str(tmp_path / "data"),
        "socket_dir": str(tmp_path),
        "port": 5432,
        "output": str(tmp_path / "out" / "pgbackrest.prom"),
        # as root, PATH is not the caller's
        "pgbackrest": str(fake.path / "pgbackrest"),
        "psql": str(fake.path / "psql"),
    }
    (tmp_path / "metrics.json").write_text(json.dumps(config))
    subprocess.run([sys.executable, "-IB", str(SCRIPT), str(tmp_path / "metrics.json")], check=True, timeout=60)
    text = (tmp_path / "out" / "pgbackrest.prom").read_text()
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    assert all(f"# TYPE {name.split('{')[0]} " in text for name, _value in lines)
    return {name.removeprefix("pgbackrest_"): float(value) for name, value in lines}


def test_a_member_with_a_good_archive(fake: Fake, tmp_path: Path) -> None:
    found = run(fake, tmp_path)
    assert found['repository_up{repository="1"}'] == 1
    assert found['backup_last_timestamp_seconds{repository="1",type="full"}'] == 1795677452
    # an incremental one makes neither a full nor a differential newer
    assert found['backup_last_timestamp_seconds{repository="1",type="diff"}'] == 1795677452
    assert found['backup_last_timestamp_seconds{repository="1",type="incr"}'] == 1795677454
    assert (found["archive_ready_files"], found["archive_failing"], found["archive_failed_total"]) == (0, 0, 9)
    assert found["wal_free_bytes"] > 0 and "wal_full_seconds" not in found


def test_a_silent_repository_is_down_and_its_backups_are_not_said_to_be_old(fake: Fake, tmp_path: Path) -> None:
    fake.info("info_silent")
    found = run(fake, tmp_path, repositories=(2,))
    assert found['repository_up{repository="2"}'] == 0
    assert [name for name in found if name.startswith("backup_last")] == []


def test_a_pgbackrest_that_fails_is_down_too(fake: Fake, tmp_path: Path) -> None:
    fake.refuse("info", 37, "ERROR")
    assert run(fake, tmp_path)['repository_up{repository="1"}'] == 0


def test_a_stanza_that_is_missing_is_no_silence(fake: Fake, tmp_path: Path) -> None:
    fake.info("info_no_stanza")
    found = run(fake, tmp_path)
    assert (found['repository_up{repository="1"}'], found['repository_status{repository="1"}']) == (1, 1)


def test_a_queue_that_grows_shows_with_its_age_and_the_time_that_is_left(fake: Fake, tmp_path: Path) -> None:
    run(fake, tmp_path)
    for number in range(3):
        ready(tmp_path, f"00000001000000000000000{number}", 60 * (number + 1))
    database(fake, ROW | {"lsn": 2**40, "last_failed": 200.0})
    found = run(fake, tmp_path)
    assert found["archive_ready_files"] == 3
    assert 180 <= found["archive_oldest_ready_seconds"] < 240
    assert found["archive_failing"] == 1
    assert 0 < found["wal_full_seconds"] < 1e6
    assert found["wal_full_seconds"] == pytest.approx(found["wal_free_bytes"] / found["wal_bytes_per_second"])


def test_a_standby_does_not_fail_to_archive(fake: Fake, tmp_path: Path) -> None:
    database(fake, ROW | {"standby": True, "last_failed": 200.0, "lsn": 0})
    found = run(fake, tmp_path)
    assert (found["archive_primary"], found["archive_failing"]) == (0, 0)


def test_a_server_that_is_down_hides_neither_queue_nor_repositories(fake: Fake, tmp_path: Path) -> None:
    fake.program("psql", "#!/bin/sh\nexit 2\n")
    found = run(fake, tmp_path)
    assert (found["archive_up"], found["archive_ready_files"]) == (0, 0)
    assert found['repository_up{repository="1"}'] == 1


def test_a_repository_host_shows_its_disk(fake: Fake, tmp_path: Path) -> None:
    found = run(fake, tmp_path, role="repository")
    assert 0 < found["repository_free_bytes"] <= found["repository_size_bytes"]
    assert "archive_up" not in found
