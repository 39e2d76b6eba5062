"""Rollbacks, removals and what two runs at once do to each other."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.release import steps, store
from ansible_collections.chainops.infra.plugins.module_utils.release.errors import ReleaseError

from tests.support.releases import Mirror, executable, sha256, tarball


@pytest.fixture(scope="module")
def mirror():
    server = Mirror()
    yield server
    server.close()


@pytest.fixture
def host(tmp_path, mirror):
    return Host(tmp_path, mirror)


class Host:
    """A release directory, worked on without Ansible."""

    def __init__(self, root: Path, mirror: Mirror):
        self.root, self.mirror, self.base = root, mirror, root / "geth"

    def install(self, version: str, keep: int = 2) -> steps.Outcome:
        body = tarball({"geth": executable(version)})
        url = self.mirror.publish(f"/{version}.tar.gz", body)
        source = {"url": url, "checksum": sha256(body), "binaries": ["geth"], "keep": keep}
        wanted = steps.Wanted(name="geth", version=version, root=self.root, **source)
        wanted.check("present")
        return steps.present(wanted, check_mode=False)

    def back(self, version: str | None = None, check: bool = False) -> steps.Outcome:
        return steps.rolled_back(steps.Wanted(name="geth", version=version, root=self.root), check_mode=check)

    def remove(self, version: str | None = None, check: bool = False) -> steps.Outcome:
        return steps.absent(steps.Wanted(name="geth", version=version, root=self.root), check_mode=check)

    def current(self) -> str:
        return str((self.base / "current").readlink())


def test_rollback_goes_to_the_version_before_and_only_once(host):
    host.install("1")
    host.install("2")
    assert host.back(check=True).changed and host.current() == "2"
    done = host.back()
    assert (done.action, done.before, done.version, host.current()) == ("rolled_back", "2", "1", "1")
    again = host.back()
    assert not again.changed and "already rolled back from 2" in again.message and host.current() == "1"


def test_rollback_to_a_named_version(host):
    for version in ("1", "2", "3"):
        host.install(version, keep=3)
    assert host.back("1").changed and host.current() == "1"
    assert not host.back("1").changed


def test_after_a_rollback_the_same_version_can_be_tried_again(host):
    host.install("1")
    host.install("2")
    host.back()
    again = host.install("2")
    assert (again.action, again.previous, host.current()) == ("switched", "1", "2")
    assert host.back().version == "1"


def test_rollback_without_anything_to_go_back_to(host):
    with pytest.raises(ReleaseError, match="is not installed in"):
        host.back()
    host.install("1")
    with pytest.raises(ReleaseError, match="no earlier version of geth is known here; on disk: 1"):
        host.back()
    with pytest.raises(ReleaseError, match="9 is not installed: 1 stays current"):
        host.back("9")


def test_rollback_to_a_damaged_version_is_refused(host):
    host.install("1")
    host.install("2")
    (host.base / "1" / "geth").write_text("evil")
    with pytest.raises(ReleaseError, match="SHA-256 differs.*2 stays current"):
        host.back()
    assert host.current() == "2"


def test_removing_one_version_and_all(host):
    assert not host.remove().changed
    host.install("1")
    host.install("2")
    with pytest.raises(ReleaseError, match="2 is the current version"):
        host.remove("2")
    assert host.remove("1", check=True).changed and (host.base / "1").exists()
    assert host.remove("1").removed == ["1"] and not host.remove("1").changed
    with pytest.raises(ReleaseError, match="no earlier version|1 is not installed"):
        host.back()
    assert host.remove().removed == ["2"] and not host.base.exists()


def test_a_version_that_somebody_removed_by_hand_is_installed_again(host):
    host.install("1")
    host.install("2")
    store.shutil.rmtree(host.base / "2")
    assert host.install("2").action == "installed" and host.current() == "2"


def test_two_runs_at_once_wait_for_each_other(host):
    host.install("1")
    inside, outside = threading.Event(), []

    def other() -> None:
        with store.Store(host.root, "geth").locked():
            inside.set()
            time.sleep(0.5)
            outside.append("first")

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait()
    host.install("2")
    outside.append("second")
    thread.join()
    assert outside == ["first", "second"]


def test_a_run_that_never_ends_is_not_waited_for_forever(host, monkeypatch):
    host.install("1")
    monkeypatch.setattr(store, "_LOCK_WAIT", 0.3)
    with store.Store(host.root, "geth").locked(), pytest.raises(ReleaseError, match="another run"):
        host.install("2")
