"""What playbooks/layers/data.yml tells roles of each other: worked out with the lab's inventory, as its check does."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.template import trust_as_template

from tests.support.preflight import ROOT, CheckedInventory, lab_facts, lab_inventory, message
from tests.unit.roles.role_files import load

BALANCERS = ("lb-d1", "lb-d2")
NODES = ("eth-a", "eth-b", "eth-c", "eth-d")


@pytest.fixture(scope="module")
def secrets_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What tools/lab up makes on the control node."""
    made = tmp_path_factory.mktemp("secrets")
    for name in load(ROOT / "inventories/lab/group_vars/all/lab.yml")["lab_secrets"]:
        (made / name).parent.mkdir(exist_ok=True)
        (made / name).write_text(secrets.token_urlsafe(24) + "\n", encoding="utf-8")
    return made


def lab_without(tmp_path: Path, group: str = "", variables: tuple[str, ...] = ()) -> Path:
    """A copy of the lab's inventory that lacks a group, or variables of all hosts."""
    lab = shutil.copytree(ROOT / "inventories" / "lab", tmp_path / "lab")
    for path in (lab / "data.yml", lab / "ethereum.yml", lab / "group_vars" / "all" / "data.yml"):
        content = load(path)
        groups = content.get("all", {}).get("children", {})
        groups.pop(group, None)
        for each in groups.values():
            each.get("children", {}).pop(group, None)
        for name in variables:
            content.pop(name, None)
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return lab


def with_secrets(checked: CheckedInventory, secrets_dir: Path) -> Iterator[CheckedInventory]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LAB_PREFIX", "LAB_NETWORK", "LAB_HOSTS", "LAYERS"):
            patch.delenv(name, raising=False)
        with checked.changed("all", {"site_secrets_dir": str(secrets_dir)}):
            yield checked


@pytest.fixture(scope="module")
def data(secrets_dir: Path) -> Iterator[CheckedInventory]:
    """The data layer's hosts alone."""
    yield from with_secrets(lab_inventory("data"), secrets_dir)


@pytest.fixture(scope="module")
def whole(secrets_dir: Path) -> Iterator[CheckedInventory]:
    """Every host of the lab."""
    yield from with_secrets(lab_inventory(), secrets_dir)


def hosts_of(checked: CheckedInventory, role: str) -> set[str]:
    return set(checked.applied("data", role))


def test_postgresql_knows_pgbouncer_by_its_hosts_certificates(data: CheckedInventory) -> None:
    (user,) = data.applied("data", "postgresql")["db-c"].values["postgresql_mapped_users"]
    assert user == {
        "role": "pgbouncer",
        "certificates": ["lb-d1", "lb-d2"],
        "networks": ["10.87.1.51", "10.87.2.51"],
    }


def wanted_objects(checked: CheckedInventory) -> dict[str, list[dict[str, Any]]]:
    scope = checked.applied("data", "postgresql_objects")["db-c"].scope
    return dict(scope.template(scope.variables["__postgresql_objects_wanted"]))


def test_pgbouncer_s_lookup_is_there_before_what_the_site_wants(data: CheckedInventory) -> None:
    found = wanted_objects(data)
    assert [role["name"] for role in found["roles"]] == ["pgbouncer", "prover"]
    assert "password_file" not in found["roles"][0]
    (function,) = found["functions"]
    assert (function["database"], function["execute"]) == ("postgres", ["pgbouncer"])
    assert "NOT (r.rolsuper OR r.rolreplication OR r.rolbypassrls)" in function["body"]
    query = data.applied("data", "pgbouncer")["lb-d1"].values["pgbouncer_auth_query"]
    assert f"{function['schema']}.{function['name']}($1)" in query
    assert [grant["role"] for grant in found["grants"]] == ["pgbouncer"]


def test_pgbouncer_s_user_and_database_may_be_others(data: CheckedInventory) -> None:
    changed = {"pgbouncer_auth_user": "pooler", "pgbouncer_auth_database": "prover"}
    with data.changed("pgbouncer", changed):
        found = wanted_objects(data)
        (user,) = data.applied("data", "postgresql")["db-a"].values["postgresql_mapped_users"]
    assert user["role"] == found["roles"][0]["name"] == "pooler"
    assert {found[kind][0]["database"] for kind in ("schemas", "functions", "grants")} == {"prover"}


