"""PgBouncer: what is rendered, what a change of it costs clients, and what is refused."""

from __future__ import annotations

import configparser
import re
from pathlib import Path
from typing import Any

import pytest

from tests.unit.roles_edge import role_checks
from tests.unit.roles_ethereum.rendered import Role

APP = {"name": "app"}


def role(**variables: Any) -> Role:
    return Role("pgbouncer", **role_checks.site(**({"pgbouncer_databases": [APP]} | variables)))


def read(given: Role) -> configparser.ConfigParser:
    """The configuration as PgBouncer reads it, with what is included; a section that comes twice is an error."""
    text = given.template("pgbouncer.ini.j2")
    text = text.replace("%include /etc/pgbouncer/listen.ini\n", given.template("listen.ini.j2"))
    assert "%include" not in text
    parser = configparser.ConfigParser(interpolation=None, comment_prefixes=(";",), delimiters=("=",))
    parser.read_string(text)
    return parser


def test_a_pool_leads_to_the_primary_and_is_bounded() -> None:
    parser = read(role(pgbouncer_databases=[APP, {"name": "web", "dbname": "www", "pool_size": 3, "reserve": 0}]))
    server = "host=127.0.0.1 port=5000"
    limits = "pool_mode=transaction pool_size=15 reserve_pool_size=5 max_db_connections=20"
    assert parser["databases"]["app"] == f"{server} dbname=app {limits}"
    web = "pool_mode=transaction pool_size=3 reserve_pool_size=0 max_db_connections=20"
    assert parser["databases"]["web"] == f"{server} dbname=www {web}"
    assert parser["databases"]["pgbouncer_lookup"] == f"{server} dbname=postgres pool_size=2 max_db_connections=2"


def test_both_sides_speak_tls_and_scram() -> None:
    settings = read(role())["pgbouncer"]
    assert settings["auth_type"] == "scram-sha-256"
    assert settings["client_tls_sslmode"] == "require"
    assert settings["server_tls_sslmode"] == "verify-full"
    assert settings["server_tls_ca_file"] == "/etc/chainops/tls/ca.pem"
    assert settings["auth_query"] == "SELECT rolname, rolpassword FROM pgbouncer.user_lookup($1)"
    assert "auth_user" not in read(role(pgbouncer_auth="file"))["pgbouncer"]
    assert "pgbouncer_lookup" not in read(role(pgbouncer_auth="file"))["databases"]


def test_a_failover_is_not_prolonged() -> None:
    settings = read(role())["pgbouncer"]
    assert (settings["server_login_retry"], settings["server_fast_close"]) == ("1", "1")
    assert int(settings["query_wait_timeout"]) > 20


def test_only_what_needs_a_restart_restarts() -> None:
    tasks = (Path(role_checks.ROOT) / "roles/pgbouncer/tasks/main.yml").read_text()
    assert "restart_on: [/etc/pgbouncer/listen.ini]" in tasks
    keys = set(re.findall(r"^(\w+) = ", role().template("listen.ini.j2"), re.MULTILINE))
    assert keys == {"listen_addr", "listen_port", "unix_socket_dir", "unix_socket_mode"}
    assert not keys & set(re.findall(r"^(\w+) = ", role().template("pgbouncer.ini.j2"), re.MULTILINE))


def test_verifiers_are_secret_and_from_the_control_node(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text('"app" "SCRAM-SHA-256$4096:…"\n')
    (entry,) = [e for e in role(pgbouncer_auth_file=str(users)).value("__pgbouncer_files") if "content" in e]
    assert (entry["secret"], entry["mode"], entry["group"]) == (True, "0640", "pgbouncer")
    assert entry["content"] == users.read_text()
    (nothing,) = [e for e in role().value("__pgbouncer_files") if "content" in e]
    assert nothing["content"] == ""


def test_it_is_not_the_user_who_is_superuser_of_the_database() -> None:
    unit = role().template("pgbouncer.service.conf.j2")
    assert "User=pgbouncer\n" in unit
    assert "LimitNOFILE=4096" in unit
    assert "LimitNOFILE=20222" in role(pgbouncer_max_clients=20000).template("pgbouncer.service.conf.j2")


@pytest.mark.parametrize(
    ("addresses", "ready"), [(["0.0.0.0"], "127.0.0.1:6432"), (["::1"], "[::1]:6432"), (["10.0.0.1"], "10.0.0.1:6432")]
)
def test_where_it_answers(addresses: list[str], ready: str) -> None:
    assert role(pgbouncer_listen_addresses=addresses).value("__pgbouncer_ready") == ready


def test_defaults_are_good() -> None:
    assert role_checks.mistakes("pgbouncer", pgbouncer_databases=[APP]) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"pgbouncer_databases": []}, "pgbouncer_databases is empty"),
        ({"pgbouncer_databases": [APP, APP]}, "a name is given twice"),
        ({"pgbouncer_databases": [{"name": "pgbouncer"}]}, "is the console's name"),
        ({"pgbouncer_databases": [{"name": "a b"}]}, "letters, digits and '_'"),
        ({"pgbouncer_databases": [APP | {"dbname": "x password=y"}]}, "letters, digits and '_'"),
        ({"pgbouncer_databases": [APP | {"connections": 80}]}, "open up to 82 connections from this host"),
        ({"pgbouncer_databases": [APP, {"name": "b"}], "pgbouncer_server_max_connections": 61}, "open up to 42"),
        ({"pgbouncer_databases": [APP | {"pool_size": 50}]}, "pool_size (50) must not exceed connections (20)"),
        ({"pgbouncer_auth": "file"}, "needs pgbouncer_auth_file"),
        ({"pgbouncer_auth_file": "/nowhere"}, "/nowhere is no file of the control node"),
        ({"pgbouncer_auth_query": "SELECT 1"}, "with $1 for the user's name"),
        ({"pgbouncer_auth_query": "SELECT 1; DROP $1"}, "one query"),
        ({"pgbouncer_pool_mode": "statement"}, "must be one of transaction, session"),
        ({"pgbouncer_server_host": "a port=1"}, "an IP address or a host name"),
    ],
)
def test_what_does_not_fit_is_named(changed: dict[str, Any], words: str) -> None:
    said = role_checks.mistakes("pgbouncer", **({"pgbouncer_databases": [APP]} | changed))
    assert [text for text in said if words in text], said


def host(name: str, *databases: dict[str, Any], most: int = 100) -> dict[str, Any]:
    return {
        "name": name,
        "pgbouncer_databases": list(databases),
        "pgbouncer_auth": "query",
        "pgbouncer_server_max_connections": most,
        "pgbouncer_server_reserved": 20,
    }


def test_the_pools_of_all_hosts_are_added_up() -> None:
    enough = [host(name, APP | {"connections": 38}) for name in ("lb-a", "lb-b")]
    assert role_checks.site_mistakes("pgbouncer", enough) == []
    (said,) = role_checks.site_mistakes("pgbouncer", [host("lb-a", APP), host("lb-b", APP | {"connections": 60})])
    assert "open up to 84 connections from lb-a, lb-b together" in said
    assert "leaves 80: lower connections" in said
