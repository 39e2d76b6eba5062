# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A site has one authority: a run that cannot know of the one that hosts trust founds none.

The tasks are those of the role, and ansible-playbook and openssl are real. Hosts are directories of this machine.
"""

from __future__ import annotations

import grp
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
ROLE = ROOT / "roles" / "host_certificate"
REPLACE = ROOT / "playbooks" / "operations" / "etcd_replace.yml"
GROUP = grp.getgrgid(os.getgid()).gr_name
HOSTS = ("db-a", "db-w")  # db-w holds the authority's key
REFUSED = "this run may not found one"


def tasks_of_the_role() -> list[dict[str, Any]]:
    """What comes after the packages; its files belong to whoever runs the test."""
    blocks = yaml.safe_load((ROLE / "tasks" / "main.yml").read_text(encoding="utf-8"))
    tasks = [task for block in blocks if block["name"] in ("Configure", "Service") for task in block["block"]]
    for task in tasks:
        if "chainops.infra.host_certificate" in task:
            task["chainops.infra.host_certificate"] |= {"metrics": "", "group": GROUP}
    return tasks


def variables_of_the_role() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("defaults", "vars"):
        found |= yaml.safe_load((ROLE / name / "main.yml").read_text(encoding="utf-8"))
    return found


class Site:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.hosts: dict[str, dict[str, Any]] = {name: {"ansible_connection": "local"} for name in HOSTS}
        (directory / "ansible.cfg").write_text("[connection]\npipelining = true\n")

    def host(self, name: str) -> Path:
        return self.directory / "hosts" / name

    def authority(self) -> str:
        path = self.host("db-w") / "ca" / "ca.pem"
        return path.read_text() if path.exists() else ""

    def trusted(self, name: str) -> str:
        path = self.host(name) / "tls" / "ca.pem"
        return path.read_text() if path.exists() else ""

    def rebuild(self, name: str) -> None:
        shutil.rmtree(self.host(name))

    def lose(self, name: str) -> None:
        ssh = self.directory / "ssh"
        ssh.write_text("#!/bin/sh\nexit 255\n")
        ssh.chmod(0o755)
        self.hosts[name] = {"ansible_connection": "ssh", "ansible_ssh_executable": str(ssh), "ansible_ssh_retries": 0}

    def run(self, *arguments: str, hosts: str = "all", **variables: Any) -> tuple[int, str]:
        base = f"{self.directory}/hosts/"
        given = variables_of_the_role() | {
            "__host_certificate_directory": f"{base}{{{{ inventory_hostname }}}}/tls",
            "__host_certificate_authority": f"{base}{{{{ groups.site_ca[0] }}}}/ca",
            **variables,
        }
        play = {"hosts": hosts, "gather_facts": False, "vars": given, "tasks": tasks_of_the_role()}
        (self.directory / "play.yml").write_text(json.dumps([play]))
        inventory = {
            "all": {
                "vars": {"ansible_become": False, "ansible_python_interpreter": sys.executable},
                "hosts": self.hosts,
                "children": {"site_ca": {"hosts": {"db-w": {}}}},
            }
        }
        (self.directory / "inventory.json").write_text(json.dumps(inventory))
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
def founded(tmp_path: Path) -> Site:
    """A site whose hosts trust the authority that a run of all of them founded."""
    site = Site(tmp_path)
    status, _output = site.run()
    assert status == 0
    assert site.authority() == site.trusted("db-a") == site.trusted("db-w") != ""
    return site


def test_with_a_limit_none_is_founded(tmp_path: Path, founded: Site) -> None:
    founded.rebuild("db-w")
    for arguments in ([], ["-e", '{"host_certificate_renew": true}']):
        status, output = founded.run("--limit", "db-w", *arguments)
        assert status != 0 and REFUSED in output
    assert founded.authority() == ""


def test_an_operation_on_the_authority_s_host_founds_none(founded: Site) -> None:
    """etcd_replace is for that host alone, without any limit."""
    (play,) = yaml.safe_load(REPLACE.read_text(encoding="utf-8"))
    founded.rebuild("db-w")
    status, output = founded.run(hosts="db-w", **play["vars"])
    assert status != 0 and REFUSED in output
    assert founded.authority() == ""


def test_while_another_host_is_away_none_is_founded(founded: Site) -> None:
    founded.rebuild("db-w")
    founded.lose("db-a")
    status, output = founded.run()
    assert status != 0 and REFUSED in output
    assert founded.authority() == ""


def test_a_host_that_knows_the_authority_keeps_it_from_being_replaced(founded: Site) -> None:
    founded.rebuild("db-w")
    status, output = founded.run()
    assert status != 0 and REFUSED in output


def test_the_authority_that_was_put_back_signs_for_its_rebuilt_host(founded: Site) -> None:
    before, backup = founded.trusted("db-a"), founded.directory / "backup"
    shutil.copytree(founded.host("db-w") / "ca", backup)
    founded.rebuild("db-w")
    shutil.copytree(backup, founded.host("db-w") / "ca")
    status, output = founded.run(hosts="db-w")
    assert status == 0, output
    assert founded.trusted("db-w") == before


def test_another_takes_the_place_of_one_that_is_lost_without_a_backup(founded: Site) -> None:
    """By the commands of the role's page: before anything is renewed every host trusts both."""
    old, key = founded.trusted("db-a"), (founded.host("db-a") / "tls" / "host.key").read_text()
    founded.rebuild("db-w")
    page = (ROLE / "docs.md").read_text(encoding="utf-8").split("**Without a backup**")[1]
    commands = page.split("```sh\n")[1].split("```")[0]
    (founded.directory / "old.pem").write_text(old)
    for path, here in (("/etc/chainops", founded.host("db-w")), ("/root", founded.directory)):
        commands = commands.replace(path, str(here))
    subprocess.run(["/bin/sh", "-eu", "-c", commands], check=True)
    status, output = founded.run()
    assert status == 0, output
    new = (founded.host("db-w") / "ca" / "new.pem").read_text()
    assert founded.trusted("db-a") == founded.trusted("db-w") == new + old
    assert (founded.host("db-a") / "tls" / "host.key").read_text() == key
    status, output = founded.run("-e", '{"host_certificate_renew": true}')
    assert status == 0, output
    for name in HOSTS:
        tls, trust = founded.host(name) / "tls", founded.host("db-w") / "ca" / "new.pem"
        subprocess.run(["openssl", "verify", "-x509_strict", "-CAfile", trust, tls / "host.pem"], check=True)


def test_a_person_may_found_another_with_all_hosts(founded: Site) -> None:
    before = founded.trusted("db-a")
    founded.rebuild("db-w")
    status, _output = founded.run("-e", '{"host_certificate_renew": true}')
    assert status == 0
    assert founded.trusted("db-a") == founded.trusted("db-w") == founded.authority() != before
