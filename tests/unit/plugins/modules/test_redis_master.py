"""The module redis_master: who is master, and a planned failover that loses nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.redis import bring, move
from ansible_collections.chainops.infra.plugins.modules import redis_master

from tests.unit.plugins.module_utils.redis.fake_redis import PASSWORD, Fake, Site
from tests.unit.plugins.module_utils.redis.site_config import OnDisk
from tests.unit.plugins.modules.in_process import run_module


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OnDisk]:
    for module in (bring, move):
        monkeypatch.setattr(module, "POLL_SECONDS", 0.05)
        monkeypatch.setattr(module, "ASK_SECONDS", 0.5)
    monkeypatch.setattr(move, "CATCH_UP_SECONDS", 0.3)
    found = OnDisk(tmp_path)
    found.site.founded()
    (tmp_path / "topology.json").write_text(json.dumps(found.topology()))
    yield found
    found.site.stop()


@pytest.fixture
def site(disk: OnDisk) -> Site:
    return disk.site


def run(disk: OnDisk, check: bool = False, **options: Any) -> dict[str, Any]:
    given = {"config": str(disk.path / "topology.json"), "timeout": 2} | options
    result = run_module(redis_master, check, **given)
    assert PASSWORD not in str(result)
    return result


def test_it_says_who_is_master_and_changes_nothing(disk: OnDisk, site: Site) -> None:
    result = run(disk)
    assert (result["changed"], result["master"], result["address"]) == (False, "db-a", "127.0.0.1")
    assert site.writes == []


def test_it_waits_for_everybody(disk: OnDisk, site: Site) -> None:
    site.servers[2].linked = False
    result = run(disk, timeout=0.3)
    assert result["failed"] and "db-c has no link to its master yet" in result["msg"]


def test_writes_wait_until_another_is_master(disk: OnDisk, site: Site) -> None:
    result = run(disk, state="moved", away_from="db-a")
    assert (result["changed"], result["master"]) == (True, "db-b")
    old = [call[:2] for call in site.servers[0].calls if call[0] in ("CLIENT", "REPLICAOF")]
    assert old[0] == ("CLIENT", "PAUSE") and ("CLIENT", "UNPAUSE") in old
    assert site.servers[0].follows == site.servers[1].node, "it need not wait until the Sentinels turn it"
    assert result["diff"] == {"before": "master: db-a\n", "after": "master: db-b\n"}
    again = run(disk, state="moved", away_from="db-a")
    assert (again["changed"], again["master"]) == (False, "db-b")


def test_check_mode_moves_nothing(disk: OnDisk, site: Site) -> None:
    assert run(disk, check=True, state="moved")["changed"]
    assert site.writes == []


@pytest.mark.parametrize(("behind", "words"), [((1,), "db-b"), ((2,), "db-c"), ((1, 2), "db-b, db-c")])
def test_nothing_is_moved_while_one_that_could_be_chosen_lacks_something(
    disk: OnDisk, site: Site, behind: tuple[int, ...], words: str
) -> None:
    for index in behind:
        site.servers[index].offset = 99
    result = run(disk, state="moved")
    assert result["failed"] and f"{words} did not catch up, so nothing was moved" in result["msg"]
    assert [call for call in site.sentinels[0].calls if call[1] == "FAILOVER"] == []
    assert ("CLIENT", "UNPAUSE") in site.servers[0].calls


def test_a_replica_that_only_sentinel_knows_counts_until_it_is_gone(disk: OnDisk, site: Site) -> None:
    other = Fake(site, "db-x", follows=site.servers[0].node, offset=99)
    site.servers.append(other)
    result = run(disk, state="moved")
    assert result["failed"] and f"{other.node} did not catch up, so nothing was moved" in result["msg"]
    other.flags = "s_down,slave,disconnected"
    assert run(disk, state="moved")["master"] == "db-b"


def test_sentinels_that_name_nobody_else_are_a_failure(
    disk: OnDisk, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Site, "fail_over", lambda own: None)
    result = run(disk, state="moved", timeout=0.5)
    assert result["failed"] and "named no other master" in result["msg"]
    assert ("CLIENT", "UNPAUSE") in site.servers[0].calls


def test_a_host_without_the_role_is_told_so(disk: OnDisk) -> None:
    result = run(disk, config="/nowhere/topology.json")
    assert result["failed"] and "it is no host of the role redis_sentinel" in result["msg"]


def test_a_surprise_tells_nothing(disk: OnDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_arguments: object) -> None:
        raise RuntimeError(PASSWORD)

    monkeypatch.setattr(bring.Bringer, "look", explode)
    assert run(disk)["msg"] == "redis_master: RuntimeError while the hosts were asked"
