# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A site of three pairs on this machine, as far as an upgrade sees it: releases are real, clients and daemons are not.

The playbook and its modules are the real ones, in a copy of the collection in which the roles of the clients only
install their release and start it, ``unit`` needs no systemd, and nobody gathers facts.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support import operation

ROOT = Path(__file__).parents[3]
PAIRS = {"eth-r": "reference", "eth-s": "standby", "eth-p": "primary"}
BINARY = b"#!/bin/sh\nexit 0\n"

# what a version does once it is installed, in this test's world
DIES, UNFIT, OTHER_FORK = "9.1.0", "9.2.0", "9.3.0"
FORK = {"activationTime": 0, "chainId": "0x7e7e", "forkId": "0xaaaaaaaa", "blobSchedule": None}

CLIENT_TASKS = """
- name: Install {client}
  chainops.infra.release:
    name: {client}
    version: "{{{{ {client}_version }}}}"
    url: "{{{{ simulated_url }}}}"
    checksum: "{{{{ simulated_checksum }}}}"
    archive: none
    binaries: [{client}]
- name: Run {client}
  chainops.infra.unit:
    name: {client}.service
"""
UNIT = """
from ansible.module_utils.basic import AnsibleModule
from pathlib import Path

def main():
    names = dict.fromkeys(("name", "state", "enabled", "release"), {})
    module = AnsibleModule({name: {"type": "raw"} for name in names}, supports_check_mode=True)
    base = Path(ROOT_DIRECTORY) / module.params["name"].removesuffix(".service")
    current, started = (base / "current").readlink().name, base / "started"
    changed = not started.exists() or started.read_text() != current
    if changed and not module.check_mode:
        started.write_text(current)
        if current == "DIES":
            module.fail_json(msg=f"{module.params['name']} ended with status 1 right after its start")
    module.exit_json(changed=changed)

main()
"""
PREFLIGHT = """
from ansible.plugins.action import ActionBase

class ActionModule(ActionBase):
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        return {"changed": False}
"""