def test_verifiers_in_a_file_need_nothing_of_postgresql(data: CheckedInventory, tmp_path: Path) -> None:
    (tmp_path / "users").touch()
    with data.changed("pgbouncer", {"pgbouncer_auth": "file", "pgbouncer_auth_file": str(tmp_path / "users")}):
        assert data.applied("data", "postgresql")["db-a"].values["postgresql_mapped_users"] == []
        assert [role["name"] for role in wanted_objects(data)["roles"]] == ["prover"]
        assert data.applied("data", "pgbouncer")["lb-d1"].mistakes == []


def test_pgbouncer_takes_the_balancer_beside_it(data: CheckedInventory) -> None:
    with data.changed("data_balancers", {"haproxy_postgresql_primary_port": 5050}):
        given = data.applied("data", "pgbouncer")["lb-d2"].values
    assert (given["pgbouncer_server_host"], given["pgbouncer_server_port"]) == ("127.0.0.1", 5050)
    with data.changed("postgresql", {"postgresql_settings": {"max_connections": 300}}):
        given = data.applied("data", "pgbouncer")["lb-d2"].values
    assert given["pgbouncer_server_max_connections"] == 300


def test_balancers_find_the_stores_where_they_are(data: CheckedInventory) -> None:
    postgresql = {
        "postgresql_port": 6543,
        "postgresql_rest_port": 9008,
        "postgresql_ttl_s": 30,
        "postgresql_settings": {"max_connections": 220},
    }
    with data.changed("postgresql", postgresql), data.changed("redis", {"redis_port": 7379, "redis_agent_port": 7380}):
        given = data.applied("data", "haproxy")["lb-d2"].values
        said = message(data.check("data").mistakes)
    names = ("node_port", "rest_port", "ttl_s", "max_connections", "balancers")
    assert [given[f"haproxy_postgresql_{name}"] for name in names] == [6543, 9008, 30, 220, 2]
    assert (given["haproxy_redis_node_port"], given["haproxy_redis_agent_port"]) == (7379, 7380)
    assert said == ""


def test_balancers_together_open_no_more_than_postgresql_takes(data: CheckedInventory) -> None:
    given = data.applied("data", "haproxy")["lb-d1"].values
    assert (given["haproxy_postgresql_node_maxconn"], given["haproxy_postgresql_max_connections"]) == (45, 200)
    with data.changed("data_balancers", {"haproxy_postgresql_node_maxconn": 90}):
        said = message(data.check("data").mistakes)
    assert "could open 360 connections to one host" in said and "choose at most 47" in said


@pytest.mark.parametrize(("hosts", "name"), [("db-b", "postgresql_port"), ("db-b", "redis_agent_port")])
def test_a_store_has_one_port(data: CheckedInventory, hosts: str, name: str) -> None:
    """Balancers know one for all of its hosts."""
    with data.changed(hosts, {name: 7000}):
        assert name in message(data.check("data").mistakes)


@pytest.mark.parametrize(("address", "server"), [("127.0.0.1", "127.0.0.1"), ("10.87.2.51", "")])
def test_pgbouncer_asks_for_a_balancer_where_none_is_beside_it(
    data: CheckedInventory, address: str, server: str
) -> None:
    with data.changed("lb-d2", {"haproxy_listen_addresses": [address]}):
        result = data.applied("data", "pgbouncer")["lb-d2"]
    assert str(result.scope.template(result.scope.variables["pgbouncer_server_host"])) == server
    assert bool(result.mistakes) == (not server)
    assert all("say which balancer to take" in mistake.text for mistake in result.mistakes)


