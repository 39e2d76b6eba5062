# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""influxdb_restore: one database under a new name, counted, and dropped again if it is not whole."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.influxdb import backups
from ansible_collections.chainops.infra.plugins.modules import influxdb_restore

from tests.unit.plugins.modules.in_process import run_module
from tests.unit.plugins.modules.influxdb_site import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    made.back_up()
    made.send()
    yield made
    made.fake.close()


def restore(site: Site, check: bool = False, **more: Any) -> dict[str, Any]:
    names = {
        "database": "chain",
        "new_database": "chain_restored",
        "rpc": "127.0.0.1:1",
        "url": site.fake.url,
        "user": "",
    }
    return run_module(influxdb_restore, check, **(site.options() | names | more))


def test_restored_and_counted(site: Site) -> None:
    result = restore(site)
    assert result["changed"] and result["series"] == 3, result
    restored = json.loads((site.folder / "restored-1.json").read_text())
    assert sorted(restored) == ["chain_restored.raw.1", "chain_restored.raw.2"]
    assert not (site.folder / "scratch").exists()


def test_check_mode(site: Site) -> None:
    result = restore(site, check=True)
    assert result["changed"] and result["copy"] == "00000000" and "chain_restored" in result["diff"]["after"]
    assert not (site.folder / "restored-1.json").exists()


def test_one_that_exists_is_left_as_it_is(site: Site) -> None:
    site.fake.add_database("chain_restored")
    assert restore(site) == {"changed": False}


def test_what_is_not_whole_is_dropped(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    compare = backups.compare
    monkeypatch.setattr(backups, "compare", lambda *arguments: compare(*arguments, patience=0))
    path = site.sent[0] / backups.MANIFEST
    manifest = json.loads(path.read_text())
    manifest["shards"]["1"]["series"]["chain,node=b"]["block"] = [8, 8]
    path.write_text(json.dumps(manifest))
    result = restore(site)
    assert "7 points instead of 8" in result["msg"]
    assert site.fake.statements[-1] == 'DROP DATABASE "chain_restored"'


class Unanswering:
    """A server that gives up on the counts, as it does after query-timeout."""

    def __init__(self, site: Site, drops: bool) -> None:
        self.execute, self.drops = site.fake.execute, drops

    def __call__(self, statement: str) -> dict[str, Any]:
        if statement.startswith("SELECT") or (statement.startswith("DROP") and not self.drops):
            return {"error": "query-timeout limit exceeded"}
        return self.execute(statement)


def test_what_could_not_be_counted_is_dropped(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site.fake, "execute", Unanswering(site, drops=True))
    result = restore(site)
    assert result["failed"] and "query-timeout" in result["msg"]
    assert site.fake.statements[-1] == 'DROP DATABASE "chain_restored"'
    monkeypatch.undo()
    site.fake.add_database("chain_restored")
    assert restore(site) == {"changed": False}, "one that somebody makes afterwards is theirs"


def test_what_could_neither_be_counted_nor_dropped_is_no_success_of_the_next_run(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.fake, "execute", Unanswering(site, drops=False))
    assert "chain_restored could not be dropped again" in restore(site)["msg"]
    monkeypatch.undo()
    site.fake.add_database("chain_restored")
    for check in (True, False):
        result = restore(site, check=check)
        assert result["failed"] and 'DROP DATABASE "chain_restored"' in result["msg"], result
    site.fake.databases.pop("chain_restored")
    assert restore(site)["changed"]


def test_what_a_killed_run_left_is_no_success_of_the_next(site: Site) -> None:
    killer = site.folder / "killer"
    killer.write_text(f'#!/bin/sh\n{site.influxd} "$@"\nkill -KILL $PPID\n')
    killer.chmod(0o755)
    child = os.fork()
    if not child:
        restore(site, influxd=str(killer))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    site.fake.add_database("chain_restored")
    shutil.rmtree(site.folder / "scratch")
    result = restore(site)
    assert result["failed"] and "did not end, and may lack points" in result["msg"] and "copy 00000000" in result["msg"]
    site.fake.databases.pop("chain_restored")
    assert restore(site)["changed"] and list((site.folder / "scratch.unfinished").iterdir()) == []
    site.fake.add_database("chain_restored")
    assert restore(site) == {"changed": False}


def test_a_missing_file_is_found_before_the_server_is_touched(site: Site) -> None:
    next(site.sent[0].glob("1-*")).unlink()
    assert "is missing" in restore(site)["msg"]
    assert not [text for text in site.fake.statements if text.startswith("DROP")]


@pytest.mark.parametrize("names", [{"database": "--help"}, {"new_database": "a b"}])
def test_names_that_are_none(site: Site, names: dict[str, str]) -> None:
    assert "no plain name" in restore(site, **names)["msg"]


def test_a_database_that_the_copy_lacks(site: Site) -> None:
    assert "nothing of database other" in restore(site, database="other")["msg"]
