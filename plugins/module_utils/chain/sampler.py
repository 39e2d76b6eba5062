# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Looks at a client once, by a deadline, and never raises: what went wrong is part of the sample.

A probe keeps its connection, and what does not change with every block, between rounds: one round trip to an execution
client and two to a consensus client are enough while no new block has come.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from .beacon import BeaconClient, Checkpoint, Payload
from .jsonrpc import Block, Call, ExecutionClient, HttpRpc, RpcError, parse_block
from .samples import ConsensusSample, ExecutionSample, Progress, ReferenceSample
from .transport import TIMEOUT, EndpointError, to_int

# seconds after which peers, version and identity are asked for again
SLOW_EVERY = 15.0


class Unusable(Exception):
    """The client answered, with something that no verdict can be built on."""


def _failure(error: Exception, client: Any) -> str:
    return str(error) if isinstance(error, (EndpointError, RpcError)) else f"{client}: {error}"


def _timed_out(error: Exception) -> bool:
    return isinstance(error, EndpointError) and error.kind == TIMEOUT


class ExecutionProbe:
    """Samples one execution client. For one thread at a time."""

    def __init__(self, url: str, *, ca_path: str | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = ExecutionClient(HttpRpc(url, ca_path=ca_path))
        self._clock = clock
        self._slow_due = 0.0
        self._chain_id: int | None = None
        self._genesis_hash: str | None = None
        self._peers: int | None = None
        self._version = ""

    def __str__(self) -> str:
        return str(self._client)

    def close(self) -> None:
        self._client.close()

    def sample(self, heights: Iterable[int], deadline: float) -> ExecutionSample:
        try:
            return self._sample(tuple(heights), deadline)
        except (EndpointError, RpcError, Unusable, ValueError) as error:
            self._slow_due = 0.0  # it may be another client that answers next
            return ExecutionSample(error=_failure(error, self._client), timed_out=_timed_out(error))

    def _sample(self, heights: tuple[int, ...], deadline: float) -> ExecutionSample:
        calls: list[Call] = [("eth_syncing", [])]
        calls += [("eth_getBlockByNumber", [tag, False]) for tag in ("latest", "safe", "finalized")]
        calls += [("eth_getBlockByNumber", [hex(height), False]) for height in heights]
        slow = self._clock() >= self._slow_due
        if slow:
            calls += [("eth_chainId", []), ("eth_getBlockByNumber", ["0x0", False])]
            calls += [("net_peerCount", []), ("web3_clientVersion", [])]
        results = self._client.batch(calls, deadline)
        syncing, latest, safe, finalized = results[:4]
        if slow:
            self._identify(*results[-4:])
            self._slow_due = self._clock() + SLOW_EVERY
        head = self._block(latest, "latest")
        if head is None:
            raise Unusable("it has no latest block")
        asked = dict(zip(heights, results[4 : 4 + len(heights)], strict=True))
        blocks = {height: self._optional_block(result) for height, result in asked.items()}
        return ExecutionSample(
            chain_id=self._chain_id,
            genesis_hash=self._genesis_hash,
            syncing=_progress(syncing),
            latest=head,
            safe=self._optional_block(safe),
            finalized=self._optional_block(finalized),
            hashes={height: block.hash for height, block in blocks.items() if block is not None},
            peers=self._peers,
            version=self._version,
        )

    def _identify(self, chain_id: Any, genesis: Any, peers: Any, version: Any) -> None:
        if isinstance(chain_id, RpcError):
            raise chain_id
        block = self._block(genesis, "genesis")
        if block is None:
            raise Unusable("it has no genesis block")
        self._chain_id = to_int(chain_id)
        self._genesis_hash = block.hash
        # the namespaces net and web3 may be closed: peers and version then stay unknown
        self._peers = None if isinstance(peers, RpcError) else to_int(peers)
        self._version = version if isinstance(version, str) else ""

    def _block(self, result: Any, what: str) -> Block | None:
        if isinstance(result, RpcError):
            raise result
        try:
            return parse_block(result)
        except ValueError as error:
            raise Unusable(f"its {what} block is unreadable: {error}") from None

    def _optional_block(self, result: Any) -> Block | None:
        """A block that may be missing: clients answer "safe" and "finalized" with an error until there is one."""
        return None if isinstance(result, RpcError) else self._block(result, "block")


def _progress(result: Any) -> Progress | None:
    if isinstance(result, RpcError):
        raise result
    if result is False:
        return None
    if not isinstance(result, dict):
        raise Unusable(f"eth_syncing is {result!r:.80}")
    try:
        return Progress(to_int(result["currentBlock"]), to_int(result["highestBlock"]))
    except KeyError:
        # another form, such as stages: it syncs, and says not how far it is
        return Progress(0, 1)


class ConsensusProbe:
    """Samples one consensus client. For one thread at a time. ``head`` false leaves out what only concerns its head,
    which is what a reference is asked."""

    def __init__(
        self,
        url: str,
        *,
        head: bool = True,
        finality_every: float = 0.0,
        ca_path: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = BeaconClient(url, ca_path=ca_path)
        self._head = head
        self._finality_every = finality_every
        self._clock = clock
        self._forget()

    def __str__(self) -> str:
        return str(self._client)

    def close(self) -> None:
        self._client.close()

    def _forget(self) -> None:
        self._slow_due = 0.0
        self._finality_due = 0.0
        self._root = ""
        self._payload: Payload | None = None
        self._finalized: Checkpoint | None = None
        self._finalized_payload: Payload | None = None
        self._peers: int | None = None
        self._version = ""

    def sample(self, deadline: float) -> ConsensusSample:
        try:
            return self._sample(deadline)
        except EndpointError as error:
            self._forget()
            return ConsensusSample(error=str(error), timed_out=_timed_out(error))

    def _sample(self, deadline: float) -> ConsensusSample:
        client, now = self._client, self._clock()
        syncing = None
        due = now >= self._finality_due
        if self._head:
            syncing = client.syncing(deadline)
            root = client.head_root(deadline)
            if root != self._root:
                self._payload = client.payload(root, deadline)
                self._root = root
                due = True
        if due:
            finalized = client.finalized(deadline)
            if finalized != self._finalized:
                self._finalized_payload = client.payload(finalized.root, deadline) if finalized else None
                self._finalized = finalized
            self._finality_due = now + self._finality_every if self._finality_every else float("inf")
        if self._head and now >= self._slow_due:
            self._peers = client.connected_peers(deadline)
            self._version = client.version(deadline)
            self._slow_due = now + SLOW_EVERY
        return ConsensusSample(
            syncing=syncing,
            payload=self._payload,
            finalized=self._finalized,
            finalized_payload=self._finalized_payload,
            peers=self._peers,
            version=self._version,
        )


class ReferenceProbe:
    """Samples a reference: its execution client, and of its consensus client, where it has one, what is final."""

    def __init__(
        self,
        name: str,
        execution_url: str,
        consensus_url: str | None,
        *,
        finality_every: float,
        ca_path: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._execution = ExecutionProbe(execution_url, ca_path=ca_path, clock=clock)
        self._consensus = None
        if consensus_url:
            self._consensus = ConsensusProbe(
                consensus_url, head=False, finality_every=finality_every, ca_path=ca_path, clock=clock
            )

    def close(self) -> None:
        self._execution.close()
        if self._consensus:
            self._consensus.close()

    def sample(self, heights: Iterable[int], deadline: float) -> ReferenceSample:
        execution = self._execution.sample(heights, deadline)
        consensus = None
        if self._consensus:
            if execution.error:
                consensus = ConsensusSample(error="not asked, as its execution client does not answer")
            else:
                consensus = self._consensus.sample(deadline)
        return ReferenceSample(name=self.name, execution=execution, consensus=consensus)


class Stillness:
    """For how long a head has been the same."""

    def __init__(self) -> None:
        self._head: Block | None = None
        self._since = 0.0

    def seconds(self, head: Block | None, now: float) -> float:
        if head != self._head:
            self._head, self._since = head, now
        return now - self._since