def test_hosts_of_backups_and_balancers_know_the_members_data_directory_and_port(data: CheckedInventory) -> None:
    changed = {"postgresql_cluster_name": "app", "postgresql_port": 5433, "postgresql_version": 16}
    with data.changed("postgresql", changed):
        given = {host: each.values for host, each in data.applied("data", "pgbackrest").items()}
        ports = {each.values["haproxy_postgresql_node_port"] for each in data.applied("data", "haproxy").values()}
    for host in ("db-c", "bk-a", "bk-w", "sc-a"):
        found = [given[host][f"pgbackrest_postgresql_{name}"] for name in ("version", "data_dir", "port")]
        assert found == ["16", "/var/lib/postgresql/16/app", 5433], host
    assert ports == {5433}
    with data.changed("postgresql", {"postgresql_data_dir": "/srv/pg/main"}):
        given = {host: each.values for host, each in data.applied("data", "pgbackrest").items()}
    assert {each["pgbackrest_postgresql_data_dir"] for each in given.values()} == {"/srv/pg/main"}


def test_a_site_without_pgbouncer_has_none_of_it(tmp_path: Path, secrets_dir: Path) -> None:
    for checked in with_secrets(lab_inventory("data", lab_without(tmp_path, "pgbouncer")), secrets_dir):
        assert checked.applied("data", "postgresql")["db-a"].values["postgresql_mapped_users"] == []
        assert [role["name"] for role in wanted_objects(checked)["roles"]] == ["prover"]
        assert hosts_of(checked, "pgbouncer") == set()
        assert message(checked.check("data").mistakes) == ""


def test_without_nodes_nothing_is_said_of_the_chain_s_metrics(data: CheckedInventory) -> None:
    outcome = data.check("data")
    assert message(outcome.mistakes) == "" and outcome.notes == []
    assert "chain_metrics" not in outcome.roles


def test_each_node_writes_what_its_own_clients_say(whole: CheckedInventory) -> None:
    assert message(whole.check("data").mistakes) == ""
    assert hosts_of(whole, "chain_metrics") == set(NODES) <= hosts_of(whole, "host_certificate")
    given = whole.applied("data", "chain_metrics")["eth-b"].values
    influxdb = whole.applied("data", "influxdb")["ts-a"].values
    assert given["chain_metrics_influxdb_url"] == "https://10.87.1.45:8086"
    assert given["chain_metrics_sources"] == [
        {"name": "eth-b", "execution_url": "http://10.87.2.11:8545", "consensus_url": "http://10.87.2.11:3500"}
    ]
    # The writer is one that InfluxDB has, with the same password, and its database is one of the ladders'.
    users = {user["name"]: user for user in influxdb["influxdb_users"]}
    writer = users[given["chain_metrics_user"]]
    assert writer["password_file"] == given["chain_metrics_password_file"]
    assert writer["grants"] == {given["chain_metrics_database"]: "WRITE"}
    ladders = [ladder["database"] for ladder in influxdb["influxdb_ladders"]]
    assert given["chain_metrics_database"] in ladders


def test_the_clients_are_asked_where_the_ethereum_layer_asks_them(whole: CheckedInventory) -> None:
    changed = {"geth_http_port": 8600, "prysm_http_port": 3600, "site_address": "10.87.2.12"}
    with whole.changed("eth-b", changed):
        metrics = whole.applied("data", "chain_metrics")["eth-b"]
        health = whole.applied("ethereum", "chain_health")["eth-b"]
        (source,) = metrics.values["chain_metrics_sources"]
        for name in ("execution_url", "consensus_url"):
            asked = str(health.scope.template(health.scope.variables[f"__layer_{name}"]))
            assert source[name] == asked.strip() and "10.87.2.12" in asked


