# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A planned failover: the master takes no more writes, replicas catch up, and Sentinels make one of them master."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field

from .bring import ASK_SECONDS, POLL_SECONDS, Bringer, TopologyError, Wish
from .resp import Client, Node, RedisError, Unreachable, info, pairs
from .topology import Store

# Longest pause of writes; it ends by itself if everything else fails.
PAUSE_SECONDS = 10
CATCH_UP_SECONDS = 3.0


@dataclass
class Mover:
    wish: Wish
    moved: bool = False
    waited: float = 0.0
    bringer: Bringer = field(init=False)

    def __post_init__(self) -> None:
        self.bringer = Bringer(self.wish, check=False)

    @property
    def master(self) -> Store:
        master = self.bringer.decision.master
        if master is None:
            raise TopologyError(self.bringer.decision.problem or "nobody knows a master")
        return master

    def settle(self, timeout: float, repair: bool = False) -> None:
        """Wait until everything is as it should be; with repair servers are told at once what Sentinels do later."""
        deadline = time.monotonic() + timeout
        while True:
            self.bringer.look()
            if repair:
                for step in self.bringer.steps(patient=False):
                    self.bringer.apply(step)
            missing = self.bringer.missing()
            if not missing:
                return
            if time.monotonic() > deadline:
                raise TopologyError(f"after {timeout:g} s: {'; '.join(missing)}")
            time.sleep(POLL_SECONDS)

    def move(self, away_from: str, timeout: float, check: bool) -> None:
        """Nothing is done where another than ``away_from`` is master already, so that it can be run again."""
        self.settle(timeout if not check else 0.0)
        old = self.master
        if away_from and old.name != away_from:
            return
        self.moved = True
        if check:
            return
        candidates = self._candidates()
        begun = time.monotonic()
        with contextlib.ExitStack() as stack:
            client = stack.enter_context(Client(old.node, self.wish.server_access, ASK_SECONDS))
            client.call("CLIENT", "PAUSE", PAUSE_SECONDS * 1000, "WRITE")
            stack.callback(resume, client)
            caught_up(client, candidates)
            self._ask_sentinel()
            self._wait_for_another(old.node, timeout)
        self.waited = round(time.monotonic() - begun, 1)
        self.settle(timeout, repair=True)

    def _candidates(self) -> dict[Node, str]:
        """Everybody whom the Sentinel could choose: it goes by what each told it, up to ten seconds ago."""
        host = self.wish.sentinels[0]
        with Client(host.node, self.wish.sentinel_access, ASK_SECONDS) as sentinel:
            known = [pairs(reply) for reply in sentinel.call("SENTINEL", "REPLICAS", self.wish.watched)]
        # one that was taken away stays on its list, and is never chosen
        nodes = [Node(each["ip"], int(each["port"])) for each in known if "s_down" not in each.get("flags", "")]
        ours = {store.node: store.name for store in self.bringer.stores if store.node != self.master.node}
        return {node: str(node) for node in nodes} | ours

    def _ask_sentinel(self) -> None:
        host = self.wish.sentinels[0]
        with Client(host.node, self.wish.sentinel_access, ASK_SECONDS) as sentinel:
            sentinel.call("SENTINEL", "CKQUORUM", self.wish.watched)
            sentinel.call("SENTINEL", "FAILOVER", self.wish.watched)

    def _wait_for_another(self, old: Node, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while True:
            self.bringer.look()
            master = self.bringer.decision.master
            if master and master.node != old and master.role == "master":
                return
            if time.monotonic() > deadline:
                raise TopologyError(f"the Sentinels named no other master within {timeout:g} s")
            time.sleep(0.1)


def caught_up(client: Client, candidates: dict[Node, str]) -> None:
    """Until every candidate has all that the master has: whoever is chosen without it would lose the rest."""
    deadline = time.monotonic() + CATCH_UP_SECONDS
    said = info(client.call("INFO", "replication"))
    # as writes are held back, what comes later are pings: one a second, as often as replicas say where they are
    wanted = int(said["master_repl_offset"])
    while True:
        lines = [value for name, value in said.items() if name.startswith("slave") and "state=online" in value]
        replicas = [dict(part.split("=", 1) for part in line.split(",")) for line in lines]
        have = {Node(each["ip"], int(each["port"])) for each in replicas if int(each["offset"]) >= wanted}
        behind = [name for node, name in candidates.items() if node not in have]
        if candidates and not behind:
            return
        if time.monotonic() > deadline:
            words = f"{', '.join(sorted(behind))} did not catch up" if behind else "there is no replica"
            raise TopologyError(f"{words}, so nothing was moved")
        time.sleep(0.05)
        said = info(client.call("INFO", "replication"))


def resume(client: Client) -> None:
    """Let writes go on. On an old master that is a replica by now they end with an error, which is right."""
    with contextlib.suppress(RedisError, Unreachable):
        client.call("CLIENT", "UNPAUSE")
