# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Beacon API, spoken by clients that differ."""

from __future__ import annotations

import json
import time

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.chain.beacon import (
    BeaconClient,
    Checkpoint,
    Payload,
    Syncing,
)
from ansible_collections.chainops.infra.plugins.module_utils.chain.transport import EndpointError

from tests.unit.plugins.module_utils.chain.servers import Node, Server
from tests.unit.plugins.module_utils.chain.world import block_hash

HASH, PARENT = block_hash(7), block_hash(6)


@pytest.fixture(params=[True, False], ids=["strings", "numbers"])
def node(request):
    node = Node(strings=request.param)
    yield node
    node.close()


def soon():
    return time.monotonic() + 1


def beacon_saying(data, status=200):
    server = Server(lambda _method, _path, _body: (status, json.dumps({"data": data}).encode()))
    return server, BeaconClient(server.url)


def test_what_is_read(node):
    client = BeaconClient(node.consensus.url)
    node.slot = 1003
    assert client.syncing(soon()) == Syncing(1000, 3, False, False, False)
    assert client.head_root(soon()) == node.beacon_root(1000)
    assert client.payload("0x3e8", soon()) == Payload((block_hash(1000),), 1000)
    assert client.finalized(soon()) == Checkpoint(29, node.beacon_root(928))
    assert client.connected_peers(soon()) == 8
    assert client.version(soon()) == "Prysm/v6-fake"


def test_nothing_is_final_at_the_start(node):
    node.finalizes = False
    assert BeaconClient(node.consensus.url).finalized(soon()) is None


@pytest.mark.parametrize("status", [200, 206, 503])
def test_health_has_three_answers(status):
    server = Server(lambda _method, _path, _body: (status, b""))
    assert BeaconClient(server.url).health(soon()) == status
    server.close()


@pytest.mark.parametrize("status", [206, 503])
def test_elsewhere_206_and_503_are_no_success(status):
    server, client = beacon_saying({"version": "x"}, status)
    with pytest.raises(EndpointError, match=f"HTTP status {status}"):
        client.version(soon())
    server.close()


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        ({"execution_payload_header": {"block_hash": HASH, "block_number": "7"}}, Payload((HASH,), 7)),
        ({"execution_payload": {"block_hash": HASH.upper().replace("X", "x"), "block_number": 7}}, Payload((HASH,), 7)),
        (
            {"signed_execution_payload_bid": {"message": {"block_hash": HASH, "parent_block_hash": PARENT}}},
            Payload((HASH, PARENT), None),
        ),
        ({"something_else": 1}, None),
    ],
    ids=["blinded", "full", "gloas", "unknown"],
)
def test_payloads_of_every_fork(body, payload):
    server, client = beacon_saying({"message": {"body": body}})
    assert client.payload("head", soon()) == payload
    server.close()


def test_a_client_that_serves_no_blinded_blocks_is_asked_for_whole_ones():
    def respond(_method, path, _body):
        if "blinded" in path:
            return 400, b'{"message": "not supported after gloas"}'
        body = {"execution_payload": {"block_hash": HASH, "block_number": "7"}}
        return 200, json.dumps({"data": {"message": {"body": body}}}).encode()

    server = Server(respond)
    assert BeaconClient(server.url).payload("head", soon()) == Payload((HASH,), 7)
    assert server.requests[1][1] == "/eth/v2/beacon/blocks/head"
    server.close()


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "x",
        {},
        {"head_slot": "x", "sync_distance": "0", "is_syncing": False},
        {"head_slot": "1", "sync_distance": None, "is_syncing": False},
        {"head_slot": "1", "sync_distance": "0", "is_syncing": "maybe"},
        {"head_slot": "1", "sync_distance": "0", "is_syncing": None},
    ],
)
def test_content_of_another_shape_is_named(data):
    server, client = beacon_saying(data)
    with pytest.raises(EndpointError, match=rf"GET {server.url}/eth/v1/node/syncing: unexpected content"):
        client.syncing(soon())
    server.close()


@pytest.mark.parametrize("answer", [b"[]", b"1", b"{}", b'{"error": 1}'])
def test_an_answer_without_data(answer):
    server = Server(lambda _method, _path, _body: (200, answer))
    with pytest.raises(EndpointError, match="no data in"):
        BeaconClient(server.url).version(soon())
    server.close()


@pytest.mark.parametrize("root", ["", "0x12", 5, None, "x" * 66])
def test_roots_that_are_none(root):
    server, client = beacon_saying({"root": root})
    with pytest.raises(EndpointError, match="not a root"):
        client.head_root(soon())
    server.close()
