# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The program of the timer, as a process: what it sends, what it says when it cannot."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.plugins.modules.influxdb_site import Site

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    # As the role lays it out: the package beside the program.
    home = tmp_path / "lib"
    shutil.copytree(ROOT / "plugins" / "module_utils" / "influxdb", home / "influxdb")
    shutil.copy(ROOT / "roles" / "influxdb" / "files" / "influxdb_backup.py", home)
    text = (home / "influxdb" / "restic.py").read_text()
    (home / "influxdb" / "restic.py").write_text(text.replace("/usr/bin/restic", made.restic))
    for folder in ("state", "credentials"):
        (tmp_path / folder).mkdir()
    (tmp_path / "credentials" / "key").write_text("a key\n")
    (tmp_path / "credentials" / "admin").write_text("canary-admin\n")
    config = {
        "url": made.fake.url,
        "user": "admin",
        "password_file": "/nowhere",
        "ca_path": "",
        "timeout": 10,
        "rpc": "127.0.0.1:8088",
        "data_dir": str(made.data),
        "wal_dir": str(tmp_path / "wal"),
        "influxd": made.influxd,
        "copy_dir": str(made.copy),
        "state_dir": str(tmp_path / "state"),
        "cache_dir": str(tmp_path / "cache"),
        "everything_days": 7,
    }
    (tmp_path / "backup.json").write_text(json.dumps(config))
    made.fake.STATEMENTS = [*made.fake.STATEMENTS, (r'SHOW SERIES CARDINALITY ON "chain"', cardinality)]
    yield made
    made.fake.close()


def cardinality(_fake: object) -> list[dict[str, object]]:
    return [{"columns": ["cardinality estimation"], "values": [[3]]}]


def run(site: Site, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-IB", str(site.folder / "lib" / "influxdb_backup.py"), str(site.folder / "backup.json")]
    given = {
        "PATH": os.environ["PATH"],
        "STATE_DIRECTORY": str(site.folder / "state"),
        "CACHE_DIRECTORY": str(site.folder / "cache"),
        "CREDENTIALS_DIRECTORY": str(site.folder / "credentials"),
        "RESTIC_REPOSITORY": str(site.repository),
        "RESTIC_REST_PASSWORD": "canary-rest",
    }
    return subprocess.run([*program, *words], env=given | environment, capture_output=True, text=True, check=False)


def figures(site: Site) -> dict[str, float]:
    lines = (site.folder / "state" / "metrics.prom").read_text().splitlines()
    return {line.split()[0]: float(line.split()[1]) for line in lines if not line.startswith("#")}


def test_a_copy_is_made_sent_and_measured(site: Site) -> None:
    done = run(site)
    assert (done.returncode, done.stderr) == (0, "")
    found = figures(site)
    assert found["chainops_influxdb_backup_success"] == 1
    assert found["chainops_influxdb_backup_points"] == 157
    assert found["chainops_influxdb_backup_copied_shards"] == found["chainops_influxdb_backup_shards"] == 2
    assert found['chainops_influxdb_series{database="chain"}'] == 3
    assert len(site.sent) == 1 and len(list(site.sent[0].glob("*.tar.gz"))) == 2


def test_the_next_run_copies_what_changed_and_on_request_everything(site: Site) -> None:
    run(site)
    site.written(2)
    run(site)
    assert figures(site)["chainops_influxdb_backup_copied_shards"] == 1
    run(site, "--everything")
    assert figures(site)["chainops_influxdb_backup_copied_shards"] == 2


def test_a_repository_that_does_not_answer_is_said_and_kept_in_mind(site: Site) -> None:
    run(site)
    good = figures(site)["chainops_influxdb_backup_last_success_timestamp_seconds"]
    (site.folder / "credentials" / "key").unlink()
    done = run(site, RESTIC_PASSWORD_FILE="/nowhere")
    assert done.returncode == 1 and done.stderr.startswith("<3>restic cat ended with")
    found = figures(site)
    assert found["chainops_influxdb_backup_success"] == 0
    assert found["chainops_influxdb_backup_last_success_timestamp_seconds"] == good


def test_a_server_that_does_not_answer_is_said(site: Site) -> None:
    site.fake.close()
    done = run(site)
    assert done.returncode == 1 and "does not answer" in done.stderr


def test_no_secret_is_in_its_output(site: Site) -> None:
    outputs = [run(site), run(site, RESTIC_REPOSITORY=""), run(site, RESTIC_PASSWORD_FILE="/nowhere")]
    assert [
        text for done in outputs for text in (done.stdout, done.stderr) if "canary" in text or "a key" in text
    ] == []
