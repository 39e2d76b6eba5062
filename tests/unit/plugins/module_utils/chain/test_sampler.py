# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Samples of real servers, good and bad; and the way from servers to a verdict."""

from __future__ import annotations

import json
import time

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.chain import health
from ansible_collections.chainops.infra.plugins.module_utils.chain.jsonrpc import Block
from ansible_collections.chainops.infra.plugins.module_utils.chain.sampler import (
    SLOW_EVERY,
    ConsensusProbe,
    ExecutionProbe,
    ReferenceProbe,
    Stillness,
)
from ansible_collections.chainops.infra.plugins.module_utils.chain.samples import PairSample, Progress

from tests.unit.plugins.module_utils.chain.servers import HEADERS, Node, drip, hang, raw
from tests.unit.plugins.module_utils.chain.world import CHAIN_ID, POLICY, block, block_hash, time_of


class Time:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def node():
    node = Node()
    yield node
    node.close()


def soon(seconds=1.0):
    return time.monotonic() + seconds


def methods(node):
    """The methods of every request so far."""
    found = []
    for _verb, _path, body in node.execution.requests:
        request = json.loads(body)
        found.append([part["method"] for part in (request if isinstance(request, list) else [request])])
    return found


class TestExecution:
    def test_one_round_trip(self, node):
        sample = ExecutionProbe(node.execution.url).sample([999, 928], soon())
        assert sample.error is None
        assert sample.chain_id == CHAIN_ID
        assert sample.genesis_hash == block_hash(0)
        assert sample.latest == block(1000)
        assert sample.finalized == block(928)
        assert sample.hashes == {999: block_hash(999), 928: block_hash(928)}
        assert sample.peers == 8
        assert sample.version.startswith("Geth")
        assert len(node.execution.requests) == 1

    def test_what_rarely_changes_is_asked_rarely(self, node):
        clock = Time()
        probe = ExecutionProbe(node.execution.url, clock=clock)
        probe.sample([], soon())
        node.execution_peers = 3
        assert probe.sample([], soon()).peers == 8
        assert "eth_chainId" not in methods(node)[1]
        clock.now += SLOW_EVERY
        assert probe.sample([], soon()).peers == 3

    def test_after_a_failure_its_identity_is_asked_again(self, node):
        probe = ExecutionProbe(node.execution.url)
        probe.sample([], soon())
        node.execution.fault = raw(b"")
        assert probe.sample([], soon()).error
        node.execution.fault = None
        node.chain_id = 1
        assert probe.sample([], soon()).chain_id == 1

    def test_heights_it_does_not_have(self, node):
        sample = ExecutionProbe(node.execution.url).sample([999, 5000], soon())
        assert set(sample.hashes) == {999}

    def test_closed_namespaces_leave_peers_unknown(self, node):
        for method in ("net_peerCount", "web3_clientVersion"):
            node.results[method] = {"error": {"code": -32601, "message": "not available"}}
        sample = ExecutionProbe(node.execution.url).sample([], soon())
        assert sample.error is None
        assert sample.peers is None

    def test_no_final_block_yet_as_an_error(self, node):
        def call(method, params, usual=node.call):
            if params and params[0] in ("safe", "finalized"):
                return {"error": {"code": -39001, "message": "unknown block"}}
            return usual(method, params)

        node.call = call
        sample = ExecutionProbe(node.execution.url).sample([], soon())
        assert (sample.error, sample.safe, sample.finalized) == (None, None, None)

    @pytest.mark.parametrize(
        ("syncing", "progress"),
        [
            (False, None),
            ({"currentBlock": "0x5", "highestBlock": "0xa"}, Progress(5, 10)),
            ({"stages": []}, Progress(0, 1)),
        ],
    )
    def test_syncing(self, node, syncing, progress):
        node.syncing = syncing
        assert ExecutionProbe(node.execution.url).sample([], soon()).syncing == progress

    @pytest.mark.parametrize(
        ("method", "result", "says"),
        [
            ("eth_syncing", {"result": None}, "eth_syncing is None"),
            ("eth_syncing", {"result": {"currentBlock": "x", "highestBlock": "0x1"}}, "not an integer"),
            ("eth_getBlockByNumber", {"result": None}, "no genesis block|no latest block"),
            ("eth_getBlockByNumber", {"result": {"number": "0x1"}}, "unreadable"),
            ("eth_getBlockByNumber", {"error": {"code": 1, "message": "header not found"}}, "header not found"),
            ("eth_chainId", {"result": "mainnet"}, "not an integer"),
            ("eth_chainId", {"error": {"code": 1, "message": "closed"}}, "closed"),
        ],
    )
    def test_answers_that_no_verdict_can_be_built_on(self, node, method, result, says):
        node.results[method] = result
        sample = ExecutionProbe(node.execution.url).sample([], soon())
        assert sample.error is not None
        assert node.execution.url in sample.error
        assert any(part in sample.error for part in says.split("|"))

    @pytest.mark.parametrize("fault", [hang(2), drip(b"x" * 100, 0.05, HEADERS % 100)])
    def test_a_deadline(self, node, fault):
        node.execution.fault = fault
        start = time.monotonic()
        assert "in the time given" in ExecutionProbe(node.execution.url).sample([], soon(0.2)).error
        assert time.monotonic() - start < 0.5