class Pair:
    """The daemon and geth's RPC of one pair, both of which know the world from what is installed."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name, self.directory = name, directory
        self.drain: dict[str, Any] | None = None
        self.told: Callable[[str], None] = lambda _event: None
        pair = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def body(self) -> bytes:
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))

            def do_GET(self) -> None:
                self.say(BINARY if self.path == "/binary" else json.dumps(pair.status()).encode())

            def do_POST(self) -> None:
                wish = json.loads(self.body())
                if self.path != "/drain":
                    self.say(json.dumps({"jsonrpc": "2.0", "id": wish["id"], "result": pair.forks()}).encode())
                    return
                pair.drain = wish | {"since": 1.0}
                pair.told("drained")
                self.do_GET()

            def do_DELETE(self) -> None:
                pair.drain = None
                pair.told("back")
                self.do_GET()

            def say(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def version(self, client: str = "geth") -> str:
        return (self.directory / client / "current").readlink().name

    @property
    def running(self) -> str:
        return (self.directory / "geth" / "started").read_text()

    def forks(self) -> dict[str, Any]:
        return {"current": FORK | ({"forkId": "0xbbbbbbbb"} if self.running == OTHER_FORK else {}), "next": None}

    def status(self) -> dict[str, Any]:
        good = self.running not in (DIES, UNFIT)
        state = "healthy" if good else "unfit"
        return {
            "in_service": good and not self.drain,
            "admitted": good,
            "state": state,
            "reason": state,
            "drain": self.drain,
        }

    def install(self, client: str, version: str) -> None:
        """As the module ``release`` would have left it."""
        place = self.directory / client / version
        place.mkdir(parents=True)
        (place / client).write_bytes(BINARY)
        (place / client).chmod(0o755)
        sums = {client: {"sha256": hashlib.sha256(BINARY).hexdigest(), "size": len(BINARY)}}
        (place / ".release.json").write_text(json.dumps({"format": 1, "version": version, "binaries": sums}))
        (self.directory / client / "current").symlink_to(version)
        (self.directory / client / "started").write_text(version)


class Site:
    """Three pairs with geth 1.0.0 and prysm 6.0.0, and the playbook."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.pairs = {name: Pair(name, directory / "hosts" / name) for name in PAIRS}
        self.events: list[tuple[str, str]] = []
        self.most_drained = 0
        for name, pair in self.pairs.items():
            pair.install("geth", "1.0.0")
            pair.install("prysm", "6.0.0")
            pair.told = lambda event, name=name: self._note(name, event)
        self._copy()
        self._describe()

    def close(self) -> None:
        for pair in self.pairs.values():
            pair.server.shutdown()
            pair.server.server_close()

    def _note(self, name: str, event: str) -> None:
        self.events.append((name, event))
        self.most_drained = max(self.most_drained, sum(bool(pair.drain) for pair in self.pairs.values()))

    def _copy(self) -> None:
        collection = self.directory / "ansible_collections" / "chainops" / "infra"
        for part in ("plugins", "roles", "playbooks"):
            shutil.copytree(ROOT / part, collection / part, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("galaxy.yml", "meta"):
            if (ROOT / name).is_file():
                shutil.copy(ROOT / name, collection / name)
            elif (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, collection / name)
        for client in ("geth", "prysm", "lighthouse"):
            (collection / "roles" / client / "tasks" / "main.yml").write_text(CLIENT_TASKS.format(client=client))
            (collection / "roles" / client / "meta" / "argument_specs.yml").unlink()
        (collection / "plugins" / "action" / "preflight.py").write_text(PREFLIGHT)
        # each pair has a directory of its own, which its connection's HOME names
        unit = UNIT.replace("ROOT_DIRECTORY", "__import__('os').environ['SIMULATED_ROOT']").replace(
            '"DIES"', repr(DIES)
        )
        (collection / "plugins" / "modules" / "unit.py").write_text(unit)
        for module in ("release", "release_info"):
            path = collection / "plugins" / "modules" / f"{module}.py"
            changed = path.read_text().replace(
                '"default": "/opt/chainops"}', '"default": os.environ["SIMULATED_ROOT"]}'
            )
            assert "SIMULATED_ROOT" in changed
            path.write_text(changed.replace("from pathlib import Path", "import os\nfrom pathlib import Path", 1))

    def _describe(self) -> None:
        shared = {
            "ansible_connection": "local",
            "ansible_become": False,
            "ansible_python_interpreter": sys.executable,
            "geth_version": "1.0.0",
            "prysm_version": "6.0.0",
            "geth_releases": {
                version: {"rollback_to": ["1.0.0"]} for version in ("1.0.0", "2.0.0", DIES, UNFIT, OTHER_FORK)
            },
            "simulated_checksum": f"sha256:{hashlib.sha256(BINARY).hexdigest()}",
        }
        hosts = {
            name: {
                "ansible_host": "127.0.0.1",
                "site_role": PAIRS[name],
                "geth_http_port": pair.port,
                "chain_health_http_port": pair.port,
                "simulated_url": f"http://127.0.0.1:{pair.port}/binary",
            }
            for name, pair in self.pairs.items()
        }
        names = list(PAIRS)
        # primary and standby in this order: the playbook has to turn it round
        groups = {
            "ethereum_serving": {"hosts": {"eth-p": {}, "eth-s": {}}},
            "ethereum_reference": {"hosts": {"eth-r": {}}},
        }
        inventory = {
            "all": {
                "vars": shared,
                "hosts": hosts,
                "children": {"ethereum": {"children": groups}, "prysm": {"hosts": dict.fromkeys(names, {})}},
            }
        }
        (self.directory / "ansible.cfg").write_text("[connection]\npipelining = true\n")
        (self.directory / "inventory.json").write_text(json.dumps(inventory))

    def upgrade(self, *arguments: str, **variables: Any) -> tuple[int, str]:
        """Exit status and output of the playbook."""
        playbook = self.directory / "ansible_collections/chainops/infra/playbooks/operations/rolling_upgrade.yml"
        text = playbook.read_text()
        # local hosts share an environment: it is told apart by the play
        marked = re.sub(
            r"(?m)^- name: Upgrade the pairs, one at a time$",
            rf"\g<0>\n  environment: {{SIMULATED_ROOT: '{self.directory}/hosts/{{{{ inventory_hostname }}}}'}}",
            text,
        )
        if "SIMULATED_ROOT" not in text:
            playbook.write_text(marked.replace('"distribution", "hardware", "network"]', '"python"]'))
        given = {"upgrade_settle": 1, "upgrade_timeout": 3, "upgrade_drain_s": 1} | variables
        return operation.run(self.directory, "rolling_upgrade", *arguments, variables=given)
