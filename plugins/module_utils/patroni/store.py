# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A cluster's state in etcd, through its JSON gateway: who is alive in it, and its removal once nobody is."""

from __future__ import annotations

import base64
import json
import time
import typing as t
from dataclasses import dataclass

from .local import Local
from .rest import Rest, RestError

POLL_SECONDS = 1.0


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def below(prefix: str) -> dict[str, str]:
    """All keys that begin with this, which ends in a slash."""
    return {"key": coded(prefix), "range_end": coded(prefix[:-1] + chr(ord("/") + 1))}


def decoded(text: str) -> str:
    return base64.b64decode(text).decode("utf-8", "replace")


@dataclass(frozen=True)
class State:
    """What is below the cluster's prefix, by name."""

    values: dict[str, str]

    @property
    def leader(self) -> str:
        return self.values.get("leader", "")

    @property
    def alive(self) -> list[str]:
        """Members whose Patroni has said something within the lease."""
        return sorted(name.removeprefix("members/") for name in self.values if name.startswith("members/"))

    @property
    def paused(self) -> bool:
        try:
            return bool(json.loads(self.values.get("config", "{}")).get("pause"))
        except (ValueError, AttributeError):
            return False


class Store:
    def __init__(self, local: Local) -> None:
        self.local = local

    def ask(self, path: str, body: dict[str, t.Any]) -> dict[str, t.Any]:
        """The answer of the first voter that has one; it is agreed upon by a quorum."""
        trouble = RestError("no voter of etcd is named")
        for host, port in self.local.etcd_at:
            try:
                rest = Rest(host, port, **self.local.etcd_tls)
                status, text = rest.request("POST", path, body)
                if status == 200:
                    return rest.parsed(path, text)
                trouble = RestError(f"POST {rest.where}{path} is answered with status {status}: {text[:200].strip()}")
            except RestError as error:
                trouble = error
        raise trouble

    def read(self) -> State:
        found = self.ask("/v3/kv/range", below(self.local.prefix)).get("kvs") or []
        return State({decoded(each["key"]).removeprefix(self.local.prefix): decoded(each["value"]) for each in found})

    def remove(self) -> bool:
        """All of it in one step, and only if nobody leads and no member is alive: their keys end with their lease."""
        # "Version 0" of a key, or of each key below another, is that there is none.
        none = {"target": "VERSION", "result": "EQUAL", "version": "0"}
        leads = {**none, "key": coded(f"{self.local.prefix}leader")}
        alive = {**none, **below(f"{self.local.prefix}members/")}
        gone = [{"request_delete_range": below(self.local.prefix)}]
        return bool(self.ask("/v3/kv/txn", {"compare": [leads, alive], "success": gone}).get("succeeded"))


def forget(store: Store, timeout: float) -> bool:
    """Remove the state as soon as nobody is alive in it; whether there was any."""
    end = time.monotonic() + timeout
    while True:
        state = store.read()
        if not state.values:
            return False
        if not state.leader and not state.alive and store.remove():
            return True
        if time.monotonic() >= end:
            state = store.read()
            who = ", ".join(state.alive) or state.leader or "somebody"
            raise RestError(
                f"{who} is alive in the state of the cluster {store.local.scope} after {timeout:g} s: "
                "stop Patroni there; the state was not touched"
            )
        time.sleep(POLL_SECONDS)
