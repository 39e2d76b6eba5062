# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What release_info tells of a host's releases, and of the version that runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

from ansible_collections.chainops.infra.plugins.modules import release_info

from tests.unit.plugins.modules.in_process import run_module


def install(root, name, *versions, current=None):
    for number, version in enumerate(versions):
        directory = root / name / version
        directory.mkdir(parents=True)
        manifest = directory / ".release.json"
        manifest.write_text("{}")
        manifest.touch()
        stamp = time.time() - 100 * number
        os.utime(manifest, (stamp, stamp))
    if current:
        (root / name / "current").symlink_to(current)


def test_versions_of_each_release(tmp_path):
    install(tmp_path, "geth", "1.17.8", "1.17.6", current="1.17.6")
    install(tmp_path, "prysm", "6.0.4")
    result = run_module(release_info, names=["geth", "prysm", "lighthouse"], root=str(tmp_path))
    assert result["current"] == {"geth": "1.17.6"}
    assert result["installed"] == {"geth": ["1.17.8", "1.17.6"], "prysm": ["6.0.4"]}


def test_the_version_that_runs_is_told_whatever_is_current(tmp_path):
    install(tmp_path, "sleeper", "2", "1", current="2")
    shutil.copy(shutil.which("sleep"), tmp_path / "sleeper" / "1" / "sleep")
    process = subprocess.Popen([tmp_path / "sleeper" / "1" / "sleep", "60"])
    try:
        assert run_module(release_info, names=["sleeper"], root=str(tmp_path))["running"] == {"sleeper": "1"}
    finally:
        process.kill()
        process.wait()
    assert run_module(release_info, names=["sleeper"], root=str(tmp_path))["running"] == {}


def test_a_current_that_is_no_link_is_said(tmp_path):
    (tmp_path / "geth" / "current").mkdir(parents=True)
    assert "is no symbolic link" in run_module(release_info, names=["geth"], root=str(tmp_path))["msg"]
