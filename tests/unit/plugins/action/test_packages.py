"""packages, from a real ansible-playbook: dpkg is asked, and apt runs only if something is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[4]
ANSIBLE_PLAYBOOK = str(Path(sys.executable).with_name("ansible-playbook"))

PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - chainops.infra.packages: {arguments}
      register: done
      ignore_errors: true  # a package that does not exist is what some tests want
    - ansible.builtin.copy:
        content: "{{{{ done | to_json }}}}"
        dest: {result}
      check_mode: false
"""
# Stands in for Debian's own; says what is installed as the real one does, and fails for what it does not know.
DPKG_QUERY = """#!/bin/sh
echo "$*" >> {calls}
code=0
while [ "$1" != -- ]; do shift; done; shift
for name; do
  case $name in
    chrony) echo "installed chrony" ;;
    removed) echo "config-files removed" ;;
    *) code=1 ;;
  esac
done
exit $code
"""


def play(tmp_path: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    """The task's result in check mode, with what was asked of dpkg. What apt was given shows if it fails too."""
    (tmp_path / "bin").mkdir()
    dpkg_query = tmp_path / "bin" / "dpkg-query"
    dpkg_query.write_text(DPKG_QUERY.format(calls=tmp_path / "calls"))
    dpkg_query.chmod(0o755)
    book, result = tmp_path / "play.yml", tmp_path / "result.json"
    book.write_text(PLAY.format(arguments=json.dumps(arguments), result=result))
    environment = os.environ | {
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".ansible" / "collections"),
        "ANSIBLE_HOME": str(tmp_path / "home"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
    }
    argv = [
        ANSIBLE_PLAYBOOK,
        "-i",
        "localhost,",
        "--check",
        "-vvv",
        str(book),
        "-e",
        f"ansible_python_interpreter={sys.executable}",
    ]
    done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = " ".join(done.stdout.split())
    return json.loads(result.read_text()) | {"asked": (tmp_path / "calls").read_text(), "shown": shown}


def test_what_is_installed_needs_no_apt(tmp_path: Path) -> None:
    done = play(tmp_path, {"name": ["chrony"]})
    assert (done["changed"], done["missing"]) == (False, [])
    assert '"changed": false' in done["shown"] and "cache_valid_time" not in done["shown"], "apt has run"
    assert done["asked"].endswith("-- chrony\n")


def test_what_is_missing_or_was_removed_goes_to_apt(tmp_path: Path) -> None:
    """apt decides about it; a package that it does not know is its error."""
    done = play(tmp_path, {"name": ["chrony", "removed", "no-such-package-anywhere"]})
    assert done["missing"] == ["removed", "no-such-package-anywhere"]
    for given in (
        '[ "removed", "no-such-package-anywhere" ]',
        '"install_recommends": false',
        '"update_cache": true',
        '"cache_valid_time": 86400',
    ):
        assert given in done["shown"]


def test_services_can_be_kept_from_starting(tmp_path: Path) -> None:
    done = play(tmp_path, {"name": ["no-such-package-anywhere"], "policy_rc_d": 101})
    assert '"policy_rc_d": 101' in done["shown"]
    assert done["failed"]


def test_a_release_comes_in_the_same_task(tmp_path: Path) -> None:
    release = {
        "name": "server",
        "version": "1.8.10",
        "url": "https://mirror.example.net/server.tar.gz",
        "checksum": f"sha256:{'0' * 64}",
        "binaries": ["server-1/usr/bin/server"],
        "root": str(tmp_path / "releases"),
    }
    done = play(tmp_path, {"name": ["chrony"], "release": release})
    assert (done["changed"], done["missing"], done["release"]["action"]) == (True, [], "installed"), done
    assert "not installed" in done["release"]["msg"] and len(done["diff"]) == 1


def test_a_release_that_is_refused_fails_the_task(tmp_path: Path) -> None:
    release = {"name": "server", "version": "1.8.10", "url": "http://mirror.example.net/x", "checksum": "md5:0"}
    done = play(tmp_path, {"name": ["chrony"], "release": release | {"binaries": ["server"]}})
    assert done["failed"] and "use https" in done["msg"]
