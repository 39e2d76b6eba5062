# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Three members on this machine, as far as a restore in place sees them.

The playbook, its filter and its modules are the real ones, in a copy of the collection; ``unit`` needs no systemd
there, and its Patroni clones from whoever leads, or takes the lead where nobody does. etcd answers over TLS, of what is
on disk.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import operation
from tests.support.etcd_gateway import Etcd
from tests.support.pgbackrest import Fake
from tests.unit.plugins.modules.patroni_site import certificates
from tests.unit.plugins.modules.test_pgbackrest_restore import PSQL

ROOT = Path(__file__).parents[3]
MEMBERS = ("db-a", "db-b", "db-c")
# Patroni of one host: it runs, leads, and has data, as files say.
UNIT = """
import os, shutil
from pathlib import Path
from ansible.module_utils.basic import AnsibleModule

def main():
    module = AnsibleModule({name: {"type": "raw"} for name in ("name", "state")}, supports_check_mode=True)
    host, state = Path(os.environ["SIMULATED_HOST"]), module.params["state"]
    running, leader = host / "running", host.parent / "leader"
    changed = running.exists() != (state == "started")
    if changed and not module.check_mode:
        with open(host.parent / "log", "a") as log:
            log.write(f"{state} {host.name}\\n")
        if state == "stopped":
            running.unlink()
            if leader.exists() and leader.read_text() == host.name:
                leader.unlink()
        else:
            if not leader.exists():
                leader.write_text(host.name)
            if not (host / "17" / "main").exists():
                shutil.copytree(host.parent / leader.read_text() / "17" / "main", host / "17" / "main")
            running.touch()
    module.exit_json(changed=changed)

main()
"""
LEADS = """
import os
from pathlib import Path
from ansible.module_utils.basic import AnsibleModule

def main():
    names = ("address", "port", "ca", "cert", "key", "expected", "wait_whole")
    module = AnsibleModule({name: {"type": "raw"} for name in names}, supports_check_mode=True)
    host = Path(os.environ["SIMULATED_HOST"])
    if not (host.parent / "leader").exists() or (host.parent / "leader").read_text() != host.name:
        module.fail_json(msg="nobody leads")
    module.exit_json(changed=False)

main()
"""


class Disk(Etcd):
    """The cluster's state is what the hosts' files say."""

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        hosts: Path = self.hosts  # type: ignore[attr-defined]  # the server is given it below
        prefix = "/chainops/app/"
        kept = {name: text for name, text in self.values.items() if "/members/" not in name and "/leader" not in name}
        alive = {f"{prefix}members/{path.parent.name}": "{}" for path in hosts.glob("*/running")}
        leads = {f"{prefix}leader": (hosts / "leader").read_text()} if (hosts / "leader").exists() else {}
        self.values = kept | alive | leads
        return super().answer(path, body)


class Site:
    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory, self.hosts = directory, directory / "hosts"
        self.fake = Fake(directory / "bin", monkeypatch)
        self.fake.program("pg_ctl", f"#!/bin/sh\nkill $(cat {directory}/pid)\n")
        self.fake.program("postgres", f"#!/bin/sh\necho $$ > {directory}/pid\nexec sleep 20\n")
        self.fake.program("psql", PSQL)
        self.etcd = Disk(certificates(directory))
        self.etcd.hosts = self.hosts  # type: ignore[attr-defined]  # a server takes what its handlers need
        self.etcd.values["/chainops/app/initialize"] = "77"
        self.unreachable: list[str] = []
        self.fake.program("ssh", "#!/bin/sh\necho 'No route to host' >&2\nexit 255\n")
        for name in MEMBERS:
            (self.data(name) / "global").mkdir(parents=True)
            (self.data(name) / "global" / "pg_control").touch()
            (self.data(name) / "old").write_text(name)
            (self.hosts / name / "running").touch()
            self.etcd.config(self.hosts / name, name, data_dir=str(self.data(name)), bin_dir=str(self.fake.path))
            python = self.hosts / name / "python"
            python.write_text(f'#!/bin/sh\nSIMULATED_HOST={self.hosts / name} exec {sys.executable} "$@"\n')
            python.chmod(0o755)
        (self.hosts / "leader").write_text("db-b")
        self._copy()

    def data(self, name: str) -> Path:
        return self.hosts / name / "17" / "main"

    def kept(self, name: str) -> list[Path]:
        return list(self.data(name).parent.glob("main.*-restore-*"))

    def log(self) -> list[str]:
        """What was started and stopped since it was asked last."""
        path = self.hosts / "log"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines

    def _copy(self) -> None:
        collection = self.directory / "ansible_collections" / "chainops" / "infra"
        for part in ("plugins", "playbooks", "meta"):
            shutil.copytree(ROOT / part, collection / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "galaxy.yml", collection)
        modules = collection / "plugins" / "modules"
        (modules / "unit.py").write_text(UNIT)
        (modules / "patroni_cluster_info.py").write_text(LEADS)
        mark = collection / "plugins" / "module_utils" / "pgbackrest" / "mark.py"
        mark.write_text(mark.read_text().replace('"/var/lib/chainops/pgbackrest"', f'"{self.directory}/journals"'))
        job = modules / "pgbackrest_restore.py"
        changed = job.read_text().replace('"default": "postgres"}', '"default": ""}')
        job.write_text(changed.replace('"/run/chainops-restore"}', f'"{self.directory}/run"}}'))

    def restore(self, *arguments: str, **more: Any) -> tuple[int, str]:
        """Exit status and output of the playbook."""
        shared = {"ansible_connection": "local", "ansible_become": False, "pgbackrest_stanza": "main"}
        hosts = {
            name: {
                "ansible_python_interpreter": str(self.hosts / name / "python"),
                "postgresql_restore_patroni_config": str(self.hosts / name / f"{name}.yml"),
                **({"ansible_connection": "ssh"} if name in self.unreachable else {}),
            }
            for name in MEMBERS
        }
        groups = {"postgresql": {"hosts": dict.fromkeys(MEMBERS, {})}}
        inventory = {"all": {"vars": shared, "hosts": hosts, "children": groups}}
        (self.directory / "inventory.json").write_text(json.dumps(inventory))
        (self.directory / "ansible.cfg").write_text("[connection]\npipelining = true\n")
        given = {
            "postgresql_restore_to": "cluster",
            "postgresql_restore_type": "time",
            "postgresql_restore_target": "2026-12-05 02:10:00+00",
            "postgresql_restore_confirm": "main",
            "ansible_ssh_executable": str(self.fake.path / "ssh"),
            "ansible_ssh_retries": 0,
            **more,
        }
        return operation.run(self.directory, "postgresql_restore", *arguments, variables=given)
