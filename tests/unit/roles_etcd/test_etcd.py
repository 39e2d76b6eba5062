# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""etcd's start, its daily work and its configuration, against programs that answer as etcd's own do."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.chainops.infra.plugins.filter import member_addresses

from tests.unit.roles_etcd.fake_etcd import FakeCluster, client, peer
from tests.unit.roles_ethereum.rendered import ROOT, Role

NAMES = ["db-a", "db-b", "db-c"]
REGIONS = {"db-a": "east", "db-b": "west", "db-c": "witness"}
HOSTVARS = {
    name: {"ansible_host": f"10.10.{number}.31", "site_region": REGIONS[name]} for number, name in enumerate(NAMES, 1)
}


def program(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "roles" / "etcd" / "files" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


start, maintenance = program("start"), program("maintenance")


def role(host: str = "db-a", **variables: Any) -> Role:
    given = {"inventory_hostname": host, "groups": {"etcd": NAMES, "all": NAMES}, "hostvars": HOSTVARS}
    return Role("etcd", **(given | {"ansible_host": HOSTVARS[host]["ansible_host"], "site_name": "try"} | variables))


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    made = FakeCluster(tmp_path)
    monkeypatch.setenv("PATH", made.path)
    return made


class Host:
    """The files of db-c, which start.py works with."""

    def __init__(self, root: Path) -> None:
        self.data, self.founding, self.result = root / "data", root / ".founding", root / "run.yml"
        self.data.mkdir()
        self.members, self.source = root / "members.json", root / "etcd.yml"
        config = {
            "name": "db-c",
            "peer_url": peer("db-c"),
            "data_dir": str(self.data),
            "founding": str(self.founding),
            "members": {name: peer(name) for name in NAMES},
            "clients": [client("db-a"), client("db-b")],
            "files": {"cert": "/c", "key": "/k", "cacert": "/a"},
        }
        self.members.write_text(json.dumps(config))
        self.source.write_text("name: db-c\n")

    def start(self) -> dict[str, Any] | None:
        code = start.main(["prepare", str(self.members), str(self.source), str(self.result)])
        return None if code else yaml.safe_load(self.result.read_text())


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


EVERYBODY = ",".join(f"{name}={peer(name)}" for name in NAMES)


def test_a_cluster_is_founded_only_where_the_playbook_says_so(cluster: FakeCluster, host: Host, capsys) -> None:
    for name in NAMES:
        cluster.change(name, alive=False)
    assert host.start() is None
    assert "no other member can be asked" in capsys.readouterr().err
    host.founding.touch()
    assert host.start() == {"name": "db-c", "initial-cluster-state": "new", "initial-cluster": EVERYBODY}
    start.main(["ready", str(host.members)])
    assert not host.founding.exists() and host.start() is None


def test_a_member_with_data_goes_on_with_it(cluster: FakeCluster, host: Host) -> None:
    (host.data / "member").mkdir()
    started = host.start()
    assert started and started["initial-cluster-state"] == "existing" and cluster.calls() == []


def test_a_member_that_lost_its_data_must_be_replaced(cluster: FakeCluster, host: Host, capsys) -> None:
    assert host.start() is None
    assert "etcd_replace -e replace_member=db-c" in capsys.readouterr().err and not host.result.exists()


def test_a_place_that_waits_is_taken(cluster: FakeCluster, host: Host) -> None:
    state = cluster.read()
    state["members"][2] = {"ID": 99, "peerURLs": [peer("db-c")]}
    cluster.write(state)
    assert host.start() == {"name": "db-c", "initial-cluster-state": "existing", "initial-cluster": EVERYBODY}


def test_a_host_without_a_place_does_not_start(cluster: FakeCluster, host: Host, capsys) -> None:
    state = cluster.read()
    del state["members"][2]
    cluster.write(state)
    assert host.start() is None and "has no place for it" in capsys.readouterr().err


def test_a_member_is_spared_only_while_the_others_are_a_quorum(
    cluster: FakeCluster, host: Host, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(start, "PATIENCE", 0)
    assert start.main(["spared", str(host.members)]) == 0
    cluster.change("db-b", alive=False)
    assert start.main(["spared", str(host.members)]) == 1
    assert (
        f"of the other members 1 are healthy, and 2 must be while this one is down ({client('db-b')} not)"
        in capsys.readouterr().err
    )


class Worker:
    """The daily work of one member."""

    def __init__(self, cluster: FakeCluster, name: str) -> None:
        self.cluster, self.root = cluster, cluster.root / name
        self.backup, self.metrics, self.config = self.root / "backup", self.root / "m.prom", self.root / "config.json"
        self.backup.mkdir(parents=True)
        config = {
            "name": name,
            "local": client(name),
            "others": [client(each) for each in NAMES if each != name],
            "files": {},
            "backup_dir": str(self.backup),
            "backup_keep": 2,
            "defrag_ratio": 0.5,
            "defrag_size": 10000,
            "metrics": str(self.metrics),
        }
        self.config.write_text(json.dumps(config))

    def run(self) -> int:
        return maintenance.main([str(self.config)])

    def metric(self, name: str) -> float:
        return maintenance.kept_metrics(self.metrics)[name]


def test_a_snapshot_is_read_back_before_it_counts(cluster: FakeCluster) -> None:
    worker = Worker(cluster, "db-b")
    assert worker.run() == 0
    (saved,) = worker.backup.iterdir()
    assert saved.suffix == ".db" and worker.metric("snapshot_ok") == 1 and worker.metric("snapshot_keys") == 3
    good = worker.metric("snapshot_time_seconds")
    state = cluster.read()
    cluster.write(state | {"snapshot": {"totalKey": 0, "revision": 0}})
    assert worker.run() == 1
    assert worker.metric("snapshot_ok") == 0 and worker.metric("snapshot_time_seconds") == good, "its age grows"
    assert list(worker.backup.glob("*.db")) == [saved]


def test_old_snapshots_go_and_halves_too(cluster: FakeCluster) -> None:
    worker = Worker(cluster, "db-b")
    for day in (1, 2, 3):
        (worker.backup / f"etcd-db-b-2026010{day}T000000Z.db").touch()
    (worker.backup / "etcd-db-b-20260104T000000Z.new").touch()
    worker.run()
    names = sorted(path.name for path in worker.backup.iterdir())
    assert len(names) == 2 and names[0] == "etcd-db-b-20260103T000000Z.db"


def test_space_is_given_back_under_the_lock_and_only_where_it_is_worth_it(cluster: FakeCluster) -> None:
    worker = Worker(cluster, "db-b")
    worker.run()
    assert not any(call.startswith(("lock", "defrag")) for call in cluster.calls())
    cluster.change("db-b", used=400)
    assert worker.run() == 0
    order = [call.split()[0] for call in cluster.calls() if call.split()[0] in ("lock", "defrag")]
    assert order == ["lock", "defrag"] and worker.metric("defragmentation_ok") == 1


def test_a_large_file_needs_less_of_a_reason(cluster: FakeCluster) -> None:
    config = {"defrag_ratio": 0.5, "defrag_size": 10000}
    assert not maintenance.worthwhile({"dbSize": 9000, "dbSizeInUse": 7000}, config)
    assert maintenance.worthwhile({"dbSize": 20000, "dbSizeInUse": 15000}, config)
    assert not maintenance.worthwhile({"dbSize": 20000, "dbSizeInUse": 19000}, config)


@pytest.mark.parametrize("fault", [{"alive": False}, {"errors": ["corrupt"]}])
def test_nobody_defragments_while_a_member_is_not_well(cluster: FakeCluster, fault: dict[str, Any]) -> None:
    cluster.change("db-b", used=400)
    cluster.change("db-c", **fault)
    worker = Worker(cluster, "db-b")
    assert worker.run() == 1
    assert "defrag" not in cluster.calls()
    assert worker.metric("snapshot_ok") == 1 and worker.metric("defragmentation_ok") == 0


def test_the_leader_comes_last_and_gives_leadership_away(cluster: FakeCluster) -> None:
    for name in NAMES:
        cluster.change(name, used=400)
    leader = Worker(cluster, "db-a")
    assert leader.run() == 0 and "defrag" not in cluster.calls()
    for name in ("db-b", "db-c"):
        Worker(cluster, name).run()
    leader.run()
    order = [call.split()[0] for call in cluster.calls() if call.split()[0] in ("move-leader", "defrag")]
    assert order == ["defrag", "defrag", "move-leader", "defrag"] and cluster.read()["leader"] == 11


def test_the_configuration_is_yaml_with_mutual_tls() -> None:
    config = yaml.safe_load(role().template("etcd.yml.j2"))
    for side in ("client-transport-security", "peer-transport-security"):
        assert config[side] == {
            "cert-file": "/etc/chainops/tls/host.pem",
            "key-file": "/etc/chainops/tls/host.key",
            "client-cert-auth": True,
            "trusted-ca-file": "/etc/chainops/tls/ca.pem",
        }
    assert config["listen-client-urls"] == "https://10.10.1.31:2379,https://127.0.0.1:2379"
    assert config["listen-metrics-urls"] == "http://127.0.0.1:2381"
    assert (config["heartbeat-interval"], config["election-timeout"]) == (100, 1000)
    assert config["quota-backend-bytes"] == 2 * 1024**3 and config["initial-cluster-token"] == "try-etcd"
    assert "initial-cluster" not in config and "initial-cluster-state" not in config


def test_a_long_way_between_regions_makes_it_patient() -> None:
    config = yaml.safe_load(role(etcd_round_trip_ms=180).template("etcd.yml.j2"))
    assert (config["heartbeat-interval"], config["election-timeout"]) == (180, 1800)


def test_every_member_works_out_the_same_cluster() -> None:
    found = [json.loads(role(name).template("members.json.j2")) for name in NAMES]
    assert found[0]["members"] == found[1]["members"] == found[2]["members"]
    assert found[0]["members"]["db-b"] == "https://10.10.2.31:2380"
    assert found[0]["clients"] == ["https://10.10.2.31:2379", "https://10.10.3.31:2379"]
    work = json.loads(role().template("maintenance.json.j2"))
    assert work["others"] == found[0]["clients"] and work["local"] == "https://127.0.0.1:2379"


def founding(**seen: Any) -> bool:
    hostvars = {name: HOSTVARS[name] | ({"__etcd_here": seen[name]} if name in seen else {}) for name in NAMES}
    return role(hostvars=hostvars).value("__etcd_founding")


def test_a_founding_needs_every_member_to_be_seen_empty() -> None:
    empty, full = {"empty": True}, {"empty": False}
    assert founding(**{"db-a": empty, "db-b": empty, "db-c": empty}) is True
    assert founding(**{"db-a": empty, "db-b": empty, "db-c": full}) is False
    assert founding(**{"db-a": empty}) is False, "with --limit, or where one cannot be reached"


def test_member_addresses_are_sorted_and_from_the_inventory() -> None:
    made = member_addresses.FilterModule().filters()["member_addresses"]
    hostvars = {"b": {"ansible_host": "10.0.0.2", "site_address": "fd00::2", "site_region": "west"}, "a": {}}
    assert made(["b", "a"], hostvars) == [
        {"name": "a", "address": "a", "url_address": "a", "region": ""},
        {"name": "b", "address": "fd00::2", "url_address": "[fd00::2]", "region": "west"},
    ]
    with pytest.raises(AnsibleFilterError, match="'c' is no host"):
        made(["c"], hostvars)


def test_the_programs_need_nothing_but_python() -> None:
    for module in (start, maintenance):
        names = {name for name in vars(module) if isinstance(getattr(module, name), ModuleType)}
        assert names <= set(sys.stdlib_module_names)
