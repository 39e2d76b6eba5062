# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hosts that nobody can reach: wrong variables are listed all the same, and nobody was asked anything before."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.example import make_secrets

ROOT = Path(__file__).parents[3]
WRONG = {
    "geth_http_port": 70000,
    "baseline_ntp_servers": [],
    "baseline_timezone": "Mars/../x",
    "postgresql_rpo": "zero",
}
SAID = {
    "baseline": ["this host would have no time at all", "a time zone such as"],
    "ethereum": ["geth_http_port = 70000: must be from 1 to 65535"],
    "data": ["must be one of zero_host, zero_region, bounded, fast"],
}
SAID["site"] = SAID["baseline"] + SAID["ethereum"] + SAID["data"]
PLAYBOOKS = {
    "site": "playbooks/site.yml",
    **{name: f"playbooks/layers/{name}.yml" for name in ("baseline", "ethereum", "data")},
}


def run(directory: Path, playbook: str, **variables: Any) -> tuple[str, bool]:
    """Output of a run on the production example, and whether ssh was started: it is a program that leaves a mark."""
    ssh, mark = directory / "ssh", directory / "connected"
    ssh.write_text(f"#!/bin/sh\ntouch {mark}\necho 'No route to host' >&2\nexit 255\n")
    ssh.chmod(0o755)
    given = {
        "ansible_ssh_executable": str(ssh),
        "ansible_ssh_retries": 0,
        "site_secrets_dir": str(make_secrets(directory)),
        **variables,
    }
    argv = [Path(sys.executable).with_name("ansible-playbook"), "-i", ROOT / "inventories" / "example", playbook]
    done = subprocess.run(
        [*argv, "-e", json.dumps(given)], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode != 0
    return done.stdout + done.stderr, mark.exists()


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_the_list_of_mistakes_comes_first(tmp_path: Path, name: str) -> None:
    output, connected = run(tmp_path, PLAYBOOKS[name], **WRONG)
    assert [words for words in SAID[name] if words not in output] == [], output
    assert "nothing was changed on any host" in output
    assert "UNREACHABLE" not in output
    assert not connected


def test_the_control_of_that_test_connects(tmp_path: Path) -> None:
    output, connected = run(tmp_path, PLAYBOOKS["site"])
    assert "UNREACHABLE" in output
    assert "nothing was changed on any host" not in output
    assert connected
