"""mirror_files, from a real ansible-playbook: what is brought, what is replaced, what is left alone."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.chainops.infra.plugins.action.mirror_files import listing, read_sums
from ansible_collections.chainops.infra.plugins.module_utils.mirror import files as mirror_files

ROOT = Path(__file__).resolve().parents[4]
BIN = Path(sys.executable).parent

PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - chainops.infra.mirror_files:
        src: {src}
        dest: {dest}
      register: done
    - ansible.builtin.copy:
        content: "{{{{ done | to_json }}}}"
        dest: {result}
      check_mode: false
      # the test's own file: its change is not the module's
      changed_when: false
"""


class Pair:
    """A directory to serve and the one that is served."""

    def __init__(self, root: Path):
        self.root, self.src, self.dest, self.result = root, root / "src", root / "dest", root / "result.json"
        self.src.mkdir()

    def put(self, path: str, text: str) -> None:
        target = self.src / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def sums(self, *extra: str) -> None:
        """Write SHA256SUMS of all files, as sha256sum does."""
        paths = [
            path
            for path in sorted(self.src.rglob("*"))
            if path.is_file() and path.name not in {"SHA256SUMS", "releases.json"}
        ]
        lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(self.src)}\n" for path in paths]
        (self.src / "SHA256SUMS").write_text("".join([*lines, *extra]))

    def play(self, *arguments: str, code: int = 0) -> str:
        book = self.root / "play.yml"
        book.write_text(PLAY.format(src=self.src, dest=self.dest, result=self.result))
        self.result.unlink(missing_ok=True)
        python = f"ansible_python_interpreter={sys.executable}"
        done = subprocess.run(
            [BIN / "ansible-playbook", "-i", "localhost,", "-e", python, book, *arguments],
            cwd=ROOT,
            env={**os.environ, "ANSIBLE_HOME": str(self.root / "home")},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def run(self, *arguments: str) -> dict:
        self.play(*arguments)
        return json.loads(self.result.read_text())

    def served(self) -> dict[str, str]:
        paths = [path for path in self.dest.rglob("*") if path.is_file() and path.name != ".mirror_files.json"]
        return {str(path.relative_to(self.dest)): path.read_text() for path in paths}


@pytest.fixture
def pair(tmp_path):
    found = Pair(tmp_path)
    found.put("geth/1/geth.tar.gz", "geth one")
    found.put("prysm/beacon-chain", "prysm")
    found.put("releases.json", "{}")
    found.sums()
    return found


def test_brought_once_then_left_alone_then_only_what_differs(pair):
    said = pair.run("--check")
    assert said["changed"] and len(said["uploaded"]) == 4 and not pair.dest.exists()
    first = pair.run()
    assert first["changed"] and first["uploaded"][-2:] == ["SHA256SUMS", "releases.json"]
    assert set(pair.served()) == {"geth/1/geth.tar.gz", "prysm/beacon-chain", "SHA256SUMS", "releases.json"}
    assert all(
        path.stat().st_mode & 0o777 == 0o644 for path in pair.dest.rglob("*") if path.is_file() and path.name[0] != "."
    )
    record = (pair.dest / ".mirror_files.json").stat().st_mtime_ns
    second = pair.run()
    assert not second["changed"] and second["files"] == 4
    assert (pair.dest / ".mirror_files.json").stat().st_mtime_ns == record

    pair.put("geth/2/geth.tar.gz", "geth two")
    (pair.src / "geth" / "1" / "geth.tar.gz").unlink()
    pair.sums()
    (pair.dest / "by-hand").write_text("an operator's own file")
    third = pair.run()
    assert third["uploaded"] == ["geth/2/geth.tar.gz", "SHA256SUMS"] and third["removed"] == ["geth/1/geth.tar.gz"]
    assert pair.served()["by-hand"] and not (pair.dest / "geth" / "1").exists()
    assert not list(pair.dest.rglob(".incoming-*"))


def test_a_file_that_was_changed_on_the_mirror_is_brought_again(pair):
    pair.run()
    (pair.dest / "prysm" / "beacon-chain").write_text("rotten")
    assert pair.run()["uploaded"] == ["prysm/beacon-chain"]
    assert pair.served()["prysm/beacon-chain"] == "prysm"


def test_a_removal_alone(pair):
    pair.run()
    (pair.src / "prysm" / "beacon-chain").unlink()
    pair.sums()
    assert pair.run()["removed"] == ["prysm/beacon-chain"] and "prysm/beacon-chain" not in pair.served()


def test_a_source_that_differs_from_its_own_sums_is_not_served(pair):
    pair.run()
    pair.put("prysm/beacon-chain", "replaced, but SHA256SUMS says otherwise")
    (pair.dest / "prysm" / "beacon-chain").unlink()
    output = pair.play(code=2)
    assert "prysm/beacon-chain: arrived with SHA-256" in output and "prysm/beacon-chain" not in pair.served()


def test_without_sums_everything_but_hidden_files_is_meant(tmp_path):
    pair = Pair(tmp_path)
    pair.put("lighthouse.tar.gz", "x")
    pair.put(".part", "y")
    assert pair.run()["uploaded"] == ["lighthouse.tar.gz"]


def test_wrong_sources_are_refused_by_name(pair):
    (pair.src / "SHA256SUMS").write_text("0" * 64 + "  no/such/file\n")
    assert "names files that are not there: no/such/file" in pair.play(code=2)
    (pair.root / "outside").write_text("")
    pair.sums("0" * 64 + "  ../outside\n")
    assert "must be a relative path without .." in pair.play(code=2)
    (pair.src / "SHA256SUMS").write_text("not a sum\n")
    assert "line 1: not a SHA-256 sum" in pair.play(code=2)


def test_sums_as_sha256sum_writes_them(tmp_path):
    (tmp_path / "a b").write_text("x")
    written = subprocess.run(
        ["sha256sum", "-b", "./a b"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    (tmp_path / "SHA256SUMS").write_text(written + "\n")
    assert read_sums(tmp_path / "SHA256SUMS") == {"a b": hashlib.sha256(b"x").hexdigest()}
    assert list(listing(tmp_path)) == ["a b", "SHA256SUMS"]


def test_a_disk_that_is_too_small_is_told_before_anything_is_sent(tmp_path, monkeypatch):
    monkeypatch.setattr(mirror_files.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 100_000_000})())
    served = mirror_files.Served(tmp_path / "none")
    with pytest.raises(mirror_files.MirrorError, match="50 MB to upload and 64 MB to keep free, 100 MB are free"):
        served.plan({"big": "0" * 64}, {"big": 50_000_000})
    assert served.plan({"small": "0" * 64}, {"small": 1_000_000}) == (["small"], [])


def test_a_broken_record_is_no_reason_to_fail(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / ".mirror_files.json").write_text("{broken")
    served = mirror_files.Served(tmp_path)
    assert served.plan({"file": hashlib.sha256(b"x").hexdigest()}, {"file": 1}) == ([], [])
