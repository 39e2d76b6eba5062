"""The module redis_topology against servers and Sentinels on loopback, behind TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.redis import bring
from ansible_collections.chainops.infra.plugins.modules import redis_topology

from tests.unit.plugins.module_utils.redis.fake_redis import PASSWORD, Site
from tests.unit.plugins.module_utils.redis.site_config import OnDisk
from tests.unit.plugins.modules.in_process import run_module


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OnDisk]:
    monkeypatch.setattr(bring, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(bring, "ASK_SECONDS", 0.5)
    found = OnDisk(tmp_path)
    yield found
    found.site.stop()


@pytest.fixture
def site(disk: OnDisk) -> Site:
    return disk.site


def run(disk: OnDisk, check: bool = False, **other: Any) -> dict[str, Any]:
    result = run_module(redis_topology, check, **(disk.topology(timeout=2, patience=0.2) | other))
    assert PASSWORD not in str(result)
    return result


def test_the_first_run_founds_and_the_second_changes_nothing(disk: OnDisk, site: Site) -> None:
    result = run(disk)
    assert (result["changed"], result["master"], result["missing"]) == (True, "db-a", [])
    assert result["steps"][0] == f"db-b: replica of {site.servers[0].node}"
    assert "sentinel db-c: idle" in result["diff"]["before"]
    assert f"sentinel db-c: watches {site.servers[0].node}" in result["diff"]["after"]
    assert [each.follows for each in site.servers] == [None, site.servers[0].node, site.servers[0].node]
    assert site.sentinels[2].settings["auth-pass"] == PASSWORD
    assert ("CONFIG", "REWRITE") in site.servers[1].calls, "a restart must find whom it follows"
    before = site.writes
    again = run(disk)
    assert (again["changed"], again["source"], site.writes) == (False, "sentinels", before)


def test_check_mode_says_the_same_and_does_nothing(disk: OnDisk, site: Site) -> None:
    result = run(disk, check=True)
    assert result["changed"] and len(result["steps"]) == 5
    assert site.writes == []


def test_hosts_that_are_not_there_yet_are_a_planned_change(disk: OnDisk, site: Site) -> None:
    site.stop()
    result = run(disk, check=True)
    assert result["changed"] and "too few Sentinels answer" in result["warnings"][0]
    assert run(disk, check=True, password_file=str(disk.path / "none"))["changed"]


def test_after_a_failover_the_new_master_is_kept(disk: OnDisk, site: Site) -> None:
    site.founded().fail_over(to=2)
    site.servers[0].follows = site.servers[2].node
    result = run(disk, founding="db-a")
    assert (result["changed"], result["master"]) == (False, "db-c")
    assert site.writes == []


def test_an_old_master_is_left_to_the_sentinels_and_then_told(disk: OnDisk, site: Site) -> None:
    site.founded().fail_over()
    result = run(disk, patience=0.6)
    assert result["steps"] == [f"db-a: replica of {site.servers[1].node}"]
    site.sentinels[0].master = site.servers[0].node
    result = run(disk)
    assert [step.split(" ")[0:3] for step in result["steps"]] == [["sentinel", "db-a:", "watches"]]


def test_settings_are_changed_in_place(disk: OnDisk, site: Site) -> None:
    site.founded()
    result = run(disk, settings={"down-after-milliseconds": "5000"})
    assert result["steps"] == [f"sentinel {name}: down-after-milliseconds=5000" for name in ("db-a", "db-b", "db-c")]
    assert site.sentinels[1].settings["down-after-milliseconds"] == "5000"


def test_a_new_empty_host_is_taken_in(disk: OnDisk, site: Site) -> None:
    site.founded()
    site.servers[2].follows = None
    site.sentinels[2].master = None
    assert run(disk)["steps"][0] == f"db-c: replica of {site.servers[0].node}"


def test_data_is_not_thrown_away(disk: OnDisk, site: Site) -> None:
    site.founded()
    site.servers[2].follows = None
    site.servers[2].keys = {"precious": "1"}
    result = run(disk)
    assert result["failed"] and "db-c (1 keys) would lose what it holds" in result["msg"]
    assert site.servers[2].keys and site.writes == []


def test_a_replica_and_a_sentinel_that_are_down_are_warnings(disk: OnDisk, site: Site) -> None:
    site.founded()
    site.servers[2].stop()
    site.sentinels[2].stop()
    site.servers[2].follows = site.servers[0].node
    result = run(disk)
    assert not result.get("failed") and not result["changed"]
    assert len(result["warnings"]) == 2 and "db-c does not answer" in result["warnings"][0]
    # but a site is not founded on what cannot be seen
    for sentinel in site.sentinels[:2]:
        sentinel.master = None
    result = run(disk)
    assert result["failed"] and "not every server answers" in result["msg"]


def test_during_a_failover_nothing_is_changed(disk: OnDisk, site: Site) -> None:
    site.founded()
    site.servers[0].mode = "frozen"
    result = run(disk)
    assert result["failed"] and "db-a" in result["msg"] and "does not answer" in result["msg"]
    site.sentinels[0].master = site.servers[1].node
    site.sentinels[1].stop()
    result = run(disk)
    assert result["failed"] and "do not agree" in result["msg"]
    assert site.writes == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"quorum": 1}, "quorum = 1: must be more than half of 3"),
        ({"quorum": 4}, "quorum = 4"),
        ({"founding": "db-z"}, "founding = db-z is none of the servers"),
        ({"password_file": "/nowhere/x"}, "there is no /nowhere/x on this host"),
    ],
)
def test_options_that_cannot_be_right(disk: OnDisk, options: dict[str, Any], words: str) -> None:
    result = run(disk, **options)
    assert result["failed"] and words in result["msg"]


def test_a_wrong_password_and_a_surprise_tell_nothing(
    disk: OnDisk, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.founded()
    (disk.path / "wrong").write_text("other-secret\n")
    result = run(disk, sentinel_password_file=str(disk.path / "wrong"))
    assert result["failed"] and "other-secret" not in str(result)

    def explode(*_arguments: object) -> None:
        raise RuntimeError(PASSWORD)

    monkeypatch.setattr(bring.Bringer, "look", explode)
    assert run(disk)["msg"] == "redis_topology: RuntimeError while the hosts were asked"
