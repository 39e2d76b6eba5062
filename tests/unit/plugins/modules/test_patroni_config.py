# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""patroni_config against an API over TLS: who writes, what is kept, and how long is waited."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.patroni.rest import patch
from ansible_collections.chainops.infra.plugins.modules import patroni_config

from tests.unit.plugins.modules.in_process import run_module
from tests.unit.plugins.modules.patroni_site import Patroni, certificates

WANTED = {"ttl": 20, "synchronous_mode": "quorum", "postgresql": {"parameters": {"max_connections": 200}}}


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
    given = {"address": "127.0.0.1", "port": patroni.port, "name": "db-a", "config": WANTED, "timeout": 3, **paths}
    return run_module(patroni_config, check, **(given | options))


def test_the_leader_s_host_writes_once(patroni: Patroni, paths: dict[str, str]) -> None:
    first = run(patroni, paths, hosts=["db-b", "db-a"])
    assert (first["changed"], first["written"], first["leader"]) == (True, True, "db-a")
    assert patroni.config == WANTED | {"pause": False}
    assert '"ttl": 30' in first["diff"]["before"] and '"ttl": 20' in first["diff"]["after"]
    assert run(patroni, paths)["changed"] is False
    assert len(patroni.requests) == 1


def test_what_is_not_wanted_is_removed_and_a_pause_is_kept(patroni: Patroni, paths: dict[str, str]) -> None:
    patroni.config |= {"pause": True, "stale": 1, "postgresql": {"parameters": {"fsync": "off"}}}
    run(patroni, paths)
    assert patroni.config == WANTED | {"pause": True}


def test_another_host_waits_for_the_leader_s(patroni: Patroni, paths: dict[str, str]) -> None:
    late = threading.Timer(0.8, lambda: patroni.config.update(WANTED))
    late.start()
    found = run(patroni, paths, name="db-b", hosts=["db-a", "db-b"])
    assert (found["changed"], found["written"], patroni.requests) == (False, False, [])


def test_another_host_does_not_wait_for_ever(patroni: Patroni, paths: dict[str, str]) -> None:
    found = run(patroni, paths, name="db-b", hosts=["db-a", "db-b"], timeout=1)
    assert found["failed"] and "does not show the configuration after 1 s" in found["msg"]


def test_the_first_host_writes_where_the_leader_s_is_not_in_the_run(patroni: Patroni, paths: dict[str, str]) -> None:
    assert run(patroni, paths, name="db-b", hosts=["db-b", "db-c"])["written"] is True


def test_a_leader_that_is_elected_meanwhile_is_waited_for(patroni: Patroni, paths: dict[str, str]) -> None:
    patroni.named("db-a").update(role="replica")
    late = threading.Timer(0.8, lambda: patroni.named("db-a").update(role="leader"))
    late.start()
    assert run(patroni, paths)["leader"] == "db-a"


def test_without_a_leader_it_fails_in_time_and_says_so(patroni: Patroni, paths: dict[str, str]) -> None:
    patroni.named("db-a").update(role="replica", state="stopped")
    found = run(patroni, paths, timeout=1)
    assert found["failed"] and "db-a is stopped after 1 s, and nobody leads" in found["msg"]


def test_a_member_that_copies_goes_on_by_itself(patroni: Patroni, paths: dict[str, str]) -> None:
    patroni.named("db-b").update(state="creating replica")
    found = run(patroni, paths, name="db-b", timeout=1)
    assert "db-b is creating replica" in found["msg"] and "goes on by itself" in found["msg"]


def test_check_mode_writes_nothing(patroni: Patroni, paths: dict[str, str]) -> None:
    assert run(patroni, paths, check=True)["changed"] is True
    assert run(patroni, paths, check=True, name="db-b", hosts=["db-a", "db-b"])["changed"] is False
    assert patroni.requests == []


def test_in_check_mode_a_patroni_that_is_not_there_is_a_planned_change(paths: dict[str, str], tmp_path: Path) -> None:
    given = {"address": "127.0.0.1", "port": 1, "name": "db-a", "config": WANTED}
    assert run_module(patroni_config, True, **given, **paths)["changed"] is True
    assert run_module(patroni_config, True, **given, **(paths | {"ca": str(tmp_path / "none")}))["changed"] is True
    assert run_module(patroni_config, False, **given, **paths, timeout=0)["failed"]


def test_a_pending_restart_is_told_and_not_made(patroni: Patroni, paths: dict[str, str]) -> None:
    patroni.named("db-a").update(pending_restart=True)
    assert run(patroni, paths)["pending_restart"] is True
    assert [line for line in patroni.requests if "restart" in line] == []


def test_a_refusal_is_shown(patroni: Patroni, paths: dict[str, str]) -> None:
    patroni.refuse["/config"] = (409, "conflict")
    assert "status 409" in run(patroni, paths, timeout=1)["msg"]


@pytest.mark.parametrize(
    ("found", "wanted", "change"),
    [
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1}, {"a": True}, {"a": True}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, {"a": {"c": None}}),
        ({"a": 1}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"pause": True}, {}, {}),
        ({"a": {"pause": True}}, {"a": {}}, {"a": {"pause": None}}),
        ({}, {"a": [1]}, {"a": [1]}),
    ],
)
def test_the_change_is_the_least(found: dict[str, Any], wanted: dict[str, Any], change: dict[str, Any]) -> None:
    assert patch(found, wanted) == change
