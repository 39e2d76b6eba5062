"""postgresql_drill with a fake pgBackRest and a fake PostgreSQL: what makes it green, and what makes it red."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.pgbackrest import drill, info
from ansible_collections.chainops.infra.plugins.modules import postgresql_drill

from tests.support.pgbackrest import Fake
from tests.unit.plugins.modules.in_process import run_module

MANIFEST = {
    "format": 1,
    "stanza": "main",
    "name": "drill-one",
    "lsn": "0/A000000",
    "system_identifier": "77",
    "database": "app",
    "tables": {"public.t": {"rows": 5, "checksum": "-4189"}, "public.u": {"rows": 0, "checksum": None}},
}
STATE = {"standby": False, "version": 170012, "system": "77", "checksums": "on", "archive_mode": "off"}
ANSWERS = [
    ["pg_is_in_recovery());", [True]],
    ["pg_control_system", [STATE]],
    ["marker WHERE", ["before"]],
    ["public.t", [["public.t", 5, "-4189"]]],
    ["public.u", [["public.u", 0, None]]],
]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake(tmp_path / "bin", monkeypatch)
    made.program("psql", (Path(__file__).parents[3] / "support" / "fake_psql.py").read_text())
    made.program("postgres", f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 20\n")
    made.program("pg_ctl", f"#!/bin/sh\nkill $(cat {tmp_path}/pid)\n")
    made.program("pg_amcheck", "#!/bin/sh\nexit 0\n")
    made.program("pg_checksums", "#!/bin/sh\necho 'Blocks scanned:  3061'\n")
    answer(made, *ANSWERS)
    return made


def answer(fake: Fake, *answers: list) -> None:
    (fake.path / "answers.json").write_text(json.dumps(answers))


def run(fake: Fake, tmp_path: Path, check: bool = False, **options: object) -> dict:
    given = {"stanza": "main", "repository": 1, "manifest": MANIFEST, "user": "", "bin_dir": str(fake.path)}
    places = {name: str(tmp_path / name) for name in ("work_dir", "report_dir", "metrics_dir")}
    return run_module(postgresql_drill, check, **(given | places | options))


def metrics(tmp_path: Path) -> str:
    return (tmp_path / "metrics_dir" / "postgresql_drill_main_1.prom").read_text()


def test_green(fake: Fake, tmp_path: Path) -> None:
    result = run(fake, tmp_path)
    assert result["report"]["good"], result
    steps = ["repository", "restore", "recovery", "structure", "manifest", "checksums"]
    assert [step["name"] for step in result["report"]["steps"]] == steps
    # from the last backup before the point, and from this repository alone
    options = fake.options("restore")
    assert (options["set"], options["repo"], options["target"]) == (
        "20261126-071727F_20261126-071732I",
        "1",
        "drill-one",
    )
    assert 'postgresql_drill_success{stanza="main",repository="1"} 1' in metrics(tmp_path)
    assert sorted(Path(name).suffix for name in result["files"]) == [".json", ".prom", ".txt"]
    assert json.loads(Path(result["files"][0]).read_text()) == result["report"]
    assert "GREEN" in Path(result["files"][1]).read_text()
    assert list((tmp_path / "work_dir").iterdir()) == []


RED = [
    ("restore", {"refuse": ("restore", 29, "zst error: Data corruption detected")}, [], "Data corruption"),
    ("repository", {"info": "info_silent"}, [], "repository"),
    (
        "recovery",
        {"program": ("postgres", "#!/bin/sh\necho 'FATAL:  recovery ended before' >&2\n")},
        [],
        "recovery ended",
    ),
    ("structure", {"program": ("pg_amcheck", "#!/bin/sh\necho 'heap table: xmin'\nexit 2\n")}, [], "found damage"),
    ("checksums", {"program": ("pg_checksums", "#!/bin/sh\necho 'Bad checksums:  1'\nexit 1\n")}, [], "Bad checksums"),
    ("manifest", {}, [["public.t", [["public.t", 4, "-4189"]]]], "public.t has 4 rows, not 5"),
    ("manifest", {}, [["public.t", [["public.t", 5, "1"]]]], "another content"),
    ("manifest", {}, [["public.u", {"error": 'relation "public.u" does not exist'}]], "does not exist"),
    ("manifest", {}, [["marker WHERE", []]], "before the restore point is missing"),
    ("manifest", {}, [["marker WHERE", ["before", "after"]]], "went too far"),
    ("manifest", {}, [["pg_control_system", [STATE | {"system": "78"}]]], "this is the cluster 78"),
]


@pytest.mark.parametrize("case", RED, ids=[case[3] for case in RED])
def test_red(fake: Fake, tmp_path: Path, case: tuple) -> None:
    step, fault, answers, words = case
    for name, given in fault.items():
        getattr(fake, name)(*([given] if isinstance(given, str) else given))
    if answers:
        answer(fake, *[each for each in ANSWERS if each[0] == "pg_is_in_recovery());"], *answers, *ANSWERS)
    elif step == "recovery":
        answer(fake, ["", {"error": "no server"}])
    result = run(fake, tmp_path)
    assert result["failed"] and words in result["msg"]
    assert [each["name"] for each in result["report"]["steps"] if not each["good"]] == [step]
    assert 'postgresql_drill_success{stanza="main",repository="1"} 0' in metrics(tmp_path)
    assert "RED" in Path(result["files"][1]).read_text()
    # kept for whoever looks into it, until the next drill
    [left] = (tmp_path / "work_dir").iterdir()
    assert (left / ".chainops-drill").exists()


def test_the_next_drill_removes_what_the_last_one_left_and_nothing_else(fake: Fake, tmp_path: Path) -> None:
    fake.refuse("restore", 29, "corrupt")
    run(fake, tmp_path)
    (fake.path / "fail-restore").unlink()
    foreign = tmp_path / "work_dir" / "drill-of-somebody"
    foreign.mkdir()
    # the directory's name is a second's; the test does not wait for the next one
    [old] = [path for path in (tmp_path / "work_dir").iterdir() if path != foreign]
    old.rename(old.with_name("drill-20000101T000000Z"))
    assert run(fake, tmp_path)["report"]["good"]
    assert list((tmp_path / "work_dir").iterdir()) == [foreign]


def test_a_repository_without_a_backup_before_the_point_is_red(fake: Fake, tmp_path: Path) -> None:
    result = run(fake, tmp_path, manifest=MANIFEST | {"lsn": "0/1000000"})
    assert "no backup that ended before 0/1000000" in result["msg"]
    assert "failed" in run(fake, tmp_path, check=True, manifest=MANIFEST | {"lsn": "0/1000000"})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 2}, "is none of"),
        ({"stanza": "other"}, "of the stanza other"),
        ({"name": "--x"}, "restore point's name"),
    ],
)
def test_what_is_no_manifest_is_refused(fake: Fake, tmp_path: Path, changes: dict, words: str) -> None:
    assert words in run(fake, tmp_path, manifest=MANIFEST | changes)["msg"]
    assert fake.commands == []


def test_check_mode_only_asks_the_repository(fake: Fake, tmp_path: Path) -> None:
    assert run(fake, tmp_path, check=True) == {"changed": True}
    assert fake.commands == ["info"] and not (tmp_path / "work_dir").exists()


def test_each_repository_is_waited_for_by_itself(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one may be down: PostgreSQL then counts nothing as archived, although this one has it."""
    monkeypatch.setattr(drill, "POLL_SECONDS", 0.01)
    has = info.parse((fake.path / "info.json").read_text(), 1).archive_max
    assert run(fake, tmp_path, manifest=MANIFEST | {"wal_file": has})["report"]["good"]
    lacks = f"{int(has, 16) + 1:024X}"
    result = run(fake, tmp_path, manifest=MANIFEST | {"wal_file": lacks}, archive_timeout=0)
    assert f"repository 1 lacks {lacks}" in result["msg"] and f"its last segment is {has}" in result["msg"]
    assert 'postgresql_drill_success{stanza="main",repository="1"} 0' in metrics(tmp_path)


def test_without_a_manifest_the_metric_is_not_that_of_last_week(fake: Fake, tmp_path: Path) -> None:
    run(fake, tmp_path)
    result = run(fake, tmp_path, manifest={}, reason="there is no manifest: db-a: archive_mode is off")
    assert result["failed"] and "db-a: archive_mode is off" in result["msg"] and not result["report"]["good"]
    assert 'postgresql_drill_success{stanza="main",repository="1"} 0' in metrics(tmp_path)
    assert "archive_mode is off" in Path(result["files"][1]).read_text()
    assert fake.commands.count("restore") == 1
    assert "archive_mode is off" in run(fake, tmp_path, check=True, manifest={}, reason="archive_mode is off")["msg"]
