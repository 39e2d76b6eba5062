"""HAProxy in front of PostgreSQL and Redis: what is rendered, what of it starts DOWN, and what is refused."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.roles_edge import role_checks
from tests.unit.roles_ethereum.rendered import Role

SCRIPT = Path(__file__).resolve().parents[3] / "roles" / "haproxy" / "files" / "admission.py"
DATA = ["postgresql", "redis"]
NODE = {"name": "a", "address": "10.0.0.1"}


def role(**variables: Any) -> Role:
    return Role("haproxy", **role_checks.site(**({"haproxy_services": DATA} | variables)))


def section(text: str, kind: str, name: str) -> list[str]:
    """The lines of one section, without comments."""
    found = re.search(rf"^{kind} {name} from tcp\n(.*?)(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"there is no {kind} {name}"
    return [line.strip() for line in found[1].splitlines() if line.strip() and not line.lstrip().startswith("#")]


@pytest.fixture
def admission(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("admission", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "admission", module)
    spec.loader.exec_module(module)
    return module


def test_every_server_starts_down_until_its_host_was_asked(admission: ModuleType) -> None:
    text = role().template("postgresql.cfg.j2") + role().template("redis.cfg.j2")
    found = {(server.backend, server.name) for server in admission.servers(text)}
    postgresql = ("postgresql_primary", "postgresql_replicas", "postgresql_any")
    wanted = {(backend, host) for backend in postgresql for host in role_checks.REGIONS}
    assert found == wanted | {("redis", host) for host in ("db-a", "db-c", "db-d")}
    assert {server.ssl for server in admission.servers(text)} == {"0"}, "their TLS is passed through"


def test_the_primary_is_who_patroni_says_and_sessions_end_with_that() -> None:
    lines = section(role().template("postgresql.cfg.j2"), "backend", "postgresql_primary")
    assert "http-check send meth OPTIONS uri /primary ver HTTP/1.1 hdr host patroni" in lines
    assert "http-check expect status 200" in lines
    (check,) = [line for line in lines if line.startswith("default-server check")]
    assert "port 8008 check-ssl verify required ca-file /etc/chainops/tls/ca.pem" in check
    assert "inter 1000ms fastinter 500ms downinter 500ms rise 1 fall 2" in check
    assert "timeout connect 1000ms" in lines, "a handshake with a busy Patroni takes more than half a second"
    assert "default-server maxconn 45 on-marked-down shutdown-sessions" in lines
    assert "server db-c 10.87.1.43:5432 check-sni db-c verifyhost db-c" in lines
    assert not [line for line in lines if line.endswith("backup")], "there is one primary, wherever it is"


def test_readers_stay_in_their_region_while_it_has_a_standby() -> None:
    text = role().template("postgresql.cfg.j2")
    for name in ("postgresql_replicas", "postgresql_any"):
        lines = section(text, "backend", name)
        spill = [line.split()[1] for line in lines if line.startswith("server ") and line.endswith(" backup")]
        assert spill == ["db-c", "db-d"]
        assert "option allbackups" in lines
    assert any("uri /replica?lag=16MB " in line for line in section(text, "backend", "postgresql_replicas"))
    assert any("uri /read-only " in line for line in section(text, "backend", "postgresql_any"))


@pytest.mark.parametrize("changed", [{"haproxy_postgresql_prefer": "all"}, {"site_region": "witness"}])
def test_where_no_region_is_preferred_all_are_alike(changed: dict[str, Any]) -> None:
    assert "backup" not in role(**changed).template("postgresql.cfg.j2")


def test_without_a_standby_readers_go_to_the_primary_if_that_is_wanted() -> None:
    spill = "use_backend postgresql_primary if { nbsrv(postgresql_replicas) eq 0 }"
    assert spill in section(role().template("postgresql.cfg.j2"), "frontend", "postgresql_replicas")
    alone = role(haproxy_postgresql_replicas_fallback=False).template("postgresql.cfg.j2")
    assert spill not in section(alone, "frontend", "postgresql_replicas")


def test_ports_that_are_off_are_not_there() -> None:
    text = role(haproxy_postgresql_replicas_port=0, haproxy_postgresql_any_port=0).template("postgresql.cfg.j2")
    assert re.findall(r"^(?:frontend|backend) (\w+)", text, re.MULTILINE) == ["postgresql_primary"] * 2


def test_nodes_may_be_named_without_a_region() -> None:
    text = role(haproxy_postgresql_nodes=[{"name": "pg1", "address": "10.0.0.1"}]).template("postgresql.cfg.j2")
    assert text.count("server pg1 10.0.0.1:5432 check-sni pg1 verifyhost pg1\n") == 3


def test_redis_is_who_most_sentinels_say() -> None:
    lines = section(role().template("redis.cfg.j2"), "backend", "redis")
    assert "http-check send meth GET uri /primary ver HTTP/1.1 hdr host redis" in lines
    assert any("check port 6380 check-ssl verify required" in line for line in lines)
    assert [line for line in lines if "shutdown-sessions" in line]
    assert [line.split()[1] for line in lines if line.startswith("server ")] == ["db-a", "db-c", "db-d"]


def test_what_only_one_service_needs_is_only_there_for_it() -> None:
    data = role().template("haproxy.cfg.j2")
    assert "tune.bufsize" not in data
    assert "lua" not in data
    assert "path /serving/postgresql } { nbsrv(postgresql_primary) gt 0 }" in data
    assert "path /serving/redis } { nbsrv(redis) gt 0 }" in data
    assert "SupplementaryGroups=ssl-cert" in role().template("haproxy.service.conf.j2")
    ethereum = role(haproxy_services=["ethereum"])
    assert "tune.bufsize 327680" in ethereum.template("haproxy.cfg.j2")
    assert "hard-stop-after 60s" in ethereum.template("haproxy.cfg.j2")
    assert "ssl-cert" not in ethereum.template("haproxy.service.conf.j2")
    all_of_them = role(haproxy_services=["ethereum", *DATA])
    assert "lua-load-per-thread" in all_of_them.template("haproxy.cfg.j2")
    assert "hard-stop-after 10s" in all_of_them.template("haproxy.cfg.j2")


@pytest.mark.parametrize(
    ("services", "present"),
    [
        (["ethereum"], {"50-ethereum.cfg"}),
        (["redis"], {"52-redis.cfg"}),
        (["ethereum", *DATA], {"50-ethereum.cfg", "51-postgresql.cfg", "52-redis.cfg"}),
    ],
)
def test_the_file_of_a_service_that_is_not_served_is_removed(services: list[str], present: set[str]) -> None:
    given = role(haproxy_services=services)
    files = {Path(entry["dest"]).name for entry in given.value("__haproxy_files")}
    absent = {Path(path).name for path in given.value("__haproxy_absent")}
    known = {"50-ethereum.cfg", "51-postgresql.cfg", "52-redis.cfg"}
    assert files & known == present
    assert absent & known == known - present
    commands = str(given.value("__haproxy_base_commands"))
    assert ("systemd-sysusers" in commands) is bool(set(services) & set(DATA))


def test_a_certificate_of_its_own_is_shown_to_checks() -> None:
    named = {
        "haproxy_check_certificate_file": "/etc/chainops/tls/host.pem",
        "haproxy_check_key_file": "/etc/chainops/tls/host.key",
    }
    shown = role(**named)
    load = "load crt /etc/chainops/tls/host.pem key /etc/chainops/tls/host.key alias own"
    assert load in shown.template("haproxy.cfg.j2")
    assert "crt @checks/own" in shown.template("redis.cfg.j2")
    assert "/etc/chainops/tls/host.key" in shown.value("__haproxy_read"), "a new key is loaded by a reload"
    assert "crt-store" not in role().template("haproxy.cfg.j2")


def test_defaults_are_good() -> None:
    assert role_checks.mistakes("haproxy", haproxy_services=DATA) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"haproxy_services": ["postgres"]}, "did you mean postgresql"),
        ({"haproxy_services": ["redis", "redis"]}, "none twice"),
        ({"groups": {"redis": ["db-a"]}}, "so is the group postgresql"),
        ({"groups": {"postgresql": ["db-a"]}}, "so is the group redis"),
        ({"haproxy_postgresql_fall": 5}, "out after 18000 ms; at most 10000 ms, half of haproxy_postgresql_ttl_s = 20"),
        ({"haproxy_postgresql_check_timeout_ms": 5000}, "after 13500 ms"),
        ({"haproxy_drain_s": 60}, "haproxy_drain_s = 60 is more than haproxy_postgresql_ttl_s = 20"),
        ({"haproxy_services": ["redis"], "haproxy_drain_s": 60}, "more than 20 with redis"),
        ({"haproxy_postgresql_max_connections": 80}, "to one host, and of PostgreSQL's max_connections = 80"),
        ({"haproxy_postgresql_max_connections": 200, "haproxy_postgresql_balancers": 3}, "choose at most 31,"),
        ({"haproxy_postgresql_balancers": 0}, "must be from 1 to 1000"),
        ({"haproxy_postgresql_node_maxconn": 2000}, "must not fall in this order"),
        ({"haproxy_redis_maxconn": 9000}, "haproxy_maxconn = 4000 must not fall in this order"),
        ({"haproxy_check_key_file": "/x"}, "belong together"),
        ({"haproxy_check_ca_file": "/a b"}, "an absolute path on the host"),
        ({"haproxy_postgresql_nodes": [NODE, NODE | {"name": "b"}]}, "given twice"),
        ({"haproxy_redis_nodes": [NODE, NODE | {"address": "10.0.0.2"}]}, "given twice"),
        ({"haproxy_postgresql_nodes": [NODE | {"name": "a b"}]}, "letters, digits"),
        ({"haproxy_redis_nodes": [NODE | {"address": "1.1.1.1 check"}]}, "an IP address or a host name"),
        ({"haproxy_ethereum_nodes": [NODE | {"name": "a b"}], "haproxy_services": ["ethereum"]}, "letters, digits"),
        ({"haproxy_postgresql_ttl_s": 10}, "must be from 20 to 3600"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(changed: dict[str, Any], words: str) -> None:
    said = role_checks.mistakes("haproxy", **({"haproxy_services": DATA} | changed))
    assert [text for text in said if words in text], said


@pytest.mark.parametrize(
    ("balancers", "any_port", "most"), [(1, 5002, 95), (2, 5002, 47), (2, 0, 95), (3, 5002, 31), (4, 5002, 23)]
)
def test_all_balancers_together_leave_some_connections(balancers: int, any_port: int, most: int) -> None:
    given = {
        "haproxy_services": ["postgresql"],
        "haproxy_postgresql_max_connections": 200,
        "haproxy_postgresql_balancers": balancers,
        "haproxy_postgresql_any_port": any_port,
    }
    assert role_checks.mistakes("haproxy", **given, haproxy_postgresql_node_maxconn=most) == []
    (said,) = role_checks.mistakes("haproxy", **given, haproxy_postgresql_node_maxconn=most + 1)
    assert f"choose at most {most}, or raise max_connections" in said


def balancer(name: str, group: str, region: str, address: str, **changed: Any) -> dict[str, Any]:
    return {
        "name": name,
        "site_region": region,
        "keepalived_group": group,
        "keepalived_address": address,
        "keepalived_router_id": 51 if group == "rpc_balancers" else 52,
        "keepalived_advert_ms": 200,
        "keepalived_priority": 0,
        **changed,
    }


BALANCERS = [
    balancer("lb-a1", "rpc_balancers", "east", "10.87.1.100"),
    balancer("lb-a2", "rpc_balancers", "east", "10.87.1.100"),
    balancer("lb-b", "rpc_balancers", "west", "10.87.2.100"),
    balancer("data-a", "data_balancers", "east", "10.87.1.101"),
    balancer("data-b", "data_balancers", "west", "10.87.2.101"),
]


def test_balancers_of_two_kinds_have_an_address_each_in_a_region() -> None:
    assert role_checks.site_mistakes("keepalived", BALANCERS) == []


@pytest.mark.parametrize(
    ("number", "changed", "words"),
    [
        (1, {"keepalived_address": "10.87.1.99"}, "differs within a region of one keepalived_group"),
        (3, {"keepalived_address": "10.87.1.100"}, "every region needs one address of its own"),
        (3, {"keepalived_router_id": 51}, "is the same for two groups (rpc_balancers, data_balancers)"),
        (1, {"keepalived_router_id": 60}, "must be equal on the balancers of a region"),
        (1, {"keepalived_advert_ms": 300}, "keepalived_advert_ms"),
    ],
)
def test_balancers_that_do_not_fit_each_other_are_named(number: int, changed: dict[str, Any], words: str) -> None:
    hosts = [host | changed if index == number else host for index, host in enumerate(BALANCERS)]
    said = role_checks.site_mistakes("keepalived", hosts)
    assert [text for text in said if words in text], said