def test_a_site_that_names_none_gets_the_chain_s_ladder_and_writer(tmp_path: Path, secrets_dir: Path) -> None:
    """And where there are no nodes, neither."""
    lab = lab_without(tmp_path, variables=("influxdb_ladders", "influxdb_users"))
    for checked in with_secrets(lab_inventory("", lab), secrets_dir):
        given = checked.applied("data", "influxdb")["ts-a"].values
        (ladder,) = given["influxdb_ladders"]
        kept = [(step["name"], step["retention"]) for step in (ladder["raw"], *ladder["rungs"])]
        assert (ladder["database"], kept) == ("chain", [("raw", "7d"), ("m1", "90d"), ("h1", "5y")])
        (user,) = given["influxdb_users"]
        assert (user["name"], user["grants"]) == ("chain_metrics", {"chain": "WRITE"})
        assert user["password_file"] == str(secrets_dir / "influxdb_chain_metrics")
        assert checked.applied("data", "influxdb")["ts-a"].mistakes == []
    for checked in with_secrets(lab_inventory("data", lab), secrets_dir):
        given = checked.applied("data", "influxdb")["ts-a"].values
        assert (given["influxdb_ladders"], given["influxdb_users"]) == ([], [])


def test_nodes_without_influxdb_write_nowhere(tmp_path: Path, secrets_dir: Path) -> None:
    for checked in with_secrets(lab_inventory("", lab_without(tmp_path, "influxdb")), secrets_dir):
        assert hosts_of(checked, "chain_metrics") == set()
        assert not hosts_of(checked, "host_certificate") & set(NODES)


@pytest.fixture
def two_in_a_region(data: CheckedInventory) -> Iterator[CheckedInventory]:
    """Both balancers in the east, with an address that they share."""
    facts = [data.manager._fact_cache.get(host) for host in BALANCERS]
    for host in BALANCERS:
        data.manager.set_host_facts(host, lab_facts(1))
    with (
        data.changed("lb-d2", {"site_region": "east", "ansible_host": "10.87.1.52"}),
        data.changed("data_balancers", {"site_data_vip": "10.87.1.101"}),
    ):
        yield data
    for host, known in zip(BALANCERS, facts, strict=True):
        data.manager.set_host_facts(host, known)


def test_balancers_share_an_address_only_where_their_region_has_one(two_in_a_region: CheckedInventory) -> None:
    assert hosts_of(two_in_a_region, "keepalived") == set(BALANCERS)
    assert message(two_in_a_region.check("data", before_facts=True).mistakes) == ""
    assert message(two_in_a_region.check("data").mistakes) == ""


def test_the_lab_s_balancers_share_none(data: CheckedInventory) -> None:
    """It is by each host's own variable: one that has it is not taken for all of its group."""
    assert hosts_of(data, "keepalived") == set()
    with data.changed("lb-d2", {"site_data_vip": "10.87.2.101"}):
        assert hosts_of(data, "keepalived") == {"lb-d2"}


def test_the_shared_address_of_the_stores_is_another_than_that_of_the_nodes(two_in_a_region: CheckedInventory) -> None:
    applied = two_in_a_region.applied("data", "keepalived")
    for values in [applied[host].values for host in BALANCERS]:
        assert values["keepalived_group"] == "data_balancers"
        assert values["keepalived_address"] == "10.87.1.101"
        assert values["keepalived_router_id"] == 52
        assert values["keepalived_serving_url"] == "http://127.0.0.1:8404/serving/postgresql"
    source = (ROOT / "roles/keepalived/templates/keepalived.conf.j2").read_text(encoding="utf-8")
    rendered = [" ".join(str(applied[host].scope.template(trust_as_template(source))).split()) for host in BALANCERS]
    assert ["virtual_router_id 52" in text and "10.87.1.101/32 dev host0" in text for text in rendered] == [True, True]
    assert ["priority 150" in text for text in rendered] == [True, False]
    assert "unicast_peer { 10.87.1.52 }" in rendered[0]


def test_a_shared_address_that_is_taken_is_named(two_in_a_region: CheckedInventory) -> None:
    with two_in_a_region.changed("data_balancers", {"site_data_vip": "10.87.1.41"}):
        said = message(two_in_a_region.check("data").mistakes)
    assert 'site_data_vip = "10.87.1.41": is the address of db-a' in said
    with two_in_a_region.changed("data_balancers", {"site_data_vip": "10.87.1.100", "site_vip": "10.87.1.100"}):
        said = message(two_in_a_region.check("data").mistakes)
    assert "is site_data_vip and site_vip; balancers of another kind need their own" in said
