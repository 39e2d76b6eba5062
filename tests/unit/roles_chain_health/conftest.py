# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A site of fake clients on loopback, and the daemon beside one of them."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.chain_daemon import config as configuration
from ansible_collections.chainops.infra.plugins.module_utils.chain_daemon.daemon import Daemon

from tests.unit.plugins.module_utils.chain.servers import Node
from tests.unit.plugins.module_utils.chain.world import CHAIN_ID

SLOT = 1.0


class Site:
    """A pair and two references whose heads follow the clock, one block a second; ``chain`` stops all of them."""

    def __init__(self):
        self.genesis = int(time.time()) - 2000
        self.pair, self.a, self.b = self.nodes = [Node(), Node(), Node()]
        self.moving = set(self.nodes)
        for node in self.nodes:
            node._block = self._block_of(node)
        self._stop = threading.Event()
        self._move()
        threading.Thread(target=self._run, daemon=True).start()

    def _block_of(self, node):
        def block(number):
            if number > node.head:
                return None
            return {
                "number": hex(number),
                "hash": node.hash(number),
                "timestamp": hex(int(self.genesis + number * SLOT)),
            }

        return block

    def slot(self):
        return int((time.time() - self.genesis) / SLOT)

    def _move(self):
        for node in self.nodes:
            node.slot = self.slot()
            if node in self.moving:
                node.head = self.slot()

    def _run(self):
        while not self._stop.wait(0.02):
            self._move()

    def close(self):
        self._stop.set()
        for node in self.nodes:
            node.close()


@pytest.fixture
def site():
    site = Site()
    yield site
    site.close()


@pytest.fixture
def raw_config(site, tmp_path):
    """The daemon's configuration as its file has it."""
    for name in ("state", "run"):
        (tmp_path / name).mkdir()
    return {
        "execution_url": site.pair.execution.url,
        "consensus_url": site.pair.consensus.url,
        "references": [
            {"name": "a", "execution_url": site.a.execution.url, "consensus_url": site.a.consensus.url},
            {"name": "b", "execution_url": site.b.execution.url, "consensus_url": site.b.consensus.url},
        ],
        "policy": {"slot_seconds": SLOT, "max_age_slots": 3, "max_lag_slots": 3, "admit_age_slots": 2, "repeats": 2},
        "chain_id": CHAIN_ID,
        "clock": "off",
        "http_port": 0,
        "agent_port": 0,
        "interval": 0.3,
        "timeout": 0.3,
        "state_dir": str(tmp_path / "state"),
        "run_dir": str(tmp_path / "run"),
    }


class Running:
    """A daemon in threads of this process."""

    def __init__(self, raw):
        self.daemon = Daemon(configuration.parse(raw))
        self.thread = threading.Thread(target=self.daemon.run, daemon=True)
        self.thread.start()

    def stop(self):
        self.daemon.stop.set()
        self.thread.join(5)

    def http(self, method, path, body=None, timeout=2.0):
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.http_port, timeout=timeout)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def status(self):
        return json.loads(self.http("GET", "/status")[1])

    def health(self):
        return self.http("GET", "/health")[0]

    def agent(self, send=b""):
        """What HAProxy reads."""
        with socket.create_connection(("127.0.0.1", self.daemon.agent_port), 2) as sock:
            if send:
                sock.sendall(send)
            data = b""
            while part := sock.recv(1000):
                data += part
            return data

    def wait(self, wanted, seconds=5.0):
        """Seconds until ``wanted(self)``."""
        start = time.monotonic()
        while time.monotonic() - start < seconds:
            try:
                if wanted(self):
                    return time.monotonic() - start
            except OSError:
                pass
            time.sleep(0.01)
        raise AssertionError(f"not within {seconds} s: {self.status()}")

    def until_up(self, seconds=5.0):
        return self.wait(lambda daemon: daemon.health() == 200, seconds)

    def until_down(self, seconds=10.0):
        return self.wait(lambda daemon: daemon.health() == 503, seconds)


@pytest.fixture
def start(raw_config):
    """Starts daemons, with changes to the configuration."""
    started = []

    def make(**changes):
        started.append(Running(raw_config | changes))
        return started[-1]

    yield make
    for running in started:
        running.stop()
