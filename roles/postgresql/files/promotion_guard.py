# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Patroni's pre_promote: ends with 0 once the former primary can acknowledge nothing that this member does not have.

    python3 promotion_guard.py /etc/patroni/config.yml

Patroni elects by asking the voters how far they are. If the former primary is alive and only its Patroni is not, voters
may go on to confirm its commits after they were asked, and those would be lost. So before the promotion, while the lock
is held already, this waits until as many voters as the quorum needs follow this member, and no longer the former
primary, and compares positions once more. From then on the former primary lacks the standbys for an
acknowledgement; until the promotion only this member can give the last one, and it keeps what it confirms.

It ends with 1, and another member is elected, if that does not come about in time. An operator who wants a primary at
any price turns synchronous_mode off (patronictl edit-config), which the guard sees.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import queue
import ssl
import sys
import threading
import time
import typing as t
import urllib.parse

import yaml

PATIENCE_S = 15
INTERVAL_S = 0.1
REQUEST_S = 2


class Unknown(Exception):
    """Somebody does not answer."""


def fetch(url: str, tls: ssl.SSLContext, body: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
    """A JSON object; Patroni answers 503 while its PostgreSQL does not run."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=REQUEST_S, context=tls)
    try:
        text = None if body is None else json.dumps(body)
        connection.request("GET" if body is None else "POST", parts.path, text)
        found = json.loads(connection.getresponse().read(1 << 22))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unknown(f"{url}: {error or type(error).__name__}") from None
    finally:
        connection.close()
    if not isinstance(found, dict):
        raise Unknown(f"{url}: no object")
    return found


class Store:
    """The cluster's keys in etcd, through its JSON gateway."""

    def __init__(self, config: dict[str, t.Any], tls: ssl.SSLContext) -> None:
        self.prefix = f"/{config['namespace'].strip('/')}/{config['scope']}/"
        self.hosts, self.tls = config["etcd3"]["hosts"], tls

    def read(self) -> dict[str, dict[str, t.Any]]:
        """Everything below the prefix that is a JSON object; read through the leader of etcd, never stale."""
        end = self.prefix[:-1] + chr(ord("/") + 1)
        body = {
            name: base64.b64encode(text.encode()).decode() for name, text in (("key", self.prefix), ("range_end", end))
        }
        found = {}
        for each in self.ask(body).get("kvs", []):
            try:
                value = json.loads(base64.b64decode(each["value"]))
            except ValueError:
                continue
            if isinstance(value, dict):
                found[base64.b64decode(each["key"]).decode().removeprefix(self.prefix)] = value
        return found

    def ask(self, body: dict[str, t.Any]) -> dict[str, t.Any]:
        """The first answer of any endpoint. All are asked at once: the host that has just died may be one of them."""
        answers: queue.SimpleQueue[dict[str, t.Any] | Unknown] = queue.SimpleQueue()
        for host in self.hosts:
            threading.Thread(target=self.ask_one, args=(host, body, answers), daemon=True).start()
        trouble: object = "no etcd"
        until = time.monotonic() + REQUEST_S
        for _each in self.hosts:
            try:
                answer = answers.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if isinstance(answer, dict) and "header" in answer:
                return answer
            trouble = answer
        raise Unknown(f"etcd: {trouble}")

    def ask_one(self, host: str, body: dict[str, t.Any], answers: queue.SimpleQueue[t.Any]) -> None:
        try:
            answers.put(fetch(f"https://{host}/v3/kv/range", self.tls, body))
        except Unknown as error:
            answers.put(error)


def position(status: dict[str, t.Any]) -> int:
    xlog = status.get("xlog") or {}
    return max(xlog.get("received_location") or 0, xlog.get("replayed_location") or 0, xlog.get("location") or 0)


def has_ended(status: dict[str, t.Any]) -> bool:
    """Whether a former primary says that it is none any more; one that cannot ask its PostgreSQL says "unknown"."""
    return status.get("role") in ("replica", "demoted") or status.get("state") in ("stopped", "crashed", "start failed")


def following(mine: dict[str, t.Any]) -> set[str]:
    """Who streams from this member. One that streams from nobody might try the former primary again."""
    streams = [each for each in mine.get("replication") or [] if each.get("state") in ("streaming", "catchup")]
    return {str(each.get("application_name")) for each in streams}


class Guard:
    def __init__(self, config: dict[str, t.Any]) -> None:
        api = config["restapi"]
        tls = ssl.create_default_context(cafile=api["cafile"])
        tls.load_cert_chain(api["certfile"], api["keyfile"])
        self.tls, self.name, self.store = tls, config["name"], Store(config, tls)
        self.watched: set[str] = set()
        self.ended = False

    def status(self, keys: dict[str, dict[str, t.Any]], name: str) -> dict[str, t.Any]:
        url = (keys.get(f"members/{name}") or {}).get("api_url")
        if not url:
            raise Unknown(f"{name} is in no key")
        return fetch(url, self.tls)

    def obstacle(self) -> str:
        """What speaks against a promotion now; empty if nothing does."""
        keys = self.store.read()
        sync = keys.get("sync") or {}
        mode = str(keys.get("config", {}).get("synchronous_mode", "")).lower()
        former = sync.get("leader")
        if mode != "quorum" or not former or former == self.name:
            return ""  # nothing was promised, or it was promised by this member itself
        voters = {name for name in (sync.get("sync_standby") or "").split(",") if name}
        needed = int(sync.get("quorum") or 0) + (0 if self.name in voters else 1)
        followers = following(self.status(keys, self.name)) & voters
        behind = [f"{name} does not follow" for name in sorted(voters - followers - {self.name})]
        reached: dict[str, int] = {}
        for name in sorted(followers):
            try:
                # read after it follows, so that it no longer grows by the former primary
                reached[name] = position(self.status(keys, name))
            except Unknown as error:
                behind.append(str(error))
        mine = position(self.status(keys, self.name)) if reached else 0
        here = [name for name, where in reached.items() if where <= mine]
        behind += [f"{name} is ahead" for name in reached if name not in here]
        if len(here) >= needed:
            return ""
        self.watch(former, (keys.get(f"members/{former}") or {}).get("api_url", ""))
        return "" if self.ended else f"{len(here)} of {needed} voters follow: {'; '.join(behind)}"

    def watch(self, former: str, url: str) -> None:
        """Asks the former primary meanwhile. It is most likely dead, and nobody waits for its answer."""
        if url and former not in self.watched:
            self.watched.add(former)
            threading.Thread(target=self.ask, args=(url,), daemon=True).start()

    def ask(self, url: str) -> None:
        while not self.ended:
            with contextlib.suppress(Unknown):  # frozen or cut off, and perhaps alive
                self.ended = has_ended(fetch(url, self.tls))
            time.sleep(INTERVAL_S)


def main() -> int:
    with open(sys.argv[1], encoding="utf-8") as file:
        guard = Guard(yaml.load(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))  # twice as fast
    until = time.monotonic() + PATIENCE_S
    obstacle = ""
    while time.monotonic() < until:
        try:
            obstacle = guard.obstacle()
        except Unknown as error:
            obstacle = str(error)
        if not obstacle:
            return 0
        time.sleep(INTERVAL_S)
    print(f"not promoted: {obstacle}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
