# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""influxdb_database against a server that answers as 1.6.7 was seen to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chainops.infra.plugins.modules import influxdb_database

from tests.unit.plugins.modules.fake_influxdb import Asked


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Asked]:
    asked = Asked(tmp_path)
    yield asked
    asked.fake.close()


def test_made_once(server: Asked) -> None:
    first = server.run(influxdb_database, name=["chain", "site"])
    assert first["changed"] and first["changes"] == ["database chain", "database site"]
    assert first["diff"]["after"] == "database chain\ndatabase site\n"
    assert not server.run(influxdb_database, name=["chain", "site"])["changed"]
    assert server.changes == []


def test_check_mode_sends_nothing(server: Asked) -> None:
    assert server.run(influxdb_database, check=True, name=["chain"])["changed"]
    assert server.changes == [] and server.fake.databases == {}


def test_a_name_that_needs_quotes(server: Asked) -> None:
    server.run(influxdb_database, name=['we"ird'])
    assert list(server.fake.databases) == ['we"ird']
    assert not server.run(influxdb_database, name=['we"ird'])["changed"]


@pytest.mark.parametrize("check", [False, True])
def test_dropping_one_must_be_allowed(server: Asked, check: bool) -> None:
    server.fake.add_database("old")
    refused = server.run(influxdb_database, check, name=["old"], state="absent")
    assert refused["failed"] and "everything in database old" in refused["msg"] and "allow_data_loss" in refused["msg"]
    assert "old" in server.fake.databases


def test_dropped_when_allowed(server: Asked) -> None:
    server.fake.add_database("old")
    result = server.run(influxdb_database, name=["old"], state="absent", allow_data_loss=True)
    assert result["losses"] == ["everything in database old"] and server.fake.databases == {}
    assert not server.run(influxdb_database, name=["old"], state="absent")["changed"]


def test_a_wrong_password_is_not_shown(server: Asked) -> None:
    server.file("admin", "not-the-secret")
    result = server.run(influxdb_database, name=["chain"])
    assert result["failed"] and "authorization failed" in result["msg"]
    assert "not-the-secret" not in str(result)


def test_a_missing_password_file_is_named(server: Asked) -> None:
    result = server.run(influxdb_database, name=["chain"], user_password_file="/nowhere/admin")
    assert result["failed"] and "/nowhere/admin" in result["msg"]


def test_no_server(server: Asked) -> None:
    server.fake.close()
    assert "does not answer" in server.run(influxdb_database, name=["chain"])["msg"]
    planned = server.run(influxdb_database, check=True, name=["chain"])
    assert planned["changed"] and "taken as a server that is empty" in planned["warnings"][0]


def test_a_server_without_administrator_is_an_error_here(server: Asked) -> None:
    server.fake.users.clear()
    assert "create admin user first" in server.run(influxdb_database, name=["chain"])["msg"]


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "http://user:pass@127.0.0.1:8086", "8086"])
def test_a_url_that_is_none(server: Asked, url: str) -> None:
    assert server.run(influxdb_database, name=["chain"], url=url)["failed"]
