"""templates on a host that has everything already: a shell answers, and Python starts only where something differs.

As root, like the roles.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.plugins.action.test_templates import Project, templates


class Host:
    """One bundle, brought again and again; tells whether a module ran for it."""

    def __init__(self, path: Path) -> None:
        self.project = Project(path)
        self.log = path / "starts"
        self.python = path / "python"
        self.python.write_text(f'#!/bin/sh\necho started >> {self.log}\nexec {sys.executable} "$@"\n')
        self.python.chmod(0o755)
        self.etc = self.project.etc
        self.arguments: dict[str, Any] = {
            "directories": [{"path": f"{self.etc}/sub", "mode": "0750"}],
            "files": [
                {"dest": f"{self.etc}/sub/a b", "content": "one\n"},
                {"dest": f"{self.etc}/key", "content": "two\n", "secret": True},
            ],
            "absent": [f"{self.etc}/old"],
        }

    def bring(self, *arguments: str) -> tuple[dict[str, Any], bool]:
        """(what the task returned, whether Python was started for it)"""
        self.log.unlink(missing_ok=True)
        task = templates(**self.arguments) | {"vars": {"ansible_python_interpreter": str(self.python)}}
        _code, output, results = self.project.play([task], *arguments)
        assert results, output
        return results[0], self.log.exists()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    found = Host(tmp_path)
    first, started = found.bring()
    assert first["changed"] and started
    return found


@pytest.mark.parametrize("arguments", [(), ("--check", "--diff")])
def test_the_same_again_starts_no_module(host: Host, arguments: tuple[str, ...]) -> None:
    again, started = host.bring(*arguments)
    assert not started
    assert not again["changed"] and not again.get("failed")
    assert (again["changed_files"], again["changed_directories"], again["commands"]) == ([], [], [])


def edit(path: Path) -> None:
    path.write_text("other\n")


def replace_by_link(path: Path) -> None:
    path.rename(f"{path}.there")
    path.symlink_to(f"{path}.there")


DIFFERENCES: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "content": ("sub/a b", edit),
    "same length": ("key", lambda path: path.write_text("TWO\n")),
    "mode": ("key", lambda path: path.chmod(0o644)),
    "owner": ("key", lambda path: os.chown(path, 1, 0)),
    "group": ("key", lambda path: os.chown(path, 0, 1)),
    "gone": ("sub/a b", Path.unlink),
    "a link": ("key", replace_by_link),
    "directory's mode": ("sub", lambda path: path.chmod(0o755)),
    "not absent": ("old", edit),
    "not absent, a dead link": ("old", lambda path: path.symlink_to("/nowhere")),
    "what a killed run left beside": (".chainops-stage-x", Path.mkdir),
    "a killed run's journal": (
        "../state/templates/1.json",
        lambda path: path.write_text('{"state": "commands", "paths": ["/elsewhere"], "undo": [], "stages": []}'),
    ),
}


@pytest.mark.parametrize("difference", DIFFERENCES)
def test_whatever_differs_is_the_modules(host: Host, difference: str) -> None:
    name, make = DIFFERENCES[difference]
    make(host.etc / name)
    done, started = host.bring()
    assert started, "the shell's answer was taken for a yes"
    assert done["changed"] or done.get("failed") or difference.startswith(("what a", "a killed"))


def test_an_owner_by_number(host: Host) -> None:
    host.arguments["files"][0] |= {"owner": "1", "group": "1"}
    assert host.bring()[0]["changed"]
    assert not host.bring()[1]
