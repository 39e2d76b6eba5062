# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A drill that cannot begin is red for every repository, and says why: the metric of last week would stay green."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.support import operation
from tests.support.pgbackrest import Fake

ROOT = Path(__file__).parents[3]


def test_every_repository_is_red_for_the_real_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(tmp_path / "bin", monkeypatch)
    fake.program("psql", "#!/bin/sh\necho 'FATAL:  the database system is starting up' >&2\nexit 2\n")
    fake.program("ssh", "#!/bin/sh\necho 'No route to host' >&2\nexit 255\n")
    collection = tmp_path / "ansible_collections" / "chainops" / "infra"
    for part in ("plugins", "playbooks", "meta"):
        shutil.copytree(ROOT / part, collection / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "galaxy.yml", collection)
    for name in ("postgresql_manifest", "postgresql_drill"):
        path = collection / "plugins" / "modules" / f"{name}.py"
        changed = (
            path.read_text().replace('"/var/lib/', f'"{tmp_path}/').replace('"default": "postgres"}', '"default": ""}')
        )
        # the database keeps its name
        path.write_text(changed.replace('"database": {"type": "str", "default": ""}', '"database": {"type": "str"}'))
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    hosts = {
        "db-a": local,
        "db-b": {
            "ansible_connection": "ssh",
            "ansible_ssh_executable": str(fake.path / "ssh"),
            "ansible_ssh_retries": 0,
        },
        "bk-a": local,
        "bk-b": local,
        "sc-a": local | {"pgbackrest_metrics_dir": str(tmp_path / "metrics")},
    }
    groups = {
        "postgresql": ("db-a", "db-b"),
        "pgbackrest_repository": ("bk-a", "bk-b"),
        "pgbackrest_restore": ("sc-a",),
    }
    children = {group: {"hosts": dict.fromkeys(names, {})} for group, names in groups.items()}
    inventory = {"all": {"vars": {"ansible_become": False}, "hosts": hosts, "children": children}}
    (tmp_path / "inventory.json").write_text(json.dumps(inventory))
    status, said = operation.run(tmp_path, "postgresql_drill")
    assert status != 0
    for words in (
        "repository 1: RED",
        "repository 2: RED",
        "the database system is starting up",
        "db-b is not reached",
    ):
        assert words in said, said
    for number in (1, 2):
        metrics = (tmp_path / "metrics" / f"postgresql_drill_main_{number}.prom").read_text()
        assert f'postgresql_drill_success{{stanza="main",repository="{number}"}} 0' in metrics
