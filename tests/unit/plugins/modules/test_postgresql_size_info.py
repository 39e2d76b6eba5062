# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""postgresql_size_info with a fake psql: the answer is taken as it is, and a refusal is said in PostgreSQL's words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chainops.infra.plugins.modules import postgresql_size_info

from tests.support.pgbackrest import Fake
from tests.unit.plugins.modules.in_process import run_module

DATABASES = [
    {"name": "app", "bytes": 11089587, "connections": 3},
    {"name": "postgres", "bytes": 7763635, "connections": 1},
]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake(tmp_path / "bin", monkeypatch)
    made.program("psql", (Path(__file__).parents[3] / "support" / "fake_psql.py").read_text())
    return made


def run(fake: Fake, answer: Any) -> dict[str, Any]:
    (fake.path / "answers.json").write_text(json.dumps([["pg_database_size", answer]]))
    return run_module(postgresql_size_info, user="", port=5433, socket_dir="/run/here")


def test_databases_and_their_sizes(fake: Fake) -> None:
    result = run(fake, [{"databases": DATABASES, "standby": True}])
    assert (result["changed"], result["databases"], result["standby"]) == (False, DATABASES, True)
    words, sql = json.loads((fake.path / "asked").read_text())
    assert "/run/here" in words and "5433" in words
    # json_agg would break the answer's one line
    assert "jsonb_agg" in sql and "json_agg" not in sql


def test_a_server_that_does_not_answer(fake: Fake) -> None:
    result = run(fake, {"error": "connection to server on socket failed: No such file or directory"})
    assert result["failed"] and "No such file or directory" in result["msg"]
