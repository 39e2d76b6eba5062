# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""JSON-RPC over HTTP and over a UNIX socket."""

from __future__ import annotations

import json
import socket
import threading
import time

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.chain.jsonrpc import (
    Block,
    ExecutionClient,
    HttpRpc,
    IpcRpc,
    RpcError,
    parse_block,
)
from ansible_collections.chainops.infra.plugins.module_utils.chain.transport import EndpointError

from tests.unit.plugins.module_utils.chain.servers import Node, Server


@pytest.fixture
def node():
    node = Node()
    yield node
    node.close()


def client(server):
    return ExecutionClient(HttpRpc(server.url))


def answering(value):
    """A server that answers everything with the same JSON."""
    return Server(lambda _method, _path, _body: (200, json.dumps(value).encode()))


def test_a_call(node):
    assert client(node.execution).call("eth_chainId") == "0x7e7e"
    assert node.execution.requests[0][1] == "/"


def test_a_batch_is_one_request_with_results_in_order(node):
    calls = [("eth_chainId", []), ("net_peerCount", []), ("eth_getBlockByNumber", ["0x1", False])]
    results = client(node.execution).batch(calls, time.monotonic() + 1)
    assert results[:2] == ["0x7e7e", "0x8"]
    assert results[2]["number"] == "0x1"
    assert len(node.execution.requests) == 1


def test_an_error_object_is_raised_and_names_method_and_endpoint(node):
    node.results["eth_chainId"] = {"error": {"code": -32601, "message": "the method does not exist"}}
    with pytest.raises(RpcError, match=rf"{node.execution.url}: eth_chainId .* -32601: the method does not exist") as e:
        client(node.execution).call("eth_chainId")
    assert e.value.code == -32601


def test_an_error_in_a_batch_stands_in_its_place(node):
    node.results["net_peerCount"] = {"error": {"code": -32601, "message": "no"}}
    results = client(node.execution).batch([("eth_chainId", []), ("net_peerCount", [])], time.monotonic() + 1)
    assert results[0] == "0x7e7e"
    assert isinstance(results[1], RpcError)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ([], "no answer to eth_chainId"),
        ([{"id": 1, "result": "0x1"}], "no answer to net_peerCount"),
        ([{"id": 1}, {"id": 2, "result": 1}], "neither result nor error"),
        ({"result": 1}, "not a JSON-RPC answer"),
        ("hello", "not a JSON-RPC answer"),
        (None, "not a JSON-RPC answer"),
        ([1, None, "x"], "no answer to eth_chainId"),
    ],
)
def test_batches_that_are_answered_wrongly(answer, says):
    server = answering(answer)
    with pytest.raises(EndpointError, match=says):
        client(server).batch([("eth_chainId", []), ("net_peerCount", [])], time.monotonic() + 1)
    server.close()


def test_a_batch_that_is_refused_as_a_whole():
    server = answering({"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "batch too large"}})
    with pytest.raises(RpcError, match="a batch was answered with error -32600: batch too large"):
        client(server).batch([("a", []), ("b", [])], time.monotonic() + 1)
    server.close()


@pytest.mark.parametrize("error", ["broken", {"message": "no code"}, {"code": "x"}, [1]])
def test_error_objects_of_any_shape(error):
    server = answering({"id": 1, "error": error})
    with pytest.raises(RpcError, match="m was answered with error None"):
        client(server).call("m")
    server.close()


def test_blocks():
    value = {"number": "0x10", "hash": "0xAB", "timestamp": "0x20", "extra": 1}
    assert parse_block(value) == Block(16, "0xab", 32)
    assert parse_block(None) is None


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        "x",
        5,
        {"number": "0x1", "hash": None, "timestamp": "0x1"},
        {"number": None, "hash": "0x1", "timestamp": 1},
    ],
)
def test_what_is_no_block(value):
    with pytest.raises(ValueError, match="block|hash|integer"):
        parse_block(value)


class Ipc:
    """A JSON-RPC server on a UNIX socket, like geth's."""

    def __init__(self, path, respond):
        self.path = str(path)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        self._respond = respond
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as lines:
                for line in lines:
                    data = self._respond(json.loads(line))
                    if data is None:
                        break
                    connection.sendall(data)

    def close(self):
        self._listener.close()


@pytest.fixture
def ipc(tmp_path):
    made = []

    def make(respond):
        made.append(Ipc(tmp_path / "geth.ipc", respond))
        return ExecutionClient(IpcRpc(made[-1].path, max_body=1000))

    yield make
    for server in made:
        server.close()


def test_calls_over_ipc(ipc):
    rpc = ipc(lambda request: json.dumps({"id": request["id"], "result": request["method"]}).encode() + b"\n")
    assert rpc.call("admin_peers") == "admin_peers"
    assert rpc.call("admin_nodeInfo") == "admin_nodeInfo"


def test_an_error_over_ipc(ipc):
    rpc = ipc(
        lambda request: json.dumps({"id": request["id"], "error": {"code": -1, "message": "bad"}}).encode() + b"\n"
    )
    with pytest.raises(RpcError, match="bad"):
        rpc.call("admin_addPeer", "enode://x")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"{nonsense\n", "not JSON"),
        (None, "not JSON: b''"),
        (b"x" * 2000, "more than the 1000 bytes"),
        (b'{"id": 1, "res', "in the time given"),
    ],
)
def test_an_ipc_server_that_misbehaves(ipc, answer, says):
    rpc = ipc(lambda _request: answer)
    start = time.monotonic()
    with pytest.raises(EndpointError, match=says):
        rpc.call("x", timeout=0.3)
    assert time.monotonic() - start < 1


def test_a_client_that_does_not_run(tmp_path):
    with pytest.raises(EndpointError, match="the client does not run"):
        ExecutionClient(IpcRpc(str(tmp_path / "none.ipc"))).call("x")
