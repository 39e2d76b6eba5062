# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""influxdb_drill: green for a whole copy; red, with the reason, for one that is not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.influxdb import backups
from ansible_collections.chainops.infra.plugins.modules import influxdb_drill

from tests.unit.plugins.modules.in_process import run_module
from tests.unit.plugins.modules.influxdb_site import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    made.back_up()
    made.send()
    yield made
    made.fake.close()


def drill(site: Site, check: bool = False, **more: Any) -> dict[str, Any]:
    places = {"metrics_file": str(site.folder / "drill.prom"), "report_dir": str(site.folder / "reports")}
    return run_module(influxdb_drill, check, **(site.options() | places | {"run_as": ""} | more))


def figure(site: Site, name: str) -> float:
    for line in (site.folder / "drill.prom").read_text().splitlines():
        if line.startswith(f"chainops_influxdb_drill_{name} "):
            return float(line.split()[1])
    raise AssertionError(name)


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard that differs is not counted again."""
    compare = backups.compare
    monkeypatch.setattr(backups, "compare", lambda *arguments: compare(*arguments, patience=0))


def test_green(site: Site) -> None:
    result = drill(site, max_age_hours=1)
    assert not result.get("failed") and not result["changed"]
    assert (result["databases"], result["shards"], result["series"], result["differences"]) == (["chain"], 2, 3, 0)
    assert figure(site, "success") == 1 and figure(site, "last_success_timestamp_seconds") > 0
    assert json.loads(Path(result["report"]).read_text())["copy"] == result["copy"]
    assert not (site.folder / "scratch").exists()


def test_a_time_is_exact_to_the_second(site: Site) -> None:
    """Six digits, as :g writes, are a time of up to an hour and a half ago."""
    before = int(time.time())
    drill(site)
    assert before <= figure(site, "last_run_timestamp_seconds") <= time.time() + 1
    assert "e+" not in (site.folder / "drill.prom").read_text()


def test_check_mode_only_names_the_copy(site: Site) -> None:
    assert drill(site, check=True)["copy"] == "00000000"
    assert not (site.folder / "drill.prom").exists() and not (site.folder / "reports").exists()


def test_red_for_a_missing_file_which_influxd_would_not_notice(site: Site) -> None:
    drill(site)
    green = figure(site, "last_success_timestamp_seconds")
    next(site.sent[0].glob("1-*")).unlink()
    result = drill(site)
    assert result["failed"] and "is missing" in result["msg"]
    assert figure(site, "success") == 0 and figure(site, "last_success_timestamp_seconds") == green
    assert len(list((site.folder / "reports").iterdir())) >= 1


def test_red_for_an_altered_file(site: Site) -> None:
    next(site.sent[0].glob("2-*")).write_text("{}")
    assert "is not what was copied" in drill(site)["msg"]


def test_red_for_a_repository_that_does_not_read_back(site: Site) -> None:
    (site.sent[0] / "unreadable").touch()
    assert "ciphertext verification failed" in drill(site)["msg"]


def test_red_for_counts_that_differ(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    impatient(monkeypatch)
    path = site.sent[0] / backups.MANIFEST
    manifest = json.loads(path.read_text())
    manifest["shards"]["1"]["series"]["chain,node=b"]["block"] = [8, 8]
    path.write_text(json.dumps(manifest))
    result = drill(site)
    assert "chain.raw shard 1: chain,node=b block: 7 points instead of 8" in result["msg"]
    assert result["differences"] == 1 and figure(site, "differences") == 1


def test_red_for_a_series_that_the_manifest_does_not_know(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    impatient(monkeypatch)
    path = site.sent[0] / backups.MANIFEST
    manifest = json.loads(path.read_text())
    manifest["shards"]["1"]["series"].pop("chain,node=b")
    path.write_text(json.dumps(manifest))
    assert "7 points instead of 0" in drill(site)["msg"]


def test_red_for_an_old_copy(site: Site) -> None:
    site.send()
    assert "hours old, more than" in drill(site, copy="00000000", max_age_hours=0.5)["msg"]


def test_red_without_a_copy(site: Site) -> None:
    assert "holds no copy nothing" in drill(site, copy="nothing")["msg"]
    site.env_file.write_text(site.env_file.read_text().replace("repository", "elsewhere"))
    assert "restic snapshots ended with 10" in drill(site)["msg"]


def test_red_where_the_server_does_not_start(site: Site) -> None:
    broken = site.folder / "broken"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    assert "scratch server ended with 3" in drill(site, influxd=str(broken))["msg"]
    assert not (site.folder / "scratch").exists()


def test_one_at_a_time(site: Site) -> None:
    (site.folder / "scratch").mkdir()
    assert "another run is under way" in drill(site)["msg"]


def test_a_secret_is_in_no_message(site: Site) -> None:
    site.env_file.write_text(site.env_file.read_text() + "RESTIC_REST_PASSWORD=canary-password\n")
    (site.sent[0] / "unreadable").touch()
    assert "canary" not in str(drill(site))
