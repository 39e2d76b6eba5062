# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sets of shards: what is copied again, what a manifest holds, and what is found when it does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.influxdb import backups, counts
from ansible_collections.chainops.infra.plugins.module_utils.influxdb.backups import BackupError
from ansible_collections.chainops.infra.plugins.module_utils.influxdb.restic import Restic

from tests.unit.plugins.modules.influxdb_site import DAY, FIRST, SECOND, Site, series


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.fake.close()


def test_the_manifest_counts_every_series(site: Site) -> None:
    manifest = site.back_up()
    assert manifest["copied"] == 2
    assert manifest["shards"]["1"]["series"] == {
        "chain,node=a": {"block": [100, 100]},
        "chain,node=b": {"block": [7, 7]},
    }
    assert sum(counts.total(entry["series"]) for entry in manifest["shards"].values()) == 157
    assert backups.faults(site.copy, manifest) == []
    assert {path.name for path in site.copy.iterdir()} == {backups.MANIFEST, *backups.files_of(manifest)}


def test_only_what_was_written_to_is_copied_again(site: Site) -> None:
    first = site.back_up()
    assert site.back_up()["copied"] == 0
    site.live["2"]["series"] = [series("a", 51)]
    site.written(2)
    second = site.back_up()
    assert second["copied"] == 1
    assert second["shards"]["1"] == first["shards"]["1"]
    assert second["shards"]["2"]["series"]["chain,node=a"]["block"] == [51, 51]
    assert backups.faults(site.copy, second) == []


def test_a_late_point_in_an_old_shard_is_copied_too(site: Site) -> None:
    site.back_up()
    site.written(1)
    assert site.back_up()["copied"] == 1


def test_a_shard_that_the_policy_let_go_of_leaves_the_set(site: Site) -> None:
    site.back_up()
    site.fake.shards = site.fake.shards[1:]
    manifest = site.back_up()
    assert list(manifest["shards"]) == ["2"]
    assert [path.name for path in site.copy.glob("1-*")] == []


def test_everything_is_copied_anew_on_request_and_a_lost_file_by_itself(site: Site) -> None:
    site.back_up()
    assert site.back_up(everything=True)["copied"] == 2
    next(site.copy.glob("2-*")).unlink()
    assert site.back_up()["copied"] == 1


def test_a_shard_that_vanishes_while_it_is_copied_is_no_error(site: Site) -> None:
    site.add_shard(3, SECOND + DAY, [])
    real = counts.points

    def gone(*arguments: object) -> counts.Counts:
        site.fake.shards = [row for row in site.fake.shards if row[0] != 3]
        return real(*arguments)  # type: ignore[arg-type]  # whatever the caller gave

    site.live.pop("3")
    (site.folder / "live.json").write_text("{}")
    with pytest.raises(BackupError, match="shard 1"):
        site.back_up()
    site.written(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counts, "points", gone)
        assert sorted(site.back_up()["shards"]) == ["1", "2"]


def test_a_failed_run_leaves_the_set_of_before(site: Site) -> None:
    before = site.back_up()
    site.written(1)
    site.written(2)
    (site.folder / "live.json").write_text('{"1": {"start": 0, "series": []}}')
    with pytest.raises(BackupError, match="shard 2"):
        site.back_up()
    kept = backups.read_manifest(site.copy)
    assert kept["shards"] == before["shards"] and backups.faults(site.copy, kept) == []


def test_points_written_while_a_shard_is_copied_may_be_in_it_or_not() -> None:
    limits = counts.between({"m": {"x": 10}}, {"m": {"x": 12}, "n": {"x": 1}})
    assert limits == {"m": {"x": [10, 12]}, "n": {"x": [0, 1]}}
    assert counts.differences(limits, {"m": {"x": 11}}) == []
    assert counts.differences(limits, {"m": {"x": 9}, "n": {"x": 1}}) == ["m x: 9 points instead of 10 to 12"]
    assert counts.differences(limits, {"m": {"x": 13}}) == ["m x: 13 points instead of 10 to 12"]


def test_what_is_missing_or_altered_is_named(site: Site) -> None:
    manifest = site.back_up()
    one, two = manifest["shards"]["1"]["file"], manifest["shards"]["2"]["file"]
    (site.copy / one).unlink()
    (site.copy / two).write_text("other")
    (site.copy / manifest["meta"]["file"]).write_text("other")
    assert sorted(text.split(" ", 1)[1] for text in backups.faults(site.copy, manifest)) == [
        "is missing",
        "is not what was copied (SHA-256)",
        "is not what was copied (SHA-256)",
    ]


def test_a_series_is_named_as_in_line_protocol() -> None:
    found = {"name": "a b", "tags": {"z": "1", "k,": "v=w", "none": ""}}
    assert counts.series_key(found) == "a\\ b,k\\,=v\\=w,z=1"


@pytest.mark.parametrize("content", ["", "[]", '{"version": 2}'])
def test_a_manifest_that_cannot_be_used(tmp_path: Path, content: str) -> None:
    (tmp_path / backups.MANIFEST).write_text(content)
    with pytest.raises(BackupError, match="manifest"):
        backups.read_manifest(tmp_path)


def test_of_one_database(site: Site) -> None:
    manifest = site.back_up()
    assert backups.databases(manifest) == ["chain"]
    with pytest.raises(BackupError, match="nothing of database other"):
        backups.compose(site.copy, manifest, "other")


def test_the_first_copy_makes_the_repository_and_a_secret_goes_by_no_word(site: Site) -> None:
    site.back_up()
    site.send()
    site.send()
    assert len(site.sent) == 2
    assert all((copy / backups.MANIFEST).exists() for copy in site.sent)


def test_a_repository_that_is_not_described(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# nothing\nRESTIC_REPOSITORY=/x\n")
    with pytest.raises(BackupError, match="RESTIC_PASSWORD_FILE is missing"):
        Restic.from_file(str(tmp_path / "env"), "/nowhere")
    with pytest.raises(BackupError, match="cannot be read"):
        Restic.from_file(str(tmp_path / "none"), "/nowhere")


@pytest.mark.parametrize(
    ("text", "good"), [("chain", True), ("chain_2.x-y", True), ("-db", False), ("a/b", False), ("", False)]
)
def test_names_that_are_plain_on_a_command_line(text: str, good: bool) -> None:
    assert backups.valid_name(text) is good


def test_days_of_the_fixture() -> None:
    assert counts.nanoseconds("2026-11-25T00:00:00Z") == FIRST and SECOND - FIRST == DAY
