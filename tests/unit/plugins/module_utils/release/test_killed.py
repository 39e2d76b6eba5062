"""A kill at every single step that touches the disk leaves something whole, and the next run ends what it began."""

from __future__ import annotations

import builtins
import io
import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.release import steps

from tests.support.releases import executable, sha256, tarball

# Whatever a step of the module comes to in the end; killed before each call in turn.
CALLS = ("mkdir", "rename", "replace", "symlink", "unlink", "rmdir", "fsync", "chmod", "fchmod", "open")


class Shelf:
    """A directory served by a process of its own: what forks here should have no threads."""

    def __init__(self, directory: Path):
        self.directory = directory
        command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
        self.process = subprocess.Popen(
            command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        self.base = self.process.stdout.readline().split("(")[1].split("/)")[0]

    def publish(self, name: str, body: bytes) -> str:
        (self.directory / name).write_bytes(body)
        return f"{self.base}/{name}"

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    shelf = Shelf(tmp_path_factory.mktemp("shelf"))
    yield shelf
    shelf.close()


def wanted(mirror: Shelf, root: Path, version: str, **options) -> steps.Wanted:
    body = tarball({"geth": executable(version)})
    url = mirror.publish(f"{version}.tar.gz", body)
    found = steps.Wanted(
        name="geth", version=version, root=root, url=url, checksum=sha256(body), binaries=["geth"], **options
    )
    found.check("present")
    return found


def killed_at(number: int, action: Callable[[], object]) -> bool:
    """Run an action in a child that is killed before its Nth call. False if it came to its end before that."""
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # a child that hangs is a failure, not a wait
        count = itertools.count(1)

        def deadly(real):
            def call(*args, **kwargs):
                if next(count) == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **kwargs)

            return call

        for name in CALLS:
            setattr(os, name, deadly(getattr(os, name)))
        io.open = builtins.open = deadly(io.open)
        code = 1
        try:
            action()
            code = 0
        finally:
            os._exit(code)
    _child, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status)
    assert not killed or os.WTERMSIG(status) == signal.SIGKILL, "the action hung"
    assert killed or os.WEXITSTATUS(status) == 0, "the action failed of itself"
    return killed


def says(root: Path) -> str:
    """What a service started now would run; empty if there is no current version."""
    link = root / "geth" / "current"
    if not link.is_symlink():
        return ""
    return subprocess.run([link / "geth"], capture_output=True, text=True, check=True).stdout.strip()


def rubbish(root: Path) -> list[str]:
    """Anything that is no version, no link and none of the module's own two files."""
    own = {".lock", ".history.json", "current"}
    names = [path for path in (root / "geth").iterdir() if path.name not in own]
    strange = [path.name for path in names if path.name.startswith(".")]
    return strange + [path.name for path in root.iterdir() if path.name.startswith(".")]


def every_step(
    tmp_path: Path, prepare: Callable[[Path], None], act: Callable[[Path], object], check: Callable[[Path, bool], None]
) -> int:
    """Prepare, act with a kill at step 1, 2, 3, … until none is left; `check` after the kill and after the next run."""
    template = tmp_path / "template"
    template.mkdir()
    prepare(template)
    for number in itertools.count(1):
        root = tmp_path / "root"
        shutil.copytree(template, root, symlinks=True)
        killed = killed_at(number, lambda root=root: act(root))
        check(root, False)
        act(root)
        check(root, True)
        shutil.rmtree(root)
        if not killed:
            return number - 1
    return 0


def test_first_install(tmp_path, mirror):
    def act(root: Path) -> None:
        steps.present(wanted(mirror, root, "1"), check_mode=False)

    def check(root: Path, done: bool) -> None:
        assert says(root) in ({"1"} if done else {"", "1"})
        assert not done or (
            not rubbish(root) and steps.present(wanted(mirror, root, "1"), check_mode=False).action == "none"
        )

    assert every_step(tmp_path, lambda root: None, act, check) > 15


def test_upgrade_with_pruning(tmp_path, mirror):
    def prepare(root: Path) -> None:
        for version in ("1", "2"):
            steps.present(wanted(mirror, root, version), check_mode=False)

    def act(root: Path) -> None:
        steps.present(wanted(mirror, root, "3"), check_mode=False)

    def check(root: Path, done: bool) -> None:
        assert says(root) in ({"3"} if done else {"2", "3"})
        if done:
            again = steps.present(wanted(mirror, root, "3"), check_mode=False)
            assert (again.action, again.previous) == ("none", "2")
            assert not rubbish(root) and not (root / "geth" / "1").exists()

    assert every_step(tmp_path, prepare, act, check) > 20


def test_repair_never_takes_the_executable_away(tmp_path, mirror):
    def prepare(root: Path) -> None:
        steps.present(wanted(mirror, root, "1"), check_mode=False)
        (root / "geth" / "1" / "geth").write_text("#!/bin/sh\necho tampered\n")

    def act(root: Path) -> None:
        steps.present(wanted(mirror, root, "1"), check_mode=False)

    def check(root: Path, done: bool) -> None:
        assert says(root) in ({"1"} if done else {"tampered", "1"})
        assert not done or not rubbish(root)

    assert every_step(tmp_path, prepare, act, check) > 15


@pytest.mark.parametrize("target", [None, "1"])
def test_rollback(tmp_path, mirror, target):
    def prepare(root: Path) -> None:
        for version in ("1", "2"):
            steps.present(wanted(mirror, root, version), check_mode=False)

    def act(root: Path) -> None:
        steps.rolled_back(steps.Wanted(name="geth", version=target, root=root), check_mode=False)

    def check(root: Path, done: bool) -> None:
        assert says(root) in ({"1"} if done else {"1", "2"})
        assert not done or not rubbish(root)

    assert every_step(tmp_path, prepare, act, check) > 5


def test_removal(tmp_path, mirror):
    def prepare(root: Path) -> None:
        for version in ("1", "2"):
            steps.present(wanted(mirror, root, version), check_mode=False)

    def act(root: Path) -> None:
        steps.absent(steps.Wanted(name="geth", version=None, root=root), check_mode=False)

    def check(root: Path, done: bool) -> None:
        if done:
            assert not list(root.iterdir())
        else:
            assert says(root) in {"2", ""}

    assert every_step(tmp_path, prepare, act, check) > 10
