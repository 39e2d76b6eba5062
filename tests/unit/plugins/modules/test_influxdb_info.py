# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""influxdb_info against a server on the wire: what it holds, how much of it, and no password anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chainops.infra.plugins.modules import influxdb_info

from tests.unit.plugins.modules.fake_influxdb import FakeInfluxDB
from tests.unit.plugins.modules.in_process import run_module


class Fake(FakeInfluxDB):
    def execute(self, statement: str) -> dict[str, Any]:
        if statement.startswith("SHOW SERIES CARDINALITY ON"):
            return {"series": [{"columns": ["cardinality estimation"], "values": [[250]]}]}
        return super().execute(statement)


@pytest.fixture
def fake() -> Iterator[Fake]:
    made = Fake()
    made.add_admin(password="very-secret")
    made.add_database("_internal")
    made.add_database("chain", raw=("168h0m0s", "24h0m0s", True), ever=("0s", "168h0m0s", False))
    made.databases["chain"]["queries"]["down"] = "CREATE CONTINUOUS QUERY down ON chain BEGIN SELECT 1 END"
    yield made
    made.close()


def run(fake: Fake, tmp_path: Path, password: str = "very-secret", **options: Any) -> dict[str, Any]:
    (tmp_path / "admin").write_text(password + "\n")
    given = {"url": fake.url, "user_password_file": str(tmp_path / "admin"), "data_dir": ""}
    return run_module(influxdb_info, **(given | options))


def test_what_the_server_holds(fake: Fake, tmp_path: Path) -> None:
    (tmp_path / "data" / "chain").mkdir(parents=True)
    (tmp_path / "data" / "chain" / "one.tsm").write_bytes(b"x" * 1000)
    (tmp_path / "data" / "gone").symlink_to(tmp_path / "nowhere")
    result = run(fake, tmp_path, data_dir=str(tmp_path / "data"))
    assert not result["changed"] and result["version"] == "1.6.7~rc0"
    assert list(result["databases"]) == ["chain"]
    chain = result["databases"]["chain"]
    assert (chain["series"], chain["queries"]) == (250, ["down"])
    assert chain["policies"] == {
        "ever": {"duration": "INF", "shard": "1w", "default": False},
        "raw": {"duration": "1w", "shard": "1d", "default": True},
    }
    assert 1000 <= result["bytes"] < 1200 and result["free_bytes"] > 0


def test_nothing_is_measured_where_there_is_nothing(fake: Fake, tmp_path: Path) -> None:
    result = run(fake, tmp_path, data_dir=str(tmp_path / "none"))
    assert (result["bytes"], result["free_bytes"]) == (-1, -1)


def test_a_wrong_password_is_refused_and_not_shown(fake: Fake, tmp_path: Path) -> None:
    result = run(fake, tmp_path, password="another-secret")
    assert result["failed"] and "authorization failed" in result["msg"]
    assert "another-secret" not in str(result)


def test_what_was_not_expected_is_named_and_no_more(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(given: dict[str, Any]) -> dict[str, Any]:
        raise ValueError("very-secret")

    monkeypatch.setattr(influxdb_info, "look", broken)
    result = run(fake, tmp_path)
    assert result["failed"] and result["msg"].endswith("unexpected ValueError")
