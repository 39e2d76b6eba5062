"""The engine's secret: made once, whole or not at all, never shown."""

from __future__ import annotations

import grp
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.unit.roles_ethereum.program import load

PROGRAM = Path(__file__).parents[3] / "roles/geth/files/jwt_secret.py"
jwt_secret = load(PROGRAM)
GROUP = grp.getgrgid(os.getgid()).gr_name


def test_made_once(tmp_path: Path) -> None:
    path = tmp_path / "jwt.hex"
    assert jwt_secret.ensure(path, os.getgid()) == "made"
    first = path.read_text()
    assert len(bytes.fromhex(first)) == 32
    assert path.stat().st_mode & 0o777 == 0o640
    assert jwt_secret.ensure(path, os.getgid()) == "kept"
    assert path.read_text() == first
    assert [entry.name for entry in tmp_path.iterdir()] == ["jwt.hex"]


def test_two_at_once_agree(tmp_path: Path) -> None:
    path = tmp_path / "jwt.hex"
    seen: list[str] = []

    def one() -> None:
        jwt_secret.ensure(path, os.getgid())
        seen.append(path.read_text())

    threads = [threading.Thread(target=one) for _number in range(1)]
    processes = [subprocess.Popen([sys.executable, "-I", PROGRAM, path, GROUP]) for _number in range(8)]
    for thread in threads:
        thread.start()
    assert [process.wait() for process in processes] == [0] * 8
    for thread in threads:
        thread.join()
    assert seen == [path.read_text()]
    assert [entry.name for entry in tmp_path.iterdir()] == ["jwt.hex"]


def test_mode_and_group_are_repaired_and_the_secret_stays(tmp_path: Path) -> None:
    path = tmp_path / "jwt.hex"
    path.write_text("ab" * 32)
    path.chmod(0o644)
    assert "mode set" in jwt_secret.ensure(path, os.getgid())
    assert (path.stat().st_mode & 0o777, path.read_text()) == (0o640, "ab" * 32)


@pytest.mark.parametrize("content", ["0x" + "ab" * 32, "AB" * 32 + "\n"])
def test_what_clients_accept_is_accepted(tmp_path: Path, content: str) -> None:
    path = tmp_path / "jwt.hex"
    path.write_text(content)
    jwt_secret.ensure(path, os.getgid())
    assert path.read_text() == content


@pytest.mark.parametrize("content", ["", "ab" * 31, "xy" * 32, "ab" * 33])
def test_what_is_no_secret_is_refused_and_not_shown(tmp_path: Path, content: str) -> None:
    path = tmp_path / "jwt.hex"
    path.write_text(content)
    ran = subprocess.run([sys.executable, "-I", PROGRAM, path, GROUP], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert f"{path} does not hold 64 hexadecimal digits: remove it" in ran.stderr
    assert not content or content not in ran.stdout + ran.stderr
    assert path.read_text() == content


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "jwt.hex").symlink_to(tmp_path / "elsewhere")
    ran = subprocess.run(
        [sys.executable, "-I", PROGRAM, tmp_path / "jwt.hex", GROUP], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, "no regular file" in ran.stderr) == (1, True)
    assert not (tmp_path / "elsewhere").exists()


def test_the_output_holds_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "jwt.hex"
    ran = subprocess.run([sys.executable, "-I", PROGRAM, path, GROUP], capture_output=True, text=True, check=True)
    assert ran.stdout == f"engine secret {path}: made\n"
    assert path.read_text() not in ran.stdout + ran.stderr


def test_an_unknown_group_is_named(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-I", PROGRAM, tmp_path / "x", "no-such-group"], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (1, "there is no group no-such-group\n")
