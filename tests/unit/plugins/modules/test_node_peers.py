# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Peers of clients, against servers that keep lists as the clients do."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.chain import peerid
from ansible_collections.chainops.infra.plugins.module_utils.chain.jsonrpc import RpcError
from ansible_collections.chainops.infra.plugins.module_utils.chain.peers import Unable
from ansible_collections.chainops.infra.plugins.module_utils.chain.transport import EndpointError
from ansible_collections.chainops.infra.plugins.modules import node_peers

from tests.unit.plugins.module_utils.chain.servers import Server
from tests.unit.plugins.module_utils.chain.test_enr import RECORD

KEYS = [f"{number:064x}" for number in range(1, 6)]
OWN, ONE, TWO = (peerid.enode(key, f"10.0.0.{n}") for n, key in enumerate(KEYS[:3], 1))
ONE_MOVED = peerid.enode(KEYS[1], "10.9.9.9")


class Geth:
    """geth's admin namespace: static and trusted nodes by id, of which only connected ones are told."""

    def __init__(self, path):
        self.path = str(path)
        self.lists = {"static": {}, "trusted": {}}
        self.connected = {}  # key: (url, static, trusted)
        self.calls = []
        self.result = True
        self.start()

    def start(self):
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        threading.Thread(target=self._serve, args=(self._listener,), daemon=True).start()

    def _serve(self, listener):
        while True:
            try:
                connection, _address = listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as lines:
                for line in lines:
                    request = json.loads(line)
                    answer = {"jsonrpc": "2.0", "id": request["id"], **self.answer(request)}
                    connection.sendall(json.dumps(answer).encode() + b"\n")

    def answer(self, request):
        method, params = request["method"], request["params"]
        if method == "admin_nodeInfo":
            return {"result": {"enode": OWN + "?discport=0"}}
        if method == "admin_peers":
            return {
                "result": [
                    {"enode": url, "network": {"static": static, "trusted": trusted}}
                    for url, static, trusted in self.connected.values()
                ]
            }
        self.calls.append((method, *params))
        key = peerid.parse_enode(params[0])[0]
        kind = "trusted" if "Trusted" in method else "static"
        if "add" in method:
            self.lists[kind].setdefault(key, params[0])
        else:
            self.lists[kind].pop(key, None)
        return {"result": self.result}

    def close(self):
        self._listener.close()


@pytest.fixture
def geth(tmp_path):
    server = Geth(tmp_path / "geth.ipc")
    yield server
    server.close()


def run(server, peers, check=False, **params):
    """The module's work on a fake geth, or on a server of the Beacon API."""
    defaults = {"client": "geth", "kind": "static", "state": "present", "url": None, "timeout": 2.0}
    if isinstance(server, Geth):
        directory = server.path.rsplit("/", 1)[0]
        defaults |= {"ipc_path": server.path, "record_dir": f"{directory}/record"}
    else:
        defaults |= {"ipc_path": "/nonexistent", "record_dir": "/nonexistent", "url": server.url, "kind": "trusted"}
    return node_peers.apply(defaults | {"peers": peers} | params, check)


