# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""patroni_switchover against an API over TLS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.chainops.infra.plugins.modules import patroni_switchover

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


def run(patroni: Patroni, paths: dict[str, str], check: bool = False, **options: Any) -> dict[str, Any]:
    given = {"address": "127.0.0.1", "port": patroni.port, "timeout": 2, **paths}
    return run_module(patroni_switchover, check, **(given | options))


def test_another_member_leads_and_a_second_run_does_nothing(patroni: Patroni, paths: dict[str, str]) -> None:
    found = run(patroni, paths, candidate="db-c")
    assert (found["changed"], found["leader"], found["former"]) == (True, "db-c", "db-a")
    assert patroni.requests == ['POST /switchover {"candidate": "db-c", "leader": "db-a"}']
    assert run(patroni, paths, candidate="db-c")["changed"] is False


def test_a_member_that_is_left_is_left_once(patroni: Patroni, paths: dict[str, str]) -> None:
    assert run(patroni, paths, leave="db-b")["changed"] is False
    assert run(patroni, paths, leave="db-a")["leader"] == "db-b"
    assert run(patroni, paths, leave="db-a")["changed"] is False


def test_check_mode_asks_for_nothing(patroni: Patroni, paths: dict[str, str]) -> None:
    found = run(patroni, paths, check=True, leave="db-a")
    assert (found["changed"], found["leader"], patroni.requests) == (True, "", [])


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        ({"db-c": {"state": "starting"}}, {"candidate": "db-c"}, "db-c is starting, and must stream"),
        ({}, {"candidate": "db-x"}, "db-x is not in the cluster"),
        ({"db-b": {"state": "stopped"}, "db-c": {"state": "stopped"}}, {"leave": "db-a"}, "no standby streams"),
        ({"db-a": {"role": "replica"}}, {"candidate": "db-b"}, "nobody leads"),
        ({}, {"candidate": "db-a", "leave": "db-a"}, "both db-a"),
    ],
)
def test_what_cannot_be_is_refused(
    patroni: Patroni, paths: dict[str, str], change: dict[str, Any], options: dict[str, Any], words: str
) -> None:
    for name, values in change.items():
        patroni.named(name).update(values)
    found = run(patroni, paths, **options)
    assert found["failed"] and words in found["msg"] and patroni.requests == []


def test_a_paused_cluster_is_left_alone(patroni: Patroni, paths: dict[str, str]) -> None:
    patroni.config["pause"] = True
    assert "paused" in run(patroni, paths, leave="db-a")["msg"]


def test_a_former_leader_that_does_not_follow_is_a_failure(patroni: Patroni, paths: dict[str, str]) -> None:
    patroni.on_change["/switchover"] = lambda body: (
        patroni.switch(body),
        patroni.named("db-a").update(state="stopped"),
    )
    found = run(patroni, paths, candidate="db-b")
    assert found["failed"] and found["changed"] is True
    assert "after 2 s db-b leads, and db-a, which led before, is stopped" in found["msg"]


def test_a_refusal_is_shown(patroni: Patroni, paths: dict[str, str]) -> None:
    patroni.refuse["/switchover"] = (412, "no good candidates have been found")
    assert "no good candidates" in run(patroni, paths, leave="db-a")["msg"]
