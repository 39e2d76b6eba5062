"""What a failover case has at hand: the site, its faults, a load through its addresses, and what the daemons say."""

from __future__ import annotations

import json
import math
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from ansible_collections.chainops.infra.plugins.module_utils.faults.core import Faults

from tests.lab.load import record as records
from tests.lab.load.run import Load
from tests.lab.results import RESULTS
from tests.lab.site import Site

BASE = ".".join(os.environ.get("LAB_NETWORK", "10.87.0.0/16").split(".")[:2])
EAST, WEST = f"{BASE}.1.100", f"{BASE}.2.100"
PAIRS = {"eth-a": f"{BASE}.1.11", "eth-b": f"{BASE}.2.11", "eth-c": f"{BASE}.3.11", "eth-d": f"{BASE}.3.12"}
SERVING = ("eth-a", "eth-b")
EAST_HOSTS = ("eth-a", "lb-a1", "lb-a2")

# Seconds a case goes on under load after the policy's age has passed.
MARGIN = 15.0


class World:
    """The running lab. ``faults`` undoes whatever a case leaves behind."""

    def __init__(self, site: Site, faults: Faults, full_length: bool) -> None:
        self.site = site
        self.faults = faults
        self.full_length = full_length

    # --- what the site says of itself

    def status(self, host: str) -> dict[str, Any]:
        """The daemon's own word on its pair; empty where it does not answer within a second."""
        try:
            with urllib.request.urlopen(f"http://{PAIRS[host]}:8740/status", timeout=1) as answer:
                return json.load(answer)
        except (OSError, ValueError):
            return {}

    def admitted(self, host: str) -> bool:
        """Whether the balancers are told to use the pair."""
        try:
            with urllib.request.urlopen(f"http://{PAIRS[host]}:8740/health", timeout=1) as answer:
                return answer.status == 200
        except (OSError, urllib.error.HTTPError):
            return False

    @cached_property
    def policy_age(self) -> float:
        """Seconds after which the policy calls a head stale, read from a running daemon."""
        policy = self.status("eth-a")["policy"]
        return policy["max_age_slots"] * policy["slot_seconds"]

    @property
    def hold(self) -> float:
        """How long a case keeps its fault under load."""
        return self.policy_age + MARGIN

    def rpc(self, host: str, method: str, *params: Any) -> Any:
        """One JSON-RPC call to a pair itself, past the balancers."""
        return call(f"http://{PAIRS[host]}:8545", method, *params)

    # --- waiting

    def until(self, what: str, holds: Callable[[], bool], timeout: float, interval: float = 0.2) -> float:
        """Seconds until it holds; AssertionError names what did not come."""
        started = time.monotonic()
        while time.monotonic() - started < timeout:
            if holds():
                return time.monotonic() - started
            time.sleep(interval)
        raise AssertionError(f"{what}: not within {timeout:g} s; pairs say {self.pairs_say()}")

    def pairs_say(self) -> dict[str, str]:
        """Every serving pair's verdict in a line, for messages."""
        found = {}
        for host in SERVING:
            status = self.status(host)
            found[host] = (
                f"{status.get('state', 'no answer')} ({status.get('reason') or status.get('obstacle') or '-'})"
            )
        return found

    def wait_admitted(self, host: str, timeout: float = 120) -> float:
        """Seconds until the pair is in service."""
        return self.until(f"{host} in service", lambda: self.admitted(host), timeout)

    def wait_out(self, host: str, timeout: float = 60) -> float:
        """Seconds until the pair is out of service."""
        return self.until(f"{host} out of service", lambda: not self.admitted(host), timeout)

    def wait_serving(self, address: str, node: str = "", balancer: str = "", timeout: float = 60) -> float:
        """Seconds until an address answers, by this node or this balancer where named."""

        def answers() -> bool:
            who = who_answers(address)
            return bool(who) and (not node or who[0] == node) and (not balancer or who[1] == balancer)

        return self.until(
            f"{address} answered by {node or 'any node'} through {balancer or 'any balancer'}", answers, timeout
        )

    def recover(self, host: str) -> int:
        """Wait until a pair is in service again; 1 if it had to begin from nothing for that, else 0.

        After a power cut Prysm may find its own database broken ("failed to unmarshal encoding: incorrect size"). That
        is an open bug of it, OffchainLabs/prysm#11781, and only a new sync helps.
        """
        try:
            self.wait_admitted(host, 150)
        except AssertionError:
            if "incorrect size" not in self.site.run(host, "journalctl", "-u", "prysm", "-n", "200").stdout:
                raise
            self.wipe(host)
            self.wait_admitted(host, 300)
            return 1
        return 0

    def wipe(self, host: str) -> None:
        """The pair begins again from nothing, and fetches the chain from its peers."""
        for unit in ("prysm", "geth"):
            self.site.run(host, "systemctl", "stop", unit, timeout=330)
        self.site.run(host, "rm", "-rf", "/var/lib/geth/geth", "/var/lib/prysm/beaconchaindata")
        # one that could not start with its broken data has used up its starts
        self.site.run(host, "systemctl", "reset-failed", check=False)
        for unit in ("geth", "prysm"):
            self.site.run(host, "systemctl", "start", unit, timeout=330)

    def settle(self) -> None:
        """The state every case begins in: both pairs in service, each address on its own region's pair."""
        for host in SERVING:
            self.recover(host)
        # a pair that has just come back may be in service and still have a little to catch up with
        self.until("both pairs well", lambda: all(self.status(host).get("state") == "healthy" for host in SERVING), 120)
        self.wait_serving(EAST, "eth-a")
        self.wait_serving(WEST, "eth-b")

    # --- load

    @contextmanager
    def load(self, name: str, *addresses: str, rate: float = 200.0) -> Iterator[Load]:
        """A constant load through the addresses (the east one by default), running inside the block."""
        urls = [f"http://{address}:8545" for address in addresses or (EAST,)]
        trace = RESULTS / "failover" / f"{name}.jsonl"
        trace.parent.mkdir(parents=True, exist_ok=True)
        with Load(urls, trace, rate) as running:
            running.wait_started()
            time.sleep(2)
            yield running

    def figures(self, running: Load, fault_at: float, healed_at: float = math.inf) -> dict[str, float]:
        """The load's figures, with the time from the fault to the last answer that eth-a gave before it was healed."""
        last = records.last_answer_from(running.records(), "eth-a", after=fault_at - 5, before=healed_at)
        detection = max(0.0, last - fault_at) if last else 0.0
        return dict(running.figures) | {"detection_s": round(detection, 3)}


def call(url: str, method: str, *params: Any, timeout: float = 5.0) -> Any:
    """One JSON-RPC call's result; RuntimeError for a JSON-RPC error."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        document = json.load(answer)
    if "error" in document:
        raise RuntimeError(f"{url} {method}: {document['error']}")
    return document["result"]


def who_answers(address: str) -> tuple[str, str] | None:
    """(node, balancer) of one answer at an address, from the headers that the lab's balancers add."""
    body = b'{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}'
    request = urllib.request.Request(f"http://{address}:8545", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=1) as answer:
            return answer.headers.get("x-node", ""), answer.headers.get("x-balancer", "")
    except OSError:
        return None


def result_path(name: str) -> Path:
    """Where a case may keep a file of its own."""
    return RESULTS / "failover" / name
