# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The guard of a promotion against an etcd and members on the wire: when it lets a new primary begin, and when not."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.plugins.modules.patroni_site import certificates
from tests.unit.roles_ethereum.program import load

PROGRAM = Path(__file__).parents[3] / "roles/postgresql/files/promotion_guard.py"
guard = load(PROGRAM)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class Site:
    """db-a led, db-b would; etcd and all members are one server, told apart by the path."""

    def __init__(self, paths: dict[str, str]) -> None:
        self.keys: dict[str, Any] = {
            "config": {"synchronous_mode": "quorum"},
            "sync": {"leader": "db-a", "sync_standby": "db-b,db-c,db-d", "quorum": 2},
        }
        self.members = {name: self.standby(100) for name in ("db-b", "db-c", "db-d")}
        self.members["db-a"] = {"state": "running", "role": "primary", "xlog": {"location": 100}}
        self.members["db-b"]["replication"] = [{"application_name": "db-c", "state": "streaming"}]
        self.silent = {"db-a"}
        self.etcd_error = False
        site = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self, body: dict[str, Any]) -> None:
                text = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if site.etcd_error:
                    self.answer({"error": "etcdserver: no leader", "code": 14})
                    return
                begin, end = (base64.b64decode(asked[name]).decode() for name in ("key", "range_end"))
                found = {f"/chainops/main/{name}": value for name, value in site.all_keys().items()}
                kvs = [
                    {"key": encoded(name), "value": encoded(json.dumps(value))}
                    for name, value in found.items()
                    if begin <= name < end
                ]
                # what Patroni writes besides is no object
                kvs.append({"key": encoded("/chainops/main/leader"), "value": encoded("db-b")})
                self.answer({"header": {}, "kvs": kvs})

            def do_GET(self) -> None:
                name = self.path.strip("/")
                if name in site.silent:
                    time.sleep(3)
                    return
                self.answer(site.members[name])

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=paths["ca"])
        context.load_cert_chain(paths["cert"], paths["key"])
        context.verify_mode = ssl.CERT_REQUIRED
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.server.daemon_threads = True
        self.server.block_on_close = False
        self.port = self.server.server_address[1]
        self.config = {
            "name": "db-b",
            "scope": "main",
            "namespace": "/chainops/",
            "etcd3": {"hosts": ["127.0.0.1:1", f"127.0.0.1:{self.port}"]},
            "restapi": {"cafile": paths["ca"], "certfile": paths["cert"], "keyfile": paths["key"]},
        }
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @staticmethod
    def standby(where: int) -> dict[str, Any]:
        return {
            "state": "running",
            "role": "replica",
            "replication_state": "streaming",
            "xlog": {"received_location": where, "replayed_location": where - 1},
        }

    def all_keys(self) -> dict[str, Any]:
        urls = {f"members/{name}": {"api_url": f"https://127.0.0.1:{self.port}/{name}"} for name in self.members}
        return self.keys | urls

    def follow(self, *names: str) -> None:
        self.members["db-b"]["replication"] = [{"application_name": name, "state": "streaming"} for name in names]

    def obstacle(self) -> str:
        return guard.Guard(self.config).obstacle()


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def site(paths: dict[str, str]) -> Iterator[Site]:
    made = Site(paths)
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_it_waits_for_as_many_followers_as_the_quorum_needs(site: Site) -> None:
    assert site.obstacle() == "1 of 2 voters follow: db-d does not follow"
    site.follow("db-c", "db-d")
    assert site.obstacle() == ""


def test_a_count_of_two_needs_one_follower(site: Site) -> None:
    site.keys["sync"]["quorum"] = 1
    assert site.obstacle() == ""
    site.follow()
    assert "0 of 1" in site.obstacle()


def test_a_member_that_is_no_voter_needs_one_more(site: Site) -> None:
    site.keys["sync"] |= {"sync_standby": "db-c,db-d", "quorum": 1}
    assert "1 of 2" in site.obstacle()
    site.follow("db-c", "db-d")
    assert site.obstacle() == ""


def test_a_voter_that_is_ahead_does_not_count(site: Site) -> None:
    site.follow("db-c", "db-d")
    site.members["db-d"] = site.standby(101)
    assert "db-d is ahead" in site.obstacle()
    site.members["db-b"]["xlog"]["received_location"] = 101
    assert site.obstacle() == ""


