"""postgresql_manifest with a fake psql: what is asked in which order, and what becomes of the answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.pgbackrest import manifest as utils
from ansible_collections.chainops.infra.plugins.modules import postgresql_manifest

from tests.support.pgbackrest import Fake
from tests.unit.plugins.modules.in_process import run_module

STATE = {"standby": False, "version": 170012, "system": "77", "checksums": "on", "archive_mode": "on"}
POINT = {"lsn": "0/E037458", "file": "00000001000000000000000E", "time": "2026-11-26T07:38:29+00:00"}
TABLES = [["public", "t"], ["app", 'odd"name']]
COUNTED = [POINT, ['app.odd"name', 0, None], ["public.t", 24095, "-4189"]]
ARCHIVED = ["last_archived_wal", [["00000001000000000000000E", ""]]]
ANSWERS = [
    ["pg_control_system", [STATE]],
    ["relkind", TABLES],
    ["'before'", []],
    ["pg_create_restore_point", COUNTED],
    ["'after'", ["0/E037500"]],
    ARCHIVED,
]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    monkeypatch.setattr(utils, "POLL_SECONDS", 0.01)
    made = Fake(tmp_path / "bin", monkeypatch)
    made.program("psql", (Path(__file__).parents[3] / "support" / "fake_psql.py").read_text())
    answer(made, *ANSWERS)
    return made


def answer(fake: Fake, *answers: list) -> None:
    (fake.path / "answers.json").write_text(json.dumps(answers))


def asked(fake: Fake) -> list[str]:
    path = fake.path / "asked"
    return [json.loads(line)[1] for line in path.read_text().splitlines()] if path.exists() else []


def run(check: bool = False, **options: object) -> dict:
    given = {"name": "drill-one", "stanza": "main", "user": "", "checksum_tables": ["public.t"]}
    return run_module(postgresql_manifest, check, **(given | options))


def test_what_the_database_held(fake: Fake) -> None:
    result = run()
    assert (result["changed"], result["leader"]) == (True, True)
    assert result["manifest"] == {
        "format": 1,
        "stanza": "main",
        "name": "drill-one",
        "created": POINT["time"],
        "lsn": "0/E037458",
        "wal_file": "00000001000000000000000E",
        "system_identifier": "77",
        "server_version": 170012,
        "database": "postgres",
        "tables": {'app.odd"name': {"rows": 0, "checksum": None}, "public.t": {"rows": 24095, "checksum": "-4189"}},
    }


def test_the_restore_point_is_made_under_locks_that_end_before_the_counting(fake: Fake) -> None:
    run()
    script = next(sql for sql in asked(fake) if "pg_create_restore_point" in sql)
    order = ["REPEATABLE READ", "lock_timeout = 2000", "IN ACCESS SHARE MODE", "SAVEPOINT held", "IN SHARE MODE"]
    order += ["pg_create_restore_point('drill-one')", "ROLLBACK TO SAVEPOINT held", "count(*)", "COMMIT"]
    places = [script.index(words) for words in order]
    assert places == sorted(places)
    assert 'ONLY "app"."odd""name"' in script
    markers = [index for index, sql in enumerate(asked(fake)) if "'before'" in sql or "'after'" in sql]
    assert len(markers) == 2 and markers[0] < asked(fake).index(script) < markers[1]


def test_a_standby_is_left_alone(fake: Fake) -> None:
    answer(fake, ["pg_control_system", [STATE | {"standby": True}]])
    assert run() == {"changed": False, "leader": False}
    assert len(asked(fake)) == 1


def test_check_mode_writes_nothing(fake: Fake) -> None:
    assert run(check=True) == {"changed": True, "leader": True}
    assert len(asked(fake)) == 1


def test_a_held_table_is_given_back_to_others_and_tried_again(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utils.time, "sleep", lambda _seconds: None)
    refusal = {"error": "ERROR:  canceling statement due to lock timeout"}
    answer(fake, ["pg_create_restore_point", refusal, 2], *ANSWERS)
    assert run()["manifest"]["tables"]["public.t"]["rows"] == 24095
    answer(fake, ["pg_create_restore_point", refusal], *ANSWERS)
    assert "lock timeout" in run()["msg"]


def test_all_locks_together_are_bounded_and_the_counting_is_not(fake: Fake) -> None:
    """A lock that was got is held while the next is waited for, and lock_timeout begins anew with each."""
    run(lock_timeout_ms=700)
    script = next(sql for sql in asked(fake) if "pg_create_restore_point" in sql)
    order = ["SAVEPOINT held", "statement_timeout = 700", "IN SHARE MODE", "ROLLBACK TO SAVEPOINT held", "count(*)"]
    places = [script.index(words) for words in order]
    assert places == sorted(places) and script.count("statement_timeout") == 1


@pytest.mark.parametrize("code", ["57014: Anweisung wird abgebrochen", "40P01: deadlock detected", "55P03: x"])
def test_whatever_kept_the_locks_from_it_is_given_way_to(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    monkeypatch.setattr(utils.time, "sleep", lambda _seconds: None)
    answer(fake, ["pg_create_restore_point", {"error": f"ERROR:  {code}"}, 2], *ANSWERS)
    assert run()["manifest"]["lsn"] == POINT["lsn"]
    assert sum("pg_create_restore_point" in sql for sql in asked(fake)) == 3


def test_a_point_that_was_made_is_not_made_twice(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utils.time, "sleep", lambda _seconds: None)
    cancelled = {"error": "ERROR:  57014: canceling statement", "lines": [POINT]}
    answer(fake, ["pg_create_restore_point", cancelled], *ANSWERS)
    assert "57014" in run()["msg"]
    assert sum("pg_create_restore_point" in sql for sql in asked(fake)) == 1


def test_a_drill_needs_no_wait_for_all_repositories(fake: Fake) -> None:
    late = ["last_archived_wal", [["00000001000000000000000D", ""]]]
    answer(fake, late, *ANSWERS)
    assert run(wait=False)["manifest"]["lsn"] == POINT["lsn"]


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (
            [["last_archived_wal", [["00000001000000000000000D", "00000001000000000000000E"]]]],
            "the last that failed is",
        ),
        ([["pg_control_system", [STATE | {"archive_mode": "off"}]]], "archive_mode is off"),
        ([["relkind", []]], "no table"),
        ([["pg_control_system", {"error": "psql: could not connect"}]], "could not connect"),
        ([["'before'", {"error": "ERROR:  duplicate key value"}]], "duplicate key"),
    ],
)
def test_what_can_go_wrong_is_said(fake: Fake, answers: list, words: str) -> None:
    answer(fake, *answers, *ANSWERS)
    assert words in run(archive_timeout=0, checksum_tables=[])["msg"]


@pytest.mark.parametrize(
    "options", [{"name": "a b"}, {"name": "x'); DROP"}, {"tables": ["public.t; drop"]}, {"checksum_tables": ["a.b.c"]}]
)
def test_names_that_are_none_reach_no_database(fake: Fake, options: dict) -> None:
    assert "failed" in run(**options)
    assert asked(fake) == []
