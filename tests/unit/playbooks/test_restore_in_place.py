# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The restore in place as a whole, on members of which only PostgreSQL, Patroni and systemd are not real."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.playbooks.restored_site import MEMBERS, Site


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    made = Site(tmp_path, monkeypatch)
    yield made
    made.etcd.end()


def changed(output: str) -> int:
    return sum(int(number) for number in re.findall(r"changed=(\d+)", output))


def test_restored_once_whoever_asks_again(site: Site) -> None:
    status, output = site.restore("--check")
    assert (status, site.log(), site.fake.commands.count("restore")) == (0, [], 0), output
    status, output = site.restore()
    assert status == 0, output
    order = ["stopped db-b", "stopped db-c", "stopped db-a", "started db-a"]
    log = site.log()
    assert sorted(log[:2]) + log[2:4] == order, log
    assert sorted(log[4:]) == ["started db-b", "started db-c"]
    for name in MEMBERS:
        assert (site.data(name) / "PG_VERSION").exists() and (site.kept(name)[0] / "old").read_text() == name
    # a client writes; db-c could not be reached when the others cloned, and the same command is given again
    (site.data("db-a") / "written").touch()
    shutil.rmtree(site.data("db-c"))
    site.kept("db-c")[0].rename(site.data("db-c"))
    (site.hosts / "db-c" / "running").unlink()
    status, output = site.restore()
    assert (status, site.log()) == (0, ["started db-c"]), output
    assert (site.data("db-c") / "written").exists() and site.fake.commands.count("restore") == 1
    status, output = site.restore()
    assert (status, changed(output), site.log()) == (0, 0, []), output
    assert (site.data("db-a") / "written").exists() and "NOTHING WAS RESTORED NOW" in output
    # and is meant
    name = json.loads((site.data("db-a") / "chainops_restore.json").read_text())["id"]
    assert f"postgresql_restore_again={name}" in output
    status, output = site.restore(postgresql_restore_again=name)
    assert status == 0 and not (site.data("db-a") / "written").exists(), output
    assert [len(site.kept(name)) for name in MEMBERS] == [2, 2, 2]


def test_a_run_that_was_killed_goes_on(site: Site) -> None:
    site.fake.refuse("restore", 29, "ERROR: killed", times=1)
    assert site.restore()[0] != 0
    (site.data("db-a") / "half").touch()
    site.log()
    status, output = site.restore()
    assert status == 0, output
    assert site.log()[0] == "started db-a"
    assert sorted(path.name.split("-")[0] for path in site.kept("db-a")) == ["main.before", "main.unfinished"]


def test_a_lost_member_is_named_and_may_be_left_out(site: Site) -> None:
    site.unreachable = ["db-a"]
    (site.hosts / "db-a" / "running").unlink()
    status, output = site.restore()
    assert status != 0 and "-e postgresql_restore_without=db-a" in output and site.log() == []
    status, output = site.restore(postgresql_restore_without="db-a")
    assert status == 0, output
    assert "started db-b" in site.log() and (site.data("db-a") / "old").exists()
    assert (site.data("db-c") / "PG_VERSION").exists() and site.kept("db-a") == []


def test_nothing_is_stopped_where_something_speaks_against_it(site: Site) -> None:
    site.etcd.values["/chainops/app/config"] = '{"pause": true}'
    (site.data("db-c") / "pg_tblspc").mkdir()
    (site.data("db-c") / "pg_tblspc" / "16400").touch()
    status, output = site.restore()
    assert status != 0 and "is paused" in output and "db-c: " in output and "tablespaces (16400)" in output
    assert site.log() == []
    site.etcd.values.clear()
    # it cannot be reached by Ansible, and runs
    status, output = site.restore(postgresql_restore_without="db-c")
    assert status != 0 and "db-c: Patroni runs there" in output and site.log() == []
    assert site.restore("--limit", "postgresql", postgresql_restore_confirm="main")[0] != 0 and site.log() == []