class TestGeth:
    @pytest.mark.parametrize("kind", ["static", "trusted"])
    def test_present_twice_and_absent_twice(self, geth, kind):
        first = run(geth, [ONE, TWO], kind=kind)
        assert first["changed"]
        assert first["diff"] == {"before": "", "after": "".join(sorted([ONE + "\n", TWO + "\n"]))}
        assert set(geth.lists[kind].values()) == {ONE, TWO}
        second = run(geth, [ONE, TWO], kind=kind)
        assert not second["changed"]
        assert len(geth.calls) == 2
        assert run(geth, [ONE], kind=kind, state="absent")["changed"]
        assert list(geth.lists[kind].values()) == [TWO]
        assert not run(geth, [ONE], kind=kind, state="absent")["changed"]

    def test_check_mode_changes_nothing(self, geth):
        result = run(geth, [ONE], check=True)
        assert result["changed"]
        assert result["diff"]["after"] == ONE + "\n"
        assert geth.calls == []
        assert run(geth, [ONE])["changed"]
        assert run(geth, [ONE], check=True, state="absent")["changed"]
        assert ONE in geth.lists["static"].values()

    def test_what_geth_itself_says_counts(self, geth):
        geth.connected["x"] = (ONE, True, False)
        assert not run(geth, [ONE])["changed"]
        result = run(geth, [ONE], kind="trusted")
        assert result["changed"]
        assert result["peers"] == [{"id": peerid.parse_enode(ONE)[0], "url": ONE, "connected": True, "listed": True}]

    def test_a_plain_connection_is_not_static(self, geth):
        geth.connected["x"] = (ONE, False, False)
        assert run(geth, [])["peers"][0]["listed"] is False
        assert not run(geth, [ONE], state="absent")["changed"]
        assert geth.calls == []
        assert run(geth, [ONE])["changed"]

    def test_another_address_replaces_the_first(self, geth):
        run(geth, [ONE])
        assert run(geth, [ONE_MOVED])["changed"]
        assert list(geth.lists["static"].values()) == [ONE_MOVED]
        assert not run(geth, [ONE_MOVED])["changed"]

    def test_after_a_restart_the_record_is_void(self, geth):
        run(geth, [ONE])
        geth.close()
        Path(geth.path).unlink()
        geth.lists["static"].clear()
        geth.start()
        assert run(geth, [ONE])["changed"]
        assert list(geth.lists["static"].values()) == [ONE]

    def test_a_peer_that_geth_does_not_tell_of_is_removed_all_the_same(self, geth):
        """From its configuration, and not connected."""
        geth.lists["static"]["k"] = ONE
        assert not run(geth, [ONE], state="absent")["changed"]
        assert geth.calls == [("admin_removePeer", ONE)]

    def test_the_same_peer_twice_is_one(self, geth):
        assert len(run(geth, [ONE, ONE.upper().replace("ENODE", "enode")])["peers"]) == 1

    def test_itself_is_refused(self, geth):
        with pytest.raises(Unable, match="is this node itself"):
            run(geth, [OWN])

    @pytest.mark.parametrize("peer", ["enr:-IS4Q", "enode://ab@1.2.3.4:1", "/ip4/1.2.3.4/tcp/1/p2p/16U"])
    def test_what_is_no_enode(self, geth, peer):
        with pytest.raises(ValueError, match="is not enode://"):
            run(geth, [peer])

    def test_a_refusal(self, geth):
        geth.result = False
        with pytest.raises(Unable, match="admin_addPeer .* was not accepted"):
            run(geth, [ONE])

    def test_an_error_object(self, geth):
        geth.answer = lambda _request: {
            "error": {"code": -32601, "message": "the method admin_nodeInfo does not exist"}
        }
        with pytest.raises(RpcError, match="does not exist"):
            run(geth, [ONE])

    def test_geth_does_not_run(self, tmp_path):
        params = {"client": "geth", "kind": "static", "timeout": 1.0, "ipc_path": str(tmp_path / "x"), "peers": []}
        with pytest.raises(EndpointError, match="the client does not run"):
            node_peers.apply(params | {"record_dir": str(tmp_path), "state": "present"}, False)


PEER_ID = peerid.peer_id(KEYS[3])
ADDRESS = f"/ip4/10.0.0.4/tcp/13000/p2p/{PEER_ID}"


class Beacon(Server):
    """Prysm's and Lighthouse's own routes."""

    def __init__(self):
        super().__init__(self.answer)
        self.trusted = {}
        self.missing = ()

    def answer(self, method, path, body):
        if path.startswith(self.missing) if self.missing else False:
            return 404, b'{"code": 404, "message": "not found"}'
        return self.prysm(method, path, body) if path.startswith("/prysm") else self.lighthouse(path, body)

    def prysm(self, method, path, body):
        if path == "/prysm/v1/node/trusted_peers" and method == "GET":
            entries = [{"peer_id": k, "state": "DISCONNECTED", "last_seen_p2p_address": ""} for k in self.trusted]
            return 200, json.dumps({"Peers": entries}).encode()
        if path == "/prysm/v1/node/trusted_peers":
            address = json.loads(body)["addr"]
            self.trusted[address.rsplit("/", 1)[1]] = address
        else:
            self.trusted.pop(path.rsplit("/", 1)[1], None)
        return 200, b""

    def lighthouse(self, path, body):
        if path == "/lighthouse/peers":
            info = {"connection_status": {"status": "connected"}, "is_trusted": True, "enr": RECORD}
            other = {"connection_status": {"status": "disconnected"}, "is_trusted": False}
            entries = [{"peer_id": key, "peer_info": info} for key in self.trusted]
            return 200, json.dumps([*entries, {"peer_id": "gone", "peer_info": other}]).encode()
        record = json.loads(body)["enr"]
        key = peerid.peer_id("b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291")
        assert record == RECORD
        self.trusted.update({key: record}) if "add" in path else self.trusted.pop(key, None)
        return 200, b""


