"""Points in time, and what becomes of an old data directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.pgbackrest import target
from ansible_collections.chainops.infra.plugins.module_utils.pgbackrest.command import PgbackrestError
from ansible_collections.chainops.infra.plugins.module_utils.pgbackrest.target import Target


@pytest.mark.parametrize(
    ("wish", "options"),
    [
        (Target("latest"), ["--target-timeline=latest"]),
        (Target("immediate"), ["--type=immediate", "--target-action=promote"]),
        (
            Target("time", "2026-01-05 02:10:00+00", exclusive=True),
            ["--type=time", "--target=2026-01-05 02:10:00+00", "--target-exclusive", "--target-action=promote"]
            + ["--target-timeline=latest"],
        ),
        (
            Target("name", "before-drop", timeline="3", backup="20260104-010002F_20260105-010003D"),
            ["--type=name", "--target=before-drop", "--target-action=promote", "--target-timeline=3"]
            + ["--set=20260104-010002F_20260105-010003D"],
        ),
    ],
)
def test_what_pgbackrest_is_told(wish: Target, options: list[str]) -> None:
    wish.check()
    assert wish.options == options


@pytest.mark.parametrize(
    "wish",
    [
        Target("lsn", "0/3000148"),
        Target("lsn", "AB/FFFFFFFF", exclusive=True),
        Target("xid", "731"),
        Target("time", "2026-01-05T02:10:00.123456+05:30"),
        Target("time", "2026-01-05 02:10:00Z"),
        Target("name", "v1.2:x_y"),
    ],
)
def test_good_targets(wish: Target) -> None:
    wish.check()


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (Target("newest"), "type = newest: must be one of latest"),
        (Target("latest", "now"), "target = now: type = latest has none"),
        (Target("time"), "type = time needs a target"),
        (Target("time", "2026-01-05 02:10:00"), "with its offset"),
        (Target("time", "2026-02-31 02:10:00+00"), "no such moment"),
        (Target("time", "yesterday"), "with its offset"),
        (Target("lsn", "3000148"), "must be an LSN"),
        (Target("xid", "0"), "must be a transaction's number"),
        (Target("name", "a b"), "restore point's name"),
        (Target("name", "--set=x"), "restore point's name"),
        (Target("name", "x" * 64), "restore point's name"),
        (Target("name", "x", exclusive=True), "exclusive = true does not fit type = name"),
        (Target("latest", backup="../x"), "must be a label"),
        (Target("latest", timeline="-1"), "timeline = -1"),
    ],
)
def test_a_bad_target_is_refused_in_words(wish: Target, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        wish.check()


def test_an_old_directory_is_renamed_with_the_time(tmp_path: Path) -> None:
    data = tmp_path / "main"
    data.mkdir()
    (data / "PG_VERSION").write_text("17\n")
    kept = target.set_aside(data, 0)
    assert kept == str(tmp_path / "main.before-restore-19700101T000000Z")
    assert (Path(kept) / "PG_VERSION").exists() and not data.exists()


def test_nothing_or_an_empty_directory_is_not_kept(tmp_path: Path) -> None:
    assert target.set_aside(tmp_path / "main") == ""
    (tmp_path / "main").mkdir()
    assert target.set_aside(tmp_path / "main") == ""
    assert not (tmp_path / "main").exists()


def test_a_link_is_not_put_aside(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "main").symlink_to(tmp_path / "real")
    with pytest.raises(PgbackrestError, match="no directory of its own"):
        target.set_aside(tmp_path / "main")


@pytest.mark.parametrize(
    ("text", "used"),
    [(f"{os.getpid()}\n/x\n", True), ("999999999\n", False), ("", False)],
    ids=["running", "ended", "empty"],
)
def test_whether_a_server_runs_there(tmp_path: Path, text: str, used: bool) -> None:
    (tmp_path / "postmaster.pid").write_text(text)
    assert target.in_use(tmp_path) is used
