# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""patroni_cluster_info against an API over TLS."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.chainops.infra.plugins.modules import patroni_cluster_info

from tests.unit.plugins.modules.in_process import run_module
from tests.unit.plugins.modules.patroni_site import Patroni, certificates


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def patroni(paths: dict[str, str]) -> Iterator[Patroni]:
    made = Patroni(paths)
    yield made
    made.server.shutdown()
    made.server.server_close()


def run(patroni: Patroni, paths: dict[str, str], **options: Any) -> dict[str, Any]:
    return run_module(patroni_cluster_info, address="127.0.0.1", port=patroni.port, **paths, **options)


def test_a_cluster_that_is_whole(patroni: Patroni, paths: dict[str, str]) -> None:
    found = run(patroni, paths, expected=["db-a", "db-b", "db-c"], wait_whole=1)
    assert (found["leader"], found["whole"], found["faults"], found["scope"]) == ("db-a", True, [], "main")
    assert (found["failovers"], found["last_failover"]) == (1, "2026-01-01T00:00:00+00:00")
    assert [member["role"] for member in found["members"]] == ["leader", "quorum_standby", "quorum_standby"]


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("db-a", {"role": "replica", "state": "streaming"}, "nobody leads"),
        ("db-a", {"state": "stopping"}, "db-a leads and is stopping"),
        ("db-b", {"state": "starting"}, "db-b is starting"),
        ("db-b", {"lag": 100 << 20}, "db-b lags by 104857600 bytes"),
        ("db-b", {"lag": "unknown"}, "db-b lags by -1 bytes"),
        ("db-b", {"timeline": 2}, "db-b is on timeline 2, the leader on 3"),
        ("db-b", {"role": "replica"}, "db-b streams, and is not synchronous yet"),
    ],
)
def test_what_is_wrong_is_named(
    patroni: Patroni, paths: dict[str, str], name: str, change: dict[str, Any], words: str
) -> None:
    patroni.named(name).update(change)
    assert words in run(patroni, paths)["faults"]


def test_a_member_kept_out_of_quorums_on_purpose_is_no_fault(patroni: Patroni, paths: dict[str, str]) -> None:
    patroni.named("db-b").update(role="replica", tags={"nosync": True})
    assert run(patroni, paths)["whole"] is True
    patroni.config["synchronous_mode"] = False
    patroni.named("db-c").update(role="replica")
    assert run(patroni, paths)["whole"] is True


def test_missing_members_and_a_pause_are_faults(patroni: Patroni, paths: dict[str, str]) -> None:
    patroni.config["pause"] = True
    assert run(patroni, paths, expected=["db-x"])["faults"] == [
        "db-x is not in the cluster",
        "the cluster is paused (patronictl resume ends it)",
    ]


def test_it_waits_and_gives_up_in_time(patroni: Patroni, paths: dict[str, str]) -> None:
    patroni.named("db-b").update(state="starting")
    found = run(patroni, paths, wait_whole=1)
    assert found["failed"] and "not whole after 1 s: db-b is starting" in found["msg"]
    threading.Timer(0.7, lambda: patroni.named("db-b").update(state="streaming")).start()
    assert run(patroni, paths, wait_whole=5)["whole"] is True


def test_silence_is_a_failure(paths: dict[str, str]) -> None:
    found = run_module(patroni_cluster_info, address="127.0.0.1", port=1, **paths)
    assert found["failed"] and "https://127.0.0.1:1/cluster" in found["msg"]


def test_a_history_that_cannot_be_read_is_none(patroni: Patroni, paths: dict[str, str]) -> None:
    patroni.refuse["/history"] = (200, "<html>")
    assert run(patroni, paths)["failovers"] == 0
