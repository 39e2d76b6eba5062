# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""influxdb_user: rights as data, passwords by logging in and in no output."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chainops.infra.plugins.modules import influxdb_user

from tests.unit.plugins.modules.fake_influxdb import Asked


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Asked]:
    asked = Asked(tmp_path)
    yield asked
    asked.fake.close()


def test_made_once_with_its_rights(server: Asked) -> None:
    server.fake.add_database("chain")
    user = {"name": "writer", "password_file": server.file("w", "it's \\ a pass"), "grants": {"chain": "WRITE"}}
    first = server.run(influxdb_user, users=[user])
    assert first["changes"] == ["user writer: WRITE on chain"]
    assert server.fake.users["writer"] == ["it's \\ a pass", False, {"chain": "WRITE"}]
    assert not server.run(influxdb_user, users=[user])["changed"]


def test_a_new_password_is_set_and_never_shown(server: Asked) -> None:
    server.fake.users["writer"] = ["canary-old", False, {}]
    user = {"name": "writer", "password_file": server.file("w", "canary-new")}
    result = server.run(influxdb_user, users=[user])
    assert result["changes"] == ["new password of writer"] and "canary" not in str(result)
    assert server.fake.users["writer"][0] == "canary-new"
    assert not server.run(influxdb_user, users=[user])["changed"]


def test_rights_that_are_not_named_are_taken_away(server: Asked) -> None:
    server.fake.users["writer"] = ["x", False, {"chain": "WRITE", "old": "ALL PRIVILEGES"}]
    result = server.run(influxdb_user, users=[{"name": "writer", "grants": {"chain": "ALL"}}])
    assert result["diff"] == {
        "before": "user writer: WRITE on chain, ALL on old\n",
        "after": "user writer: ALL on chain\n",
    }
    assert not server.run(influxdb_user, users=[{"name": "writer", "grants": {"chain": "ALL"}}])["changed"]


def test_or_kept(server: Asked) -> None:
    server.fake.users["writer"] = ["x", False, {"old": "READ"}]
    server.run(influxdb_user, users=[{"name": "writer", "grants": {"chain": "READ"}, "exclusive": False}])
    assert server.fake.users["writer"][2] == {"old": "READ", "chain": "READ"}


def test_administrator_or_not(server: Asked) -> None:
    server.fake.users["ops"] = ["x", False, {}]
    server.run(influxdb_user, users=[{"name": "ops", "admin": True}])
    assert server.fake.users["ops"][1]
    server.run(influxdb_user, users=[{"name": "ops", "admin": False}])
    assert not server.fake.users["ops"][1]


def test_a_new_user_needs_a_password(server: Asked) -> None:
    assert "needs a password_file" in server.run(influxdb_user, users=[{"name": "writer"}])["msg"]


def test_a_right_that_is_none(server: Asked) -> None:
    result = server.run(influxdb_user, users=[{"name": "writer", "grants": {"chain": "SUPER"}}])
    assert "must be READ, WRITE or ALL, not SUPER" in result["msg"]


def test_absent(server: Asked) -> None:
    server.fake.users["writer"] = ["x", False, {}]
    gone = {"users": [{"name": "writer"}], "state": "absent"}
    assert server.run(influxdb_user, check=True, **gone)["changed"] and "writer" in server.fake.users
    assert server.run(influxdb_user, **gone)["changed"] and "writer" not in server.fake.users
    assert not server.run(influxdb_user, **gone)["changed"]


def test_a_password_in_a_failing_statement_is_not_shown(server: Asked) -> None:
    server.fake.STATEMENTS = [entry for entry in server.fake.STATEMENTS if "CREATE USER" not in entry[0]]
    user = {"name": "writer", "password_file": server.file("w", "canary-secret")}
    result = server.run(influxdb_user, users=[user])
    assert result["failed"] and "canary" not in str(result)
