# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The mirrors' certificate authorities reach every host, also one that is set up alone, with --limit.

The play is the layer's own. Hosts are directories of this machine, which it is told by other paths.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
LAYER = ROOT / "playbooks" / "layers" / "baseline.yml"
PLAY = "Tell every host the mirror's certificate authority"
READ = "TASK [Read the certificate authority that each mirror made]"


class Site:
    """Two hosts and two mirrors, of which some cannot be reached."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.hosts = {name: {"ansible_connection": "local"} for name in ("eth-a", "eth-b", "mirror-1", "mirror-2")}
        self.mirrors = {"mirror-1": {}, "mirror-2": {}}
        (play,) = [play for play in yaml.safe_load(LAYER.read_text()) if play["name"] == PLAY]
        text = json.dumps([play])
        for path, inside in (("/var/lib/artifact_mirror", "mirror"), ("/etc/chainops", "etc")):
            assert path in text
            text = text.replace(path, f"{{{{ '{directory}/hosts/' ~ (item | default(inventory_hostname)) }}}}/{inside}")
        (directory / "play.yml").write_text(text)
        for name in self.hosts:
            (directory / "hosts" / name).mkdir(parents=True)

    def make(self, mirror: str, text: str) -> None:
        path = self.directory / "hosts" / mirror / "mirror" / "tls" / "ca.pem"
        path.parent.mkdir(parents=True)
        path.write_text(text)

    def known(self, host: str) -> str | None:
        path = self.directory / "hosts" / host / "etc" / "mirror-ca.pem"
        return path.read_text() if path.exists() else None

    def lose(self, host: str) -> None:
        ssh = self.directory / "ssh"
        ssh.write_text("#!/bin/sh\nexit 255\n")
        ssh.chmod(0o755)
        self.hosts[host] = {"ansible_connection": "ssh", "ansible_ssh_executable": str(ssh)}

    def run(self, *arguments: str) -> tuple[int, str]:
        inventory = {
            "all": {
                "vars": {"ansible_become": False, "ansible_python_interpreter": sys.executable},
                "hosts": self.hosts,
                "children": {"artifact_mirrors": {"hosts": self.mirrors}},
            }
        }
        (self.directory / "inventory.json").write_text(json.dumps(inventory))
        (self.directory / "ansible.cfg").write_text("[connection]\npipelining = true\n")
        environment = os.environ | {
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".ansible" / "collections"),
            "ANSIBLE_HOME": str(self.directory / "home"),
            "ANSIBLE_CONFIG": str(self.directory / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
        }
        command = [Path(sys.executable).with_name("ansible-playbook"), "-i", "inventory.json", "play.yml", *arguments]
        done = subprocess.run(
            command, cwd=self.directory, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        print(done.stdout, done.stderr)  # pytest shows it where a test fails
        return done.returncode, done.stdout


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_new_host_alone_is_told(site: Site) -> None:
    site.make("mirror-1", "one\n")
    site.make("mirror-2", "two\n")
    status, output = site.run("--limit", "eth-b")
    assert status == 0
    assert site.known("eth-b") == "one\ntwo\n"
    assert site.known("eth-a") is None
    status, output = site.run()
    assert status == 0
    assert {site.known(name) for name in site.hosts} == {"one\ntwo\n"}
    # Once for all hosts, with one line a mirror
    assert output.split(READ)[1].split("TASK")[0].count("-> mirror-") == 2
    status, output = site.run()
    assert "changed=1" not in output


def test_a_mirror_with_a_certificate_of_its_own_has_none_to_tell(site: Site) -> None:
    site.make("mirror-1", "one\n")
    site.make("mirror-2", "old\n")
    site.hosts["mirror-2"]["artifact_mirror_certificate"] = "/etc/own.pem"
    status, _output = site.run("--limit", "eth-a")
    assert status == 0
    assert site.known("eth-a") == "one\n"


def test_what_hosts_know_stays_while_a_mirror_is_away(site: Site) -> None:
    site.make("mirror-1", "one\n")
    site.make("mirror-2", "two\n")
    assert site.run()[0] == 0
    site.lose("mirror-2")
    for arguments in (["--limit", "eth-a,eth-b"], ["--limit", "eth-a"]):
        status, output = site.run(*arguments)
        assert status == 0
        assert "UNREACHABLE" in output
        assert site.known("eth-a") == "one\ntwo\n"


def test_a_first_check_mode_finds_none(site: Site) -> None:
    status, _output = site.run("--check")
    assert status == 0
    assert {site.known(name) for name in site.hosts} == {None}


def test_a_site_without_a_mirror_is_told_nothing(site: Site) -> None:
    site.mirrors = {}
    status, output = site.run()
    assert status == 0
    assert "-> mirror" not in output
