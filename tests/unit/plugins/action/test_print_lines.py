"""The action print_lines in real runs: what is printed, and what cannot be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[4]


def run(tmp_path: Path, arguments: dict[str, Any], *more: str, callback: str = "default") -> tuple[int, str, str]:
    """(exit status, standard output, standard error) of a play on a host that cannot be reached."""
    task = {"name": "Say it", "chainops.infra.print_lines": arguments}
    (tmp_path / "play.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [task]}]))
    (tmp_path / "ansible.cfg").write_text("[defaults]\n")
    environment = os.environ | {
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".ansible" / "collections"),
        "ANSIBLE_HOME": str(tmp_path / "home"),
        "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_STDOUT_CALLBACK": callback,
        "PYTHONIOENCODING": "utf-8",
        "LC_ALL": "C.UTF-8",
    }
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", "192.0.2.1,", "play.yml", *more]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("callback", ["default", "minimal"])
def test_lines_are_printed_as_they_are(tmp_path: Path, callback: str) -> None:
    lines = ["pair   verdict", '  "eth-a"  healthy \\n  ', "x" * 300, "größe ✓"]
    status, output, _errors = run(tmp_path, {"lines": lines}, callback=callback)
    assert status == 0
    assert "\n" + "\n".join(lines) + "\n" in output


def test_nothing_in_a_line_moves_the_cursor_or_colours_the_terminal(tmp_path: Path) -> None:
    lines = ["\x1b[31mred\x1b[0m", "over\rwritten", "two\nlines", "\x07bell", "\u202eright to left"]
    status, output, errors = run(tmp_path, {"lines": lines})
    assert status == 0
    assert "\n?[31mred?[0m\nover?written\ntwo?lines\n?bell\n?right to left\n" in output
    assert not {"\x1b", "\r", "\x07", "\u202e"} & set(output + errors)


def test_it_changes_nothing_and_says_the_same_in_check_mode(tmp_path: Path) -> None:
    status, output, _errors = run(tmp_path, {"lines": ["a table"]}, "--check")
    assert status == 0
    assert "\na table\n" in output
    assert "changed=0" in output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({}, "missing required arguments: lines"), ({"lines": ["a"], "line": "b"}, "Supported parameters include: lines")],
)
def test_wrong_arguments(tmp_path: Path, arguments: dict[str, Any], words: str) -> None:
    status, output, errors = run(tmp_path, arguments)
    assert status == 2
    assert words in output + errors
