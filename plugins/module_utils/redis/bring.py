# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bring servers and Sentinels to one topology, without ever moving the master.

What a Sentinel repairs by itself (an old master that comes back, a Sentinel that missed a failover) is left to it for
``patience`` seconds; only what stays wrong after that is set from here.
"""

from __future__ import annotations

import functools
import time
import typing as t
from dataclasses import dataclass, field

from .resp import Access, Client, RedisError, Unreachable
from .topology import Decision, Host, Store, Watch, ask_sentinel, ask_store, at_once, decide, would_lose

POLL_SECONDS = 0.5
ASK_SECONDS = 3.0


class TopologyError(Exception):
    """Nothing, or nothing more, was changed."""


@dataclass(frozen=True)
class Wish:
    watched: str
    servers: list[Host]
    sentinels: list[Host]
    founding: str
    quorum: int
    settings: dict[str, str]
    server_access: Access
    sentinel_access: Access
    auth: tuple[str, str]
    timeout: float = 60.0
    patience: float = 20.0


@dataclass
class Step:
    """One change: ``words`` are shown, ``commands`` are sent to ``host``."""

    words: str
    host: Host
    access: Access
    commands: list[tuple[str, ...]]


@dataclass
class Bringer:
    wish: Wish
    check: bool
    watches: list[Watch] = field(default_factory=list)
    stores: list[Store] = field(default_factory=list)
    decision: Decision = field(default_factory=Decision)
    done: list[str] = field(default_factory=list)

    def look(self) -> None:
        wish = self.wish
        asks: list[t.Callable[[], Watch | Store]] = [
            functools.partial(ask_sentinel, host, wish.sentinel_access, wish.watched, ASK_SECONDS)
            for host in wish.sentinels
        ]
        asks += [functools.partial(ask_store, host, wish.server_access, ASK_SECONDS) for host in wish.servers]
        found = at_once(asks)
        self.watches = [each for each in found if isinstance(each, Watch)]
        self.stores = [each for each in found if isinstance(each, Store)]
        self.decision = decide(self.watches, self.stores, wish.founding)

    def run(self) -> None:
        begun = time.monotonic()
        deadline = begun + self.wish.timeout
        self.look()
        while not self.check:
            steps = self.steps(patient=time.monotonic() - begun < self.wish.patience)
            for step in steps:
                self.apply(step)
            missing = self.missing()
            if not steps and not missing:
                return
            late = time.monotonic() > deadline
            if not steps and (late or time.monotonic() - begun > self.wish.patience) and missing == self.absent():
                # who is down is others' concern; what is known of the rest is right
                return
            if late:
                raise TopologyError(f"after {self.wish.timeout:g} s: {'; '.join(missing)}")
            time.sleep(POLL_SECONDS)
            self.look()
        self.done = [step.words for step in self.steps(patient=False)]

    def steps(self, patient: bool) -> list[Step]:
        """What has to be changed now, in this order: servers first, so that a Sentinel finds what it is told of."""
        if self.decision.problem and not self.decision.passing:
            raise TopologyError(self.decision.problem)
        master = self.decision.master
        if master is None or not master.answers or master.role != "master":
            return []
        known = {replica for watch in self.watches for replica in watch.replicas}
        lost = would_lose(self.stores, master, known)
        if lost:
            words = ", ".join(f"{store.name} ({store.keys} keys)" for store in lost)
            raise TopologyError(
                f"{words} would lose what it holds as a replica of {master.name}: "
                "save it, then empty it with FLUSHALL, or take the host out"
            )
        return [*self._server_steps(master, known, patient), *self._sentinel_steps(master, patient)]

    def _server_steps(self, master: Store, known: set[str], patient: bool) -> t.Iterator[Step]:
        hosts = {host.name: host for host in self.wish.servers}
        for store in self.stores:
            if not store.answers or store.node == master.node or store.is_replica_of(master.node):
                continue
            if patient and str(store.node) in known:
                continue
            follow = ("REPLICAOF", master.node.address, str(master.node.port))
            commands = [follow, ("CONFIG", "REWRITE")]
            words = f"{store.name}: replica of {master.node}"
            yield Step(words, hosts[store.name], self.wish.server_access, commands)

    def _sentinel_steps(self, master: Store, patient: bool) -> t.Iterator[Step]:
        wish = self.wish
        hosts = {host.name: host for host in wish.sentinels}
        wanted = wish.settings | {"quorum": str(wish.quorum)}
        for watch in self.watches:
            if not watch.answers or (watch.master and watch.master != master.node and patient):
                continue
            commands: list[tuple[str, ...]] = []
            settings = watch.settings
            if watch.master != master.node:
                if watch.master:
                    commands.append(("SENTINEL", "REMOVE", wish.watched))
                where = (master.node.address, str(master.node.port), str(wish.quorum))
                commands.append(("SENTINEL", "MONITOR", wish.watched, *where))
                user, password = wish.auth
                commands += (
                    [("SENTINEL", "SET", wish.watched, "auth-user", user, "auth-pass", password)] if user else []
                )
                settings = {"quorum": str(wish.quorum)}
            differing = {name: value for name, value in wanted.items() if settings.get(name) != value}
            commands += [("SENTINEL", "SET", wish.watched, name, value) for name, value in differing.items()]
            if commands:
                shown = "" if watch.master == master.node else f" watches {master.node}"
                shown += "".join(f" {name}={value}" for name, value in sorted(differing.items()))
                yield Step(f"sentinel {watch.name}:{shown}", hosts[watch.name], wish.sentinel_access, commands)

    def apply(self, step: Step) -> None:
        try:
            with Client(step.host.node, step.access, ASK_SECONDS) as client:
                for command in step.commands:
                    try:
                        client.call(*command)
                    except RedisError as error:
                        # the command may hold a password, which an answer could repeat
                        words = " ".join(command[:2])
                        raise TopologyError(f"{step.host.name}: {words} was refused: {code(error)}") from None
        except (RedisError, Unreachable) as error:
            raise TopologyError(f"{step.host.name}: {error}") from None
        self.done.append(step.words)

    def missing(self) -> list[str]:
        """What is not yet as it should be."""
        if self.decision.problem:
            return [self.decision.problem]
        master = self.decision.master
        if master is None:
            return ["no master"]
        if master.role != "master":
            state = f"it does not answer: {master.error}" if master.error else f"it is {master.described}"
            return [f"the Sentinels name {master.name} as master, and {state}"]
        servers = [self._server_missing(store, master) for store in self.stores if store.node != master.node]
        sentinels = [self._sentinel_missing(watch, master) for watch in self.watches]
        return [problem for problem in servers + sentinels if problem]

    def absent(self) -> list[str]:
        """Of what is missing, replicas and Sentinels that do not answer, where Sentinels already know the master."""
        master = self.decision.master
        if master is None or self.decision.source != "sentinels" or not master.answers:
            return []
        servers = [self._server_missing(store, master) for store in self.stores if store.error]
        return servers + [self._sentinel_missing(watch, master) for watch in self.watches if watch.error]

    def _server_missing(self, store: Store, master: Store) -> str:
        if store.error:
            return f"{store.name} does not answer: {store.error}"
        if not store.is_replica_of(master.node):
            return f"{store.name} is {store.described}"
        return "" if store.linked else f"{store.name} has no link to its master yet"

    def _sentinel_missing(self, watch: Watch, master: Store) -> str:
        name, others = f"the Sentinel on {watch.name}", len(self.wish.sentinels) - 1
        if watch.error:
            return f"{name} does not answer: {watch.error}"
        if watch.master != master.node:
            return f"{name} watches {watch.master or 'nothing'}"
        known = watch.settings.get("num-other-sentinels", "0")
        if known != str(others):
            return f"{name} knows {known} others, not {others} (SENTINEL RESET forgets who is gone)"
        return "" if len(watch.replicas) >= len(self.stores) - 1 else f"{name} knows {len(watch.replicas)} replicas"


def code(error: RedisError) -> str:
    """The kind of an error, without the words that may repeat what was sent."""
    return str(error).rsplit(": ", 1)[-1].split(" ", 1)[0] or "error"


def lines(watches: list[Watch], stores: list[Store]) -> list[str]:
    """The topology for a difference, one line for each server and Sentinel."""
    found = [f"{store.name}: {store.described}" for store in stores]
    for watch in watches:
        state = "no answer" if watch.error else f"watches {watch.master}" if watch.master else "idle"
        found.append(f"sentinel {watch.name}: {state}")
    return found