class TestConsensus:
    def test_what_it_sees(self, node):
        sample = ConsensusProbe(node.consensus.url).sample(soon())
        assert sample.error is None
        assert sample.syncing.head_slot == 1000
        assert sample.payload.hashes == (block_hash(1000),)
        assert sample.finalized.epoch == 29
        assert sample.finalized_payload.number == 928
        assert sample.peers == 8

    def test_two_requests_while_the_head_is_the_same(self, node):
        probe = ConsensusProbe(node.consensus.url)
        probe.sample(soon())
        before = len(node.consensus.requests)
        probe.sample(soon())
        assert len(node.consensus.requests) == before + 2

    def test_a_new_head_is_looked_at(self, node):
        probe = ConsensusProbe(node.consensus.url)
        probe.sample(soon())
        node.head = 1024
        sample = probe.sample(soon())
        assert sample.payload.number == 1024
        assert sample.finalized_payload.number == 960

    def test_nothing_final(self, node):
        node.finalizes = False
        sample = ConsensusProbe(node.consensus.url).sample(soon())
        assert (sample.finalized, sample.finalized_payload) == (None, None)

    def test_an_error_forgets_everything(self, node):
        probe = ConsensusProbe(node.consensus.url)
        probe.sample(soon())
        node.consensus.fault = raw(b"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n")
        sample = probe.sample(soon())
        assert "HTTP status 503" in sample.error
        assert sample.payload is None
        node.consensus.fault = None
        assert probe.sample(soon()).payload is not None

    def test_a_reference_is_only_asked_what_is_final_and_not_every_time(self, node):
        clock = Time()
        probe = ConsensusProbe(node.consensus.url, head=False, finality_every=12, clock=clock)
        assert probe.sample(soon()).finalized_payload.number == 928
        before = len(node.consensus.requests)
        clock.now += 11
        assert probe.sample(soon()).finalized_payload.number == 928
        assert len(node.consensus.requests) == before
        clock.now += 1
        node.head = 1024
        assert probe.sample(soon()).finalized_payload.number == 960


def test_a_reference(node):
    sample = ReferenceProbe("a", node.execution.url, node.consensus.url, finality_every=12).sample([999], soon())
    assert sample.name == "a"
    assert sample.finalized_number == 928
    assert sample.execution.hashes == {999: block_hash(999)}
    alone = ReferenceProbe("a", node.execution.url, None, finality_every=12).sample([], soon())
    assert alone.consensus is None
    assert alone.finalized_number == 928


def test_a_reference_whose_execution_client_is_down(node):
    node.execution.fault = raw(b"")
    sample = ReferenceProbe("a", node.execution.url, node.consensus.url, finality_every=12).sample([999], soon())
    assert sample.execution.error
    assert sample.finalized_number is None


def test_stillness():
    still = Stillness()
    assert still.seconds(Block(1, "0x1", 1), 10.0) == 0
    assert still.seconds(Block(1, "0x1", 1), 15.0) == 5
    assert still.seconds(Block(1, "0x2", 1), 16.0) == 0
    assert still.seconds(None, 17.0) == 0
    assert still.seconds(None, 18.0) == 1


def test_from_servers_to_a_verdict(node):
    """A pair and two references as real servers; then its consensus client stops."""
    references = [Node(), Node()]
    probes = [
        ReferenceProbe(str(n), r.execution.url, r.consensus.url, finality_every=0) for n, r in enumerate(references)
    ]
    execution, consensus = ExecutionProbe(node.execution.url), ConsensusProbe(node.consensus.url)
    heights = ()

    def look(slot):
        nonlocal heights
        mine = execution.sample(heights, soon())
        theirs = [probe.sample(heights, soon()) for probe in probes]
        pair = PairSample(now=time_of(slot), execution=mine, consensus=consensus.sample(soon()))
        heights = health.heights_to_compare(mine, theirs)
        return health.judge(pair, theirs, POLICY)

    assert look(1000.3).obstacle == "no block has been compared with a reference yet"
    assessment = look(1000.3)
    assert assessment.findings == ()
    assert assessment.admissible
    node.consensus.close()
    consensus.close()
    for other in references:
        other.head = 1006
    assert health.state_of(look(1006.3).findings) == "stale"
    for other in references:
        other.close()
