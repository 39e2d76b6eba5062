"""patroni_state against etcd's gateway over TLS: a state goes when nobody is alive in it, and not before."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.patroni import store
from ansible_collections.chainops.infra.plugins.modules import patroni_state

from tests.support.etcd_gateway import Etcd
from tests.unit.plugins.modules.in_process import run_module
from tests.unit.plugins.modules.patroni_site import certificates

OLD = {"/chainops/app/initialize": "77", "/chainops/app/config": "{}", "/chainops/app/history": "[]"}
OTHERS = {"/chainops/apps/leader": "another", "/chainops/app0": "x"}


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def etcd(paths: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Etcd]:
    monkeypatch.setattr(store, "POLL_SECONDS", 0.05)
    made = Etcd(paths)
    made.values = OLD | OTHERS
    yield made
    made.end()


def run(etcd: Etcd, tmp_path: Path, check: bool = False, timeout: int = 0) -> dict:
    config = etcd.config(tmp_path, data_dir="/var/lib/postgresql/17/app")
    return run_module(patroni_state, check, patroni_config=config, timeout=timeout)


def test_the_state_of_this_cluster_alone_is_removed_once(etcd: Etcd, tmp_path: Path) -> None:
    assert run(etcd, tmp_path, check=True)["changed"] is True
    assert run(etcd, tmp_path) == {"changed": True, "scope": "app"}
    assert etcd.values == OTHERS
    assert run(etcd, tmp_path)["changed"] is False


@pytest.mark.parametrize("key", ["leader", "members/db-d"])
def test_it_stays_while_anybody_is_alive_in_it(etcd: Etcd, tmp_path: Path, key: str) -> None:
    etcd.values[f"/chainops/app/{key}"] = "db-d"
    result = run(etcd, tmp_path)
    assert result["failed"] and "db-d is alive" in result["msg"] and "not touched" in result["msg"]
    assert OLD.keys() < etcd.values.keys()


def test_one_that_comes_to_life_between_the_look_and_the_removal_keeps_it(etcd: Etcd, tmp_path: Path) -> None:
    answer = etcd.answer

    def late(path: str, body: dict) -> dict:
        if path.endswith("/txn"):
            etcd.values["/chainops/app/members/db-d"] = "{}"
        return answer(path, body)

    etcd.answer = late  # type: ignore[method-assign]  # it answers late this once
    assert "db-d is alive" in run(etcd, tmp_path)["msg"]
    assert OLD.keys() < etcd.values.keys()


def test_the_lease_of_a_lost_member_is_waited_for(etcd: Etcd, tmp_path: Path) -> None:
    etcd.values["/chainops/app/members/db-d"] = "{}"
    threading.Timer(0.2, etcd.values.pop, ["/chainops/app/members/db-d"]).start()
    assert run(etcd, tmp_path, timeout=10)["changed"] is True


def test_an_etcd_without_a_quorum_and_a_host_without_patroni_are_errors(etcd: Etcd, tmp_path: Path) -> None:
    etcd.status = 503
    assert "status 503" in run(etcd, tmp_path)["msg"]
    assert "playbook writes it" in run_module(patroni_state, patroni_config=str(tmp_path / "none"))["msg"]
    (tmp_path / "other.yml").write_text("scope: app\n")
    assert (
        "as the role postgresql writes it"
        in run_module(patroni_state, patroni_config=str(tmp_path / "other.yml"))["msg"]
    )
