# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Membership is changed only where nothing can be lost by it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.chainops.infra.plugins.modules import etcd_member

from tests.unit.plugins.modules.in_process import run_module
from tests.unit.roles_etcd.fake_etcd import FakeCluster, client, peer


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    made = FakeCluster(tmp_path)
    monkeypatch.setenv("PATH", made.path)
    return made


def run(name: str, state: str, check: bool = False, **options: object) -> dict:
    endpoints = [client(each) for each in ("db-a", "db-b", "db-c")]
    given = {"name": name, "peer_url": peer(name), "state": state, "endpoints": endpoints, "timeout": 1}
    return run_module(etcd_member, check, **(given | options))


def test_a_dead_member_is_replaced_and_a_second_run_changes_nothing(cluster: FakeCluster) -> None:
    cluster.change("db-c", alive=False)
    first = run("db-c", "replaced")
    assert (first["changed"], first["actions"]) == (True, ["removed", "added"])
    assert cluster.members() == ["db-a", "db-b", ""]
    again = run("db-c", "replaced")
    assert (again["changed"], again["actions"]) == (False, [])


def test_a_run_that_was_killed_between_removal_and_addition_is_finished(cluster: FakeCluster) -> None:
    cluster.change("db-c", alive=False)
    run("db-c", "absent")
    assert run("db-c", "replaced")["actions"] == ["added"]


@pytest.mark.parametrize("state", ["absent", "replaced"])
def test_a_healthy_member_stays(cluster: FakeCluster, state: str) -> None:
    refused = run("db-c", state)
    assert refused["failed"] and "db-c is healthy" in refused["msg"] and len(cluster.members()) == 3
    assert run("db-c", state, force=True)["changed"]


def test_a_removal_that_would_leave_no_quorum_is_refused(cluster: FakeCluster) -> None:
    state = cluster.read()
    state["members"] += [dict(state["members"][0], ID=13, name="db-d", peerURLs=[peer("db-d")], clientURLs=[])]
    state["members"][2]["alive"] = False
    cluster.write(state)
    refused = run("db-c", "absent")
    assert "of the other members 2 of 3 are healthy and 3 must be (db-d not)" in refused["msg"]
    assert "member remove" not in " ".join(cluster.calls())


def test_without_a_quorum_nothing_is_done(cluster: FakeCluster) -> None:
    cluster.change("db-b", alive=False)
    cluster.change("db-c", alive=False)
    assert "context deadline exceeded" in run("db-c", "replaced")["msg"]


def test_check_mode_looks_and_changes_nothing(cluster: FakeCluster) -> None:
    cluster.change("db-c", alive=False)
    assert run("db-c", "replaced", check=True)["actions"] == ["removed", "added"]
    assert cluster.members() == ["db-a", "db-b", "db-c"]


def test_present_and_absent_are_idempotent(cluster: FakeCluster) -> None:
    assert not run("db-a", "present")["changed"]
    assert run("db-d", "present")["actions"] == ["added"]
    assert not run("db-x", "absent")["changed"]


def test_another_s_url_is_not_taken(cluster: FakeCluster) -> None:
    assert "is the peer URL of the member db-a" in run("db-x", "present", peer_url=peer("db-a"))["msg"]


def test_missing_program_is_said(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "install the package etcd-client" in run("db-a", "present")["msg"]
