# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sample nodes of a chain and write what they say to InfluxDB, in batches, through times when it does not answer.

  chain_metrics.py /etc/chain_metrics/config.json

One line a source and round:
  chain,node=eth-a,region=east up=true,block=12i,gas_used=21000i,base_fee_wei=7i,head_age_s=1.2,… <milliseconds>
"""

from __future__ import annotations

import collections
import concurrent.futures
import itertools
import json
import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from influxdb.client import Client, InfluxError

BATCH = 5000
MOST_PATIENCE = 60.0
# What the database holds as a whole number has 64 bits.
LARGEST = 2**63 - 1
BLOCK = {
    "number": "block",
    "gasUsed": "gas_used",
    "gasLimit": "gas_limit",
    "baseFeePerGas": "base_fee_wei",
}
Fields = dict[str, int | float | bool]


def get(url: str, body: Any = None, timeout: float = 3.0) -> Any:
    """JSON from a node; whatever goes wrong is an OSError or a ValueError."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=timeout) as answer:
        return json.loads(answer.read(1 << 24))


def execution(url: str, now: float) -> Fields:
    """The head of an execution client and its peers, in one request."""
    calls = [("eth_getBlockByNumber", ["latest", False]), ("net_peerCount", [])]
    asked = [{"jsonrpc": "2.0", "id": i, "method": name, "params": given} for i, (name, given) in enumerate(calls)]
    answers = {answer["id"]: answer["result"] for answer in get(url, asked)}
    block = answers[0]
    found: Fields = {name: int(block[key], 16) for key, name in BLOCK.items() if block.get(key)}
    found["transactions"] = len(block.get("transactions") or [])
    found["head_age_s"] = round(now - int(block["timestamp"], 16), 3)
    found["peers"] = int(answers[1], 16)
    return found


def consensus(url: str) -> Fields:
    peers = get(f"{url.rstrip('/')}/eth/v1/node/peer_count")["data"]
    syncing = get(f"{url.rstrip('/')}/eth/v1/node/syncing")["data"]
    return {
        "consensus_peers": int(peers["connected"]),
        "head_slot": int(syncing["head_slot"]),
        "sync_distance": int(syncing["sync_distance"]),
    }


def sample(source: dict[str, str], now: float) -> Fields:
    """All that one node says; a client that does not answer leaves out its part, and up tells which node is whole."""
    found: Fields = {}
    up = True
    for ask in (lambda: execution(source["execution_url"], now), lambda: consensus(source["consensus_url"])):
        try:
            found |= ask()
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            up = False
    return {"up": up} | found


def escaped(text: str) -> str:
    for character in (",", "=", " "):
        text = text.replace(character, f"\\{character}")
    return text


def line(measurement: str, tags: dict[str, str], fields: Fields, now: float) -> str:
    """Line protocol. A number that was whole once stays so: the database refuses a field that changes its type."""
    shown = []
    for key, value in fields.items():
        if isinstance(value, bool):
            shown.append(f"{key}={str(value).lower()}")
        elif isinstance(value, int):
            shown.append(f"{key}={min(value, LARGEST)}i")
        else:
            shown.append(f"{key}={value!r}")
    named = "".join(f",{escaped(key)}={escaped(value)}" for key, value in sorted(tags.items()) if value)
    return f"{escaped(measurement)}{named} {','.join(shown)} {int(now * 1000)}"


class Writer:
    """A queue with an end: while the server does not answer the oldest points go first when it is full."""

    def __init__(self, client: Client, database: str, policy: str, limit: int) -> None:
        self.client, self.database, self.policy = client, database, policy
        self.queue: collections.deque[str] = collections.deque(maxlen=limit)
        self.dropped = 0
        self._patience, self._next = 1.0, 0.0

    def add(self, text: str) -> None:
        self.dropped += len(self.queue) == self.queue.maxlen
        self.queue.append(text)

    def flush(self, now: float) -> None:
        """Send all that is queued; after a failure not again before some seconds, each time more."""
        if now < self._next:
            return
        while self.queue:
            batch = [self.queue[i] for i in range(min(BATCH, len(self.queue)))]
            try:
                self.client.write("\n".join(batch).encode(), self.database, self.policy, "ms")
            except InfluxError as error:
                # 400: the server will never take these points, whatever the reason; all else may pass
                if error.status != 400:
                    self._fail(now, str(error))
                    return
                sys.stderr.write(f"<3>{len(batch)} points are refused: {error}\n")
                self.dropped += len(batch)
            for _ in batch:
                self.queue.popleft()
            self._patience = 1.0

    def _fail(self, now: float, why: str) -> None:
        sys.stderr.write(f"<4>{len(self.queue)} points wait {self._patience:.0f} s: {why}\n")
        self._next = now + self._patience
        self._patience = min(self._patience * 2, MOST_PATIENCE)


def run(config: dict[str, Any], ended: threading.Event) -> None:
    credentials = os.environ.get("CREDENTIALS_DIRECTORY", "")
    password_file = str(Path(credentials, "password")) if credentials else config["password_file"]
    client = Client(config["url"], config["user"], password_file, config["ca_path"], timeout=10)
    writer = Writer(client, config["database"], config["policy"], config["queue"])
    with concurrent.futures.ThreadPoolExecutor(min(16, len(config["sources"]))) as pool:
        while not ended.is_set():
            began, now = time.monotonic(), time.time()
            found = pool.map(sample, config["sources"], itertools.repeat(now))
            for source, fields in zip(config["sources"], found, strict=True):
                writer.add(line("chain", config["tags"] | {"node": source["name"]}, fields, now))
            own: Fields = {"queued": len(writer.queue), "dropped": writer.dropped}
            writer.add(line("chain_metrics", config["tags"] | {"host": config["host"]}, own, now))
            writer.flush(time.monotonic())
            ended.wait(max(0.0, began + config["interval"] - time.monotonic()))
        writer.flush(float("inf"))


def main(path: str) -> int:
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        run(json.loads(Path(path).read_text(encoding="utf-8")), ended)
    except InfluxError as error:
        # the password's file or the authority's cannot be read: nothing that waiting mends
        sys.stderr.write(f"<3>{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