def test_followers_that_are_no_voters_do_not_count(site: Site) -> None:
    site.follow("db-c", "db-x", "backup")
    assert "1 of 2" in site.obstacle()


def test_a_follower_that_does_not_answer_does_not_count(site: Site) -> None:
    site.follow("db-c", "db-d")
    del site.members["db-d"]
    assert "db-d is in no key" in site.obstacle()


@pytest.mark.parametrize(
    "status",
    [
        {"state": "running", "role": "replica"},
        {"state": "stopping", "role": "demoted"},
        {"state": "stopped", "role": "primary"},
        {"state": "crashed", "role": "primary"},
    ],
)
def test_a_former_primary_that_has_ended_is_not_waited_for(site: Site, status: dict[str, Any]) -> None:
    site.silent.clear()
    site.members["db-a"] = status
    made = guard.Guard(site.config)
    until = time.monotonic() + 5
    while made.obstacle() and time.monotonic() < until:
        time.sleep(0.05)
    assert made.obstacle() == ""


@pytest.mark.parametrize("status", [{"state": "running", "role": "primary"}, {"state": "unknown", "role": "primary"}])
def test_one_that_may_be_alive_is(site: Site, status: dict[str, Any]) -> None:
    site.silent.clear()
    site.members["db-a"] = status
    made = guard.Guard(site.config)
    assert made.obstacle()
    time.sleep(0.5)
    assert made.obstacle()


def test_where_nothing_was_promised_nothing_is_waited_for(site: Site) -> None:
    site.keys["config"]["synchronous_mode"] = False
    assert site.obstacle() == ""
    site.keys["config"]["synchronous_mode"] = "quorum"
    site.keys["sync"]["leader"] = "db-b"
    assert site.obstacle() == ""
    site.keys.pop("sync")
    assert site.obstacle() == ""


def test_no_endpoint_of_etcd_is_waited_for_while_another_answers(site: Site, paths: dict[str, str]) -> None:
    """One that is frozen takes connections, as its kernel does that; one without a leader answers with an error."""
    other = Site(paths)
    other.etcd_error = True
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        ports = [frozen.getsockname()[1], other.port, site.port]
        site.config["etcd3"]["hosts"] = [f"127.0.0.1:{port}" for port in ports]
        begun = time.monotonic()
        assert site.obstacle() == "1 of 2 voters follow: db-d does not follow"
        assert time.monotonic() - begun < 1
        site.config["etcd3"]["hosts"].pop()
        # whose trouble is named is a matter of milliseconds: the frozen one's timeout may be seen or not
        with pytest.raises(guard.Unknown, match="etcd: "):
            site.obstacle()
        assert time.monotonic() - begun < 4
        site.config["etcd3"]["hosts"] = [f"127.0.0.1:{other.port}"]
        with pytest.raises(guard.Unknown, match="etcd: .*no leader"):
            site.obstacle()
    other.server.shutdown()
    other.server.server_close()


def run(site: Site, folder: Path, patience: float) -> subprocess.CompletedProcess[str]:
    config = folder / "config.yml"
    config.write_text(yaml.safe_dump(site.config), encoding="utf-8")
    code = f"import sys; sys.argv = ['guard', {str(config)!r}]; sys.path.insert(0, {str(PROGRAM.parent)!r}); "
    code += f"import promotion_guard as g; g.PATIENCE_S = {patience}; sys.exit(g.main())"
    command = [sys.executable, "-B", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


def test_the_program_ends_as_patroni_reads_it(site: Site, tmp_path: Path) -> None:
    refused = run(site, tmp_path, 1)
    assert refused.returncode == 1
    assert refused.stderr == "not promoted: 1 of 2 voters follow: db-d does not follow\n"
    late = threading.Timer(0.5, lambda: site.follow("db-c", "db-d"))
    late.start()
    assert run(site, tmp_path, 10).returncode == 0


def test_without_etcd_nobody_is_promoted(site: Site, tmp_path: Path) -> None:
    site.config["etcd3"] = {"hosts": ["127.0.0.1:1"]}
    assert run(site, tmp_path, 0.5).returncode == 1
