# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""influxdb_objects: the first administrator, and everything else in one task."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chainops.infra.plugins.modules import influxdb_objects

from tests.unit.plugins.modules.fake_influxdb import Asked


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Asked]:
    asked = Asked(tmp_path)
    yield asked
    asked.fake.close()


DATABASE = {
    "name": "chain",
    "retention_policies": [
        {"name": "raw", "duration": "7d", "shard_duration": "1d", "default": True},
        {"name": "m1", "duration": "90d"},
    ],
    "continuous_queries": [
        {"name": "m1", "query": "SELECT mean(*) INTO chain.m1.:MEASUREMENT FROM chain.raw./.*/ GROUP BY time(1m), *"}
    ],
    "exclusive_queries": True,
}


def test_a_new_server_gets_its_administrator_and_his_password(server: Asked, tmp_path: Path) -> None:
    server.fake.users.clear()
    password_file = tmp_path / "credentials" / "admin"
    writer = {"name": "writer", "password_file": server.file("w", "writers"), "grants": {"chain": "WRITE"}}
    wanted = {"databases": [DATABASE], "users": [writer], "user_password_file": str(password_file)}
    assert server.run(influxdb_objects, check=True, **wanted)["changed"]
    assert server.fake.users == {} and not password_file.exists()

    result = server.run(influxdb_objects, **wanted)
    password = password_file.read_text().strip()
    assert len(password) == 43 and password_file.stat().st_mode & 0o777 == 0o600
    assert server.fake.users["admin"][:2] == [password, True] and password not in str(result)
    assert server.changes[0].startswith("CREATE USER")
    # the default policy is there from the beginning, so there is no autogen that keeps for ever
    assert list(server.fake.databases["chain"]["policies"]) == ["raw", "m1"]
    assert server.fake.users["writer"][2] == {"chain": "WRITE"}

    again = server.run(influxdb_objects, **wanted)
    assert not again["changed"] and server.changes == []


def test_a_password_of_the_control_node_s_is_used_as_it_is(server: Asked) -> None:
    server.fake.users.clear()
    server.run(influxdb_objects)
    assert server.fake.users == {"admin": ["secret", True, {}]}


def test_a_run_that_changes_nothing_asks_twice(server: Asked) -> None:
    server.run(influxdb_objects, databases=[DATABASE])
    server.run(influxdb_objects, databases=[DATABASE])
    assert [text.split(" ON ")[0].split(" FOR ")[0] for text in server.fake.statements] == [
        "SHOW DATABASES",
        "SHOW CONTINUOUS QUERIES",
        "SHOW USERS",
        "SHOW RETENTION POLICIES",
        "SHOW GRANTS",
    ]


def test_what_is_not_named_stays_but_for_queries(server: Asked) -> None:
    server.run(influxdb_objects, databases=[DATABASE, {"name": "other"}])
    text = "CREATE CONTINUOUS QUERY old ON chain BEGIN SELECT max(x) INTO y FROM z GROUP BY time(1h) END"
    server.fake.databases["chain"]["queries"]["old"] = text
    result = server.run(influxdb_objects, databases=[DATABASE])
    assert result["changes"] == [f"removed: {text}"]
    assert sorted(server.fake.databases) == ["chain", "other"]


def test_shorter_must_be_allowed(server: Asked) -> None:
    server.run(influxdb_objects, databases=[DATABASE])
    shorter = DATABASE | {"retention_policies": [DATABASE["retention_policies"][0] | {"duration": "2d"}]}
    refused = server.run(influxdb_objects, databases=[shorter])
    assert refused["failed"] and "older than 2d" in refused["msg"] and server.changes == []
    assert server.run(influxdb_objects, databases=[shorter], allow_data_loss=True)["changed"]


def test_check_mode_before_there_is_a_server(server: Asked, tmp_path: Path) -> None:
    server.fake.close()
    user = {"name": "writer", "password_file": str(tmp_path / "not-yet")}
    options = {"databases": [DATABASE], "users": [user], "user_password_file": str(tmp_path / "none")}
    result = server.run(influxdb_objects, check=True, **options)
    assert result["changed"] and "user writer: no rights" in result["changes"]
    assert not (tmp_path / "none").exists()


def test_no_server_is_an_error(server: Asked) -> None:
    server.fake.close()
    assert "does not answer" in server.run(influxdb_objects)["msg"]


def test_a_password_that_is_lost_is_not_replaced_by_a_wrong_one(server: Asked, tmp_path: Path) -> None:
    result = server.run(influxdb_objects, user_password_file=str(tmp_path / "lost"))
    assert "is missing, and the server has an administrator already" in result["msg"]
    assert not (tmp_path / "lost").exists()


def test_check_mode_before_there_is_a_certificate(server: Asked, tmp_path: Path) -> None:
    nothing_yet = {"url": "https://127.0.0.1:1", "ca_path": str(tmp_path / "ca.pem"), "databases": [DATABASE]}
    for password_file in (str(tmp_path / "none"), server.password_file):
        result = server.run(influxdb_objects, check=True, user_password_file=password_file, **nothing_yet)
        assert result["changed"] and "taken as a server that is empty" in result["warnings"][0]
        result = server.run(influxdb_objects, user_password_file=password_file, **nothing_yet)
        assert result["failed"] and "there is no CA file" in result["msg"]


def test_a_server_without_users_at_all_and_no_password_file(server: Asked, tmp_path: Path) -> None:
    server.fake.auth = False
    result = server.run(influxdb_objects, user_password_file=str(tmp_path / "none"))
    assert result["failed"] and not (tmp_path / "none").exists()
