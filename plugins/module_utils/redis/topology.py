# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who is master: what Sentinels and servers say, asked all at once, and what follows from it (pure)."""

from __future__ import annotations

import threading
import typing as t
from collections import Counter
from dataclasses import dataclass, field

from .resp import Access, Client, Node, RedisError, Unreachable, info, pairs

T = t.TypeVar("T")


@dataclass(frozen=True)
class Host:
    name: str
    node: Node


@dataclass(frozen=True)
class Watch:
    """What one Sentinel says. ``master`` is None where it watches nothing under this name."""

    name: str
    error: str = ""
    master: Node | None = None
    settings: dict[str, str] = field(default_factory=dict)
    replicas: frozenset[str] = frozenset()

    @property
    def answers(self) -> bool:
        return not self.error


@dataclass(frozen=True)
class Store:
    """What one server says."""

    name: str
    node: Node
    error: str = ""
    role: str = ""
    follows: Node | None = None
    linked: bool = False
    keys: int = 0
    replicas: int = 0

    @property
    def answers(self) -> bool:
        return not self.error

    def is_replica_of(self, master: Node) -> bool:
        return self.role == "replica" and self.follows == master

    @property
    def described(self) -> str:
        if self.error:
            return "no answer"
        return f"replica of {self.follows}" if self.role == "replica" else self.role


@dataclass(frozen=True)
class Decision:
    """``master`` is who it is, ``source`` who says so; or ``problem`` why that cannot be said, ``passing`` if it may
    be another a moment later."""

    master: Store | None = None
    source: str = ""
    problem: str = ""
    passing: bool = False


def majority(count: int) -> int:
    return count // 2 + 1


def named_master(watches: list[Watch], voters: int) -> Node | None:
    """The master that more than half of ALL Sentinels name, whether or not the others answer."""
    votes = Counter(watch.master for watch in watches if watch.answers and watch.master)
    for node, count in votes.most_common(1):
        if count >= majority(voters):
            return node
    return None


def decide(watches: list[Watch], stores: list[Store], founding: str) -> Decision:
    by_node = {store.node: store for store in stores}
    named = named_master(watches, len(watches))
    votes = {watch.master for watch in watches if watch.answers and watch.master}
    silent = [watch.name for watch in watches if not watch.answers]
    if named is None:
        said = ", ".join(sorted(map(str, votes)))
        if len(votes) > 1:
            return Decision(problem=f"the Sentinels do not agree ({said}): a failover may be under way", passing=True)
        if len(watches) - len(silent) < majority(len(watches)):
            return Decision(problem=f"too few Sentinels answer: {', '.join(silent)} do not", passing=True)
        # one or the other watches this master, and the rest have just come and watch nothing yet
        named = next(iter(votes), None)
    if named is not None:
        if named not in by_node:
            return Decision(problem=f"the Sentinels name {named} as master, which is none of the servers given here")
        return Decision(by_node[named], "sentinels")
    return found(stores, by_node, founding)


def found(stores: list[Store], by_node: dict[Node, Store], founding: str) -> Decision:
    """No Sentinel knows a master. Nothing may be made a replica of another as long as that could delete data."""
    silent = [f"{store.name} ({store.error})" for store in stores if not store.answers]
    if silent:
        return Decision(
            problem=f"no Sentinel knows a master yet, and not every server answers: {', '.join(silent)}", passing=True
        )
    followed = {store.follows for store in stores if store.role == "replica" and store.follows}
    full = [store for store in stores if store.keys]
    if followed:
        common = by_node.get(next(iter(followed)))
        if len(followed) == 1 and common and common.role == "master":
            return Decision(common, "servers")
        words = ", ".join(sorted(map(str, followed)))
        return Decision(problem=f"replicas follow {words}, which is not one master among the servers given here")
    if len(full) > 1:
        words = ", ".join(f"{store.name} ({store.keys} keys)" for store in full)
        return Decision(problem=f"several masters hold data, and all but one would lose it: {words}")
    if full:
        return Decision(full[0], "servers")
    return Decision(next(store for store in stores if store.name == founding), "founding")


def would_lose(stores: list[Store], master: Store, known: set[str]) -> list[Store]:
    """Masters with data that no Sentinel knows as this master's replica: following it would delete what they hold."""
    return [
        store
        for store in stores
        if store.answers
        and store.node != master.node
        and store.role == "master"
        and store.keys
        and str(store.node) not in known
    ]


def at_once(functions: t.Sequence[t.Callable[[], T]]) -> list[T]:
    """Results of functions that must not raise, run side by side."""
    results: dict[int, T] = {}

    def run(index: int, function: t.Callable[[], T]) -> None:
        results[index] = function()

    threads = [
        threading.Thread(target=run, args=(index, function), daemon=True) for index, function in enumerate(functions)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [results[index] for index in range(len(functions))]


def ask_sentinel(host: Host, access: Access, watched: str, timeout: float) -> Watch:
    try:
        with Client(host.node, access, timeout) as client:
            try:
                settings = pairs(client.call("SENTINEL", "MASTER", watched))
            except RedisError as error:
                if "No such master" not in str(error):
                    raise
                return Watch(host.name)
            replicas = [pairs(reply) for reply in client.call("SENTINEL", "REPLICAS", watched)]
    except (RedisError, Unreachable) as error:
        return Watch(host.name, error=str(error))
    known = frozenset(str(Node(replica["ip"], int(replica["port"]))) for replica in replicas)
    return Watch(host.name, "", Node(settings["ip"], int(settings["port"])), settings, known)


def ask_store(host: Host, access: Access, timeout: float) -> Store:
    try:
        with Client(host.node, access, timeout) as client:
            said = info(client.call("INFO", "replication")) | info(client.call("INFO", "keyspace"))
    except (RedisError, Unreachable) as error:
        return Store(host.name, host.node, error=str(error))
    return store_of(host, said)


def store_of(host: Host, said: dict[str, str]) -> Store:
    keys = sum(
        int(value.split(",", 1)[0].removeprefix("keys="))
        for name, value in said.items()
        if name.startswith("db") and value.startswith("keys=")
    )
    replica = said.get("role") == "slave"
    return Store(
        host.name,
        host.node,
        role="replica" if replica else said.get("role", ""),
        follows=Node(said["master_host"], int(said["master_port"])) if replica else None,
        linked=said.get("master_link_status") == "up",
        keys=keys,
        replicas=int(said.get("connected_slaves", 0)),
    )
