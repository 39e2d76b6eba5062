"""The scanner that decides which JSON-RPC methods a balancer lets through, run in the Lua that HAProxy embeds."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from lupa import lua54

LUA = Path(__file__).resolve().parents[3] / "roles" / "haproxy" / "files" / "lua"

POLICY = """
return {
  namespaces = { eth = true, net = true, web3 = true },
  refused = { eth_newFilter = true, eth_subscribe = true },
  classes = { eth_blockNumber = "short", eth_chainId = "short", eth_call = "call", eth_getLogs = "long",
              eth_sendRawTransaction = "write" },
  batch_limit = 20,
  batch_short = 5,
}
"""


class Judge:
    """ethereum.lua with a stand-in for HAProxy: a body in, the variables that it sets out."""

    def __init__(self) -> None:
        self.lua = lua54.LuaRuntime(encoding=None)
        self.lua.execute(f"package.path = '{LUA}/?.lua;' .. package.path")
        self.lua.execute(f"package.preload.ethereum_policy = function() {POLICY} end")
        self.lua.execute("core = { register_action = function(name, contexts, run) action = run end }")
        self.lua.execute("dofile('" + str(LUA / "ethereum.lua") + "')")
        self.run = self.lua.eval(
            b"""function(body)
              local set = {}
              action({ f = { req_body = function() return body end },
                       set_var = function(_, name, value) set[name] = value end })
              return set
            end"""
        )
        self.read = self.lua.eval(b"require('jsonrpc').read")

    def __call__(self, body: str | bytes) -> dict[str, Any]:
        raw = body.encode() if isinstance(body, str) else body
        found = {}
        for name, value in self.run(raw).items():
            found[name.decode().removeprefix("txn.rpc_")] = value.decode() if isinstance(value, bytes) else value
        return found

    def methods(self, body: bytes, limit: int = 1000) -> list[str] | None:
        """The methods seen in a body, or None when it is refused as unreadable."""
        calls = self.read(body, limit)[0]
        return [call[b"method"].decode("latin-1") for call in calls.values()] if calls else None


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge()


def call(method: str = "eth_blockNumber", **members: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": []} | members


ALLOWED = [
    (json.dumps(call()), "short", False, "eth_blockNumber"),
    (json.dumps(call("eth_call")), "call", False, "eth_call"),
    (json.dumps(call("eth_getLogs")), "long", False, "eth_getLogs"),
    (json.dumps(call("eth_somethingNew")), "long", False, "eth_somethingNew"),
    (json.dumps(call("net_version")), "long", False, "net_version"),
    (json.dumps(call("web3_clientVersion")), "long", False, "web3_clientVersion"),
    (json.dumps(call("eth_sendRawTransaction")), "short", True, "eth_sendRawTransaction"),
    (json.dumps([call(), call("eth_chainId")]), "short", False, "batch(2)"),
    (json.dumps([call()] * 6), "call", False, "batch(6)"),
    (json.dumps([call(), call("eth_call")]), "call", False, "batch(2)"),
    (json.dumps([call("eth_sendRawTransaction"), call("eth_getLogs")]), "long", True, "batch(2)"),
    (json.dumps([call()] * 20), "call", False, "batch(20)"),
    # whitespace wherever JSON takes it, members in any order, members that nobody knows, no params, no id
    (' \r\n\t{ "params" : [ ] ,\n"method" : "eth_call" , "x":{"method":"admin_peers"} } \n', "call", False, "eth_call"),
    ('{"method":"eth_blockNumber"}', "short", False, "eth_blockNumber"),
    # names as parameters are values, not calls
    (
        json.dumps(call("eth_call", params=["admin_peers", {"method": "admin_peers"}, [['"method"']]])),
        "call",
        False,
        "eth_call",
    ),
    (json.dumps(call("eth_call", params=['\\"],"method":"admin_peers']))[0:], "call", False, "eth_call"),
    # escapes in an allowed name, and in a member's name
    ('{"jsonrpc":"2.0","id":1,"\\u006dethod":"eth\\u005fcall"}', "call", False, "eth_call"),
    ('{"method":"eth_call","params":[1e5,-2.5E-3,true,false,null,{}]}', "call", False, "eth_call"),
    ('{"method":"eth_call","params":["' + "a" * 250_000 + '"]}', "call", False, "eth_call"),
    ('{"METHOD":"eth_call"}', "call", False, "eth_call"),
]


@pytest.mark.parametrize(("body", "rpc_class", "write", "logged"), ALLOWED)
def test_let_through(judge: Judge, body: str, rpc_class: str, write: bool, logged: str) -> None:
    found = judge(body)
    assert "refusal" not in found
    assert (found["class"], found["write"], found["calls"]) == (rpc_class, write, logged)


REFUSED_METHODS = [
    '{"jsonrpc":"2.0","id":1,"method":"admin_peers"}',
    '{"jsonrpc":"2.0","id":1,"method":"ad\\u006din_peers"}',
    '{"jsonrpc":"2.0","id":1,"method":"\\u0061\\u0064\\u006D\\u0069\\u006e_peers"}',
    '{"jsonrpc":"2.0","id":1,"m\\u0065thod":"debug_traceTransaction"}',
    '{"jsonrpc":"2.0","id":1,"METHOD":"admin_peers"}',
    '{"jsonrpc":"2.0","id":1,"method":"ADMIN_peers"}',
    '{"jsonrpc":"2.0","id":1,"method":"Eth_blockNumber"}',
    '{"jsonrpc":"2.0","id":1,"method":" eth_blockNumber"}',
    '{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber "}',
    '{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber\\u0000"}',
    '{"jsonrpc":"2.0","id":1,"method":"\\u0435th_blockNumber"}',
    '{"jsonrpc":"2.0","id":1,"method":"eth_"}',
    '{"jsonrpc":"2.0","id":1,"method":"eth"}',
    '{"jsonrpc":"2.0","id":1,"method":""}',
    '{"jsonrpc":"2.0","id":1,"method":"engine_newPayloadV4"}',
    '{"jsonrpc":"2.0","id":1,"method":"personal_listAccounts"}',
    '{"jsonrpc":"2.0","id":1,"method":"miner_start"}',
    '{"jsonrpc":"2.0","id":1,"method":"rpc_modules"}',
    '{"jsonrpc":"2.0","id":1,"method":"eth_newFilter"}',
    '{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}',
]


@pytest.mark.parametrize("body", REFUSED_METHODS)
def test_a_refused_method_is_answered_as_a_node_without_it_would(judge: Judge, body: str) -> None:
    found = judge(body)
    assert found["status"] == 200
    answer = json.loads(found["refusal"])
    assert (answer["jsonrpc"], answer["id"], answer["error"]["code"]) == ("2.0", 1, -32601)


def test_a_batch_with_a_refused_call_is_refused_whole_with_an_answer_for_each(judge: Judge) -> None:
    found = judge(json.dumps([call(id="a"), call("admin_peers", id=7), call("eth_call", id=None)]))
    answers = json.loads(found["refusal"])
    assert [answer["id"] for answer in answers] == ["a", 7, None]
    assert [answer["error"]["code"] for answer in answers] == [-32600, -32601, -32600]
    assert "admin_peers" in answers[0]["error"]["message"]


UNREADABLE = [
    "",
    " ",
    "x",
    '"eth_blockNumber"',
    "null",
    "{",
    "[",
    "{}",
    "[]",
    "[[]]",
    "[1]",
    '[[{"method":"eth_blockNumber"}]]',
    '[{"method":"eth_blockNumber"},[{"method":"admin_peers"}]]',
    '[{"method":"eth_blockNumber"}',
    '[{"method":"eth_blockNumber"},]',
    '[{"method":"eth_blockNumber"} {"method":"admin_peers"}]',
    '{"method":"eth_blockNumber"',
    '{"method":"eth_blockNumber"}{"method":"admin_peers"}',
    '{"method":"eth_blockNumber"}[{"method":"admin_peers"}]',
    '{"method":"eth_blockNumber"},',
    '{"method":"eth_blockNumber"}\x00',
    '\ufeff{"method":"eth_blockNumber"}',
    '{"method":"eth_blockNumber","method":"admin_peers"}',
    '{"method":"eth_blockNumber","Method":"admin_peers"}',
    '{"method":"eth_blockNumber","\\u004dETHOD":"admin_peers"}',
    '{"id":1,"id":2,"method":"eth_blockNumber"}',
    '{"method":["admin_peers"]}',
    '{"method":{"method":"admin_peers"}}',
    '{"method":null}',
    '{"method":1}',
    '{"id":1,"result":"0x1"}',
    '{"method":"eth_blockNumber\\"}',
    '{"method":"eth_block\\xNumber"}',
    '{"method":"eth_block\\u00"}',
    "{'method':'eth_blockNumber'}",
    '{method:"eth_blockNumber"}',
    '{"method" "eth_blockNumber"}',
    '{"method":"eth_call","params":' + "[" * 65 + "]" * 65 + "}",
    '{"method":"eth_call","params":' + "[" * 100_000,
    "[" + ",".join(['{"method":"eth_blockNumber"}'] * 21) + "]",
    '{"method":"eth_call","params":["' + "a" * 1000,
]


@pytest.mark.parametrize("body", UNREADABLE)
def test_what_could_be_read_in_two_ways_is_refused(judge: Judge, body: str) -> None:
    found = judge(body)
    assert found["status"] == 400
    answer = json.loads(found["refusal"])
    assert (answer["id"], answer["error"]["code"]) == (None, -32700)
    assert "class" not in found


def test_ids_come_back_as_they_were_sent_or_as_null(judge: Judge) -> None:
    for sent, returned in [
        ("7", 7),
        ("-1", -1),
        ('"abc ]~[!#"', "abc ]~[!#"),
        ("null", None),
        ('"a\\"b"', None),
        ('"' + "x" * 500 + '"', None),
        ("1.5", None),
        ("true", None),
        ('{"a":1}', None),
        ('"\x01"', None),
        ('"\u00e9"', None),
    ]:
        assert json.loads(judge('{"method":"admin_peers","id":' + sent + "}")["refusal"])["id"] == returned


def test_what_a_client_sent_cannot_break_out_of_the_answer_or_the_log(judge: Judge) -> None:
    found = judge(json.dumps(call('admin_"},"result":1,\n\x7f\\\u2028' + "x" * 300)))
    assert json.loads(found["refusal"])["error"]["code"] == -32601
    assert found["calls"] == "unnamed"
    assert len(found["refusal"]) < 250


def go_sees(body: bytes) -> list[str] | None:
    """The methods that Go's decoder, and so geth, finds in a body; None when it refuses the body."""

    def member(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {key.lower() if key.lower() == "method" else key: value for key, value in pairs}

    try:
        document = json.loads(body.decode("utf-8", "replace"), object_pairs_hook=member)
    except (ValueError, RecursionError):
        return None
    calls = document if isinstance(document, list) else [document]
    if not calls or not all(isinstance(entry, dict) and isinstance(entry.get("method"), str) for entry in calls):
        return None
    return [entry["method"] for entry in calls]


def test_it_never_sees_fewer_methods_than_the_node_does(judge: Judge) -> None:
    """Bodies damaged at random: whatever Go still accepts, the scanner reads alike or refuses."""
    source = random.Random(20)
    seeds = [
        json.dumps(call("eth_call", params=[{"to": "0x00", "data": 'a\\"b'}, "latest"])),
        json.dumps([call("admin_peers"), call("eth_call", params=[[1, 2, {"method": "x"}]])]),
        '{"jsonrpc":"2.0","id":1,"\\u006dethod":"ad\\u006din_peers","params":["\\\\",{"a":"]}"}]}',
        '{"method":"a_b","Method":"c_d"}',
    ]
    pieces = [
        '"',
        "\\",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "method",
        '"method":"admin_x"',
        "\\u006d",
        " ",
        "\n",
        "1",
        "\\\\",
        '\\"',
        "é",
    ]
    agreed = refused = 0
    for _dummy in range(30_000):
        body = source.choice(seeds)
        for _dummy in range(source.randint(1, 4)):
            at = source.randrange(len(body) + 1)
            end = at + source.choice([0, 0, 1, 2, 5])
            body = body[:at] + source.choice(pieces) + body[end:]
        raw = body.encode()
        expected = go_sees(raw)
        if expected is None:
            continue
        found = judge.methods(raw)
        if found is None:
            refused += 1
            continue
        plain = [name for name in expected if name.isascii()]
        assert [name for name in found if "\xff" not in name and name.isascii()] == plain, body
        agreed += 1
    assert agreed > 3_000
    assert refused > 20