@pytest.fixture
def beacon():
    server = Beacon()
    yield server
    server.close()


@pytest.mark.parametrize(("client", "peer"), [("prysm", ADDRESS), ("lighthouse", RECORD)])
def test_trusted_peers_of_consensus_clients(beacon, client, peer):
    assert run(beacon, [peer], check=True, client=client)["changed"]
    assert beacon.trusted == {}
    result = run(beacon, [peer], client=client)
    assert result["changed"]
    assert result["peers"][0]["listed"]
    assert list(beacon.trusted.values()) == [peer]
    assert not run(beacon, [peer], client=client)["changed"]
    assert run(beacon, [], client=client)["peers"][0]["id"] == next(iter(beacon.trusted))
    result = run(beacon, [peer], client=client, state="absent")
    assert result["changed"]
    assert result["peers"] == []
    assert beacon.trusted == {}
    assert not run(beacon, [peer], client=client, state="absent")["changed"]


@pytest.mark.parametrize("client", ["prysm", "lighthouse"])
def test_consensus_clients_have_no_static_peers_while_they_run(beacon, client):
    with pytest.raises(Unable, match=f"{client} takes static peers only at its start .*kind: trusted"):
        run(beacon, [ADDRESS], client=client, kind="static")
    assert not run(beacon, [], client=client, kind="static")["changed"]


def test_a_client_that_lacks_the_routes(beacon):
    beacon.missing = "/"
    with pytest.raises(Unable, match="is it Prysm"):
        run(beacon, [ADDRESS], client="prysm")
    with pytest.raises(Unable, match="is it Lighthouse"):
        run(beacon, [RECORD], client="lighthouse")
    beacon.missing = "/lighthouse/add"
    with pytest.raises(Unable, match="this Lighthouse has no /lighthouse/add_peer"):
        run(beacon, [RECORD], client="lighthouse")


@pytest.mark.parametrize(
    ("client", "peer"),
    [
        ("prysm", RECORD),
        ("prysm", "/ip4/1.2.3.4/tcp/1/p2p/x"),
        ("prysm", f"/ip4/1.2.3.4/p2p/{PEER_ID}"),
        ("lighthouse", ADDRESS),
    ],
)
def test_peers_in_the_form_of_another_client(beacon, client, peer):
    with pytest.raises(ValueError, match="is not|no node record"):
        run(beacon, [peer], client=client)


def test_messages_reach_the_user(monkeypatch, beacon):
    class Exit(Exception):
        pass

    class Module:
        check_mode = False

        def __init__(self, argument_spec, supports_check_mode):
            self.params = {name: entry.get("default") for name, entry in argument_spec.items()} | params

        def fail_json(self, msg):
            raise Exit(msg)

        def exit_json(self, **result):
            raise Exit(result)

    monkeypatch.setattr(node_peers, "AnsibleModule", Module)
    params = {"client": "geth", "ipc_path": "/nonexistent/geth.ipc"}
    with pytest.raises(Exit, match="/nonexistent/geth.ipc: .*the client does not run"):
        node_peers.main()
    params = {"client": "prysm", "url": beacon.url, "timeout": 0.0}
    with pytest.raises(Exit, match="timeout is 0.0"):
        node_peers.main()
    beacon.respond = lambda *_args: (200, b'{"Peers": [5]}')
    params = {"client": "prysm", "url": beacon.url}
    with pytest.raises(Exit, match="prysm answered in a form that is not known here"):
        node_peers.main()
    beacon.respond = lambda *_args: (200, b"{}")
    with pytest.raises(Exit) as ended:
        node_peers.main()
    assert ended.value.args[0]["changed"] is False
