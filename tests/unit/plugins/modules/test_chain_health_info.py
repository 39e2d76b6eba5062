# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module against fake clients: verdicts, gates, and never longer than it was given."""

from __future__ import annotations

import json
import threading
import time

import pytest
from ansible_collections.chainops.infra.plugins.modules import chain_health_info as module_under_test

from tests.unit.plugins.module_utils.chain.servers import Node, Server, closed_port, hang
from tests.unit.plugins.module_utils.chain.world import CHAIN_ID


class Exit(Exception):
    pass


def run(monkeypatch, **params):
    """(result, failed) of one run of the module with these parameters."""

    class Module:
        def __init__(self, argument_spec, supports_check_mode):
            assert supports_check_mode
            self.params = {name: entry.get("default") for name, entry in argument_spec.items()} | params
            for what in ("pairs", "references"):
                options = argument_spec[what]["options"]
                self.params[what] = [dict.fromkeys(options) | entry for entry in self.params[what]]

        def exit_json(self, **result):
            raise Exit(result, False)

        def fail_json(self, **result):
            raise Exit(result, True)

    monkeypatch.setattr(module_under_test, "AnsibleModule", Module)
    with pytest.raises(Exit) as ended:
        module_under_test.main()
    json.dumps(ended.value.args[0])
    return ended.value.args


def now_node():
    """A node whose head is now, for a chain of one-second slots."""
    node = Node(2000)
    node.origin = int(time.time()) - 2000
    node.finalizes = True

    def block(number):
        if number > node.head:
            return None
        return {"number": hex(number), "hash": node.hash(number), "timestamp": hex(node.origin + number)}

    node._block = block
    return node


POLICY = {"slot_seconds": 60, "slots_per_epoch": 32, "max_finality_epochs": 100}


@pytest.fixture
def nodes():
    made = [now_node() for _number in range(4)]
    yield made
    for node in made:
        node.close()


def pair(name, node, **more):
    return {"name": name, "execution_url": node.execution.url, "consensus_url": node.consensus.url, **more}


def test_sound_pairs(monkeypatch, nodes):
    result, failed = run(
        monkeypatch,
        pairs=[pair("one", nodes[0]), pair("two", nodes[1])],
        references=[pair("r1", nodes[2]), pair("r2", nodes[3])],
        policy=POLICY,
    )
    assert not failed
    assert result["changed"] is False
    assert [(p["name"], p["state"], p["admissible"]) for p in result["pairs"]] == [
        ("one", "healthy", True),
        ("two", "healthy", True),
    ]
    one = result["pairs"][0]
    assert one["head"]["number"] == 2000
    assert one["execution"]["chain_id"] == CHAIN_ID
    assert one["finalized_block"] == 1920
    assert one["daemon"] is None
    assert result["references"][0] == {
        "name": "r1",
        "error": None,
        "version": "Geth/v1.17.8-fake",
        "head_block": 2000,
        "finalized_block": 1920,
    }
    assert result["looks"] == 1


def test_bad_pairs_say_why_and_do_not_fail_without_a_gate(monkeypatch, nodes):
    nodes[0].head = 1000
    nodes[1].chain_id = 1
    dead = {"name": "dead", "execution_url": f"http://127.0.0.1:{closed_port()}", "consensus_url": "http://127.0.0.1:1"}
    result, failed = run(
        monkeypatch,
        pairs=[pair("old", nodes[0]), pair("elsewhere", nodes[1]), dead],
        references=[pair("r1", nodes[2]), pair("r2", nodes[3])],
        policy=POLICY,
    )
    assert not failed
    assert {p["name"]: p["state"] for p in result["pairs"]} == {"old": "stale", "elsewhere": "forked", "dead": "unfit"}
    assert "connection refused" in result["pairs"][2]["execution"]["error"]
    assert result["pairs"][0]["reasons"][0]["code"] == "stale"


def test_a_fault_that_has_gone_at_the_second_sample_is_none(monkeypatch, nodes):
    def once(handler):
        nodes[0].execution.fault = None
        handler.close_connection = True

    nodes[0].execution.fault = once
    result, _failed = run(
        monkeypatch,
        pairs=[pair("one", nodes[0]), pair("two", nodes[1])],
        references=[pair("r", nodes[2])],
        policy=POLICY,
    )
    assert [p["state"] for p in result["pairs"]] == ["healthy", "healthy"]


def test_fifty_endpoints_of_which_five_hang_take_no_longer_than_given(monkeypatch):
    node, hanging = now_node(), now_node()
    hanging.execution.fault = hang(30)
    hanging.consensus.fault = hang(30)
    pairs = [pair(f"p{number}", hanging if number % 10 == 0 else node) for number in range(50)]
    start = time.monotonic()
    result, failed = run(monkeypatch, pairs=pairs, policy=POLICY, timeout=2.0)
    elapsed = time.monotonic() - start
    assert elapsed <= 2.0 * 1.2
    assert not failed
    states = [p["state"] for p in result["pairs"]]
    assert states.count("unfit") == 5
    assert states.count("healthy") == 45
    node.close()
    hanging.close()


def test_hanging_references_take_no_longer_either(monkeypatch, nodes):
    nodes[2].execution.fault = hang(30)
    start = time.monotonic()
    result, _failed = run(
        monkeypatch,
        pairs=[pair("one", nodes[0])],
        references=[pair("hangs", nodes[2]), pair("good", nodes[3])],
        policy=POLICY,
        timeout=1.0,
    )
    assert time.monotonic() - start <= 1.2
    assert result["pairs"][0]["state"] == "healthy"
    assert result["pairs"][0]["admissible"] is True
    assert "in the time given" in result["references"][0]["error"]


class TestGate:
    def test_waits_for_a_client_that_starts(self, monkeypatch, nodes):
        nodes[0].execution.fault = lambda handler: setattr(handler, "close_connection", True)
        threading.Timer(0.7, lambda: setattr(nodes[0].execution, "fault", None)).start()
        result, failed = run(
            monkeypatch,
            pairs=[pair("one", nodes[0])],
            policy=POLICY,
            wait_for=["healthy"],
            interval=0.1,
            wait_timeout=10.0,
        )
        assert not failed
        assert result["looks"] > 1
        assert 0.6 < result["elapsed_seconds"] < 3

    def test_fails_in_time_and_names_who_is_not_there_and_why(self, monkeypatch, nodes):
        nodes[1].execution.fault = hang(30)
        result, failed = run(
            monkeypatch,
            pairs=[pair("good", nodes[0]), pair("bad", nodes[1])],
            policy=POLICY,
            timeout=0.5,
            wait_for=["healthy"],
            interval=0.2,
            wait_timeout=1.5,
        )
        assert failed
        assert "1 of 2 pairs are not there: bad is unfit: execution client: POST http://127.0.0.1" in result["msg"]
        assert "good is" not in result["msg"]
        assert result["elapsed_seconds"] < 2.2

    def test_admissible_is_stricter_than_healthy(self, monkeypatch, nodes):
        nodes[0].head = 1997  # three behind
        arguments = {
            "pairs": [pair("one", nodes[0])],
            "references": [pair("r1", nodes[2]), pair("r2", nodes[3])],
            "policy": POLICY,
            "wait_for": ["healthy"],
            "interval": 0.1,
            "wait_timeout": 0.3,
        }
        assert not run(monkeypatch, **arguments)[1]
        result, failed = run(monkeypatch, **arguments, wait_admissible=True)
        assert failed
        assert "one is healthy, but not ready for service: 3 blocks behind the references" in result["msg"]

    @pytest.mark.parametrize(
        ("says", "wanted", "passes"), [(True, True, True), (True, False, False), (False, False, True)]
    )
    def test_on_what_the_daemon_says(self, monkeypatch, nodes, says, wanted, passes):
        body = json.dumps({"in_service": says, "reason": "because"}).encode()
        daemon = Server(lambda _method, _path, _body: (200, body))
        result, failed = run(
            monkeypatch,
            pairs=[pair("one", nodes[0], status_url=daemon.url + "/status")],
            policy=POLICY,
            wait_in_service=wanted,
            interval=0.1,
            wait_timeout=0.3,
        )
        assert failed is not passes
        assert result["pairs"][0]["daemon"]["in_service"] is says
        assert daemon.requests[0][1] == "/status"
        if failed:
            assert "one, health daemon: in service: because" in result["msg"]
        daemon.close()

    @pytest.mark.parametrize("body", [b"[]", b"{}", b"nonsense"])
    def test_a_daemon_that_says_nothing_of_use(self, monkeypatch, nodes, body):
        daemon = Server(lambda _method, _path, _body: (200, body))
        result, failed = run(
            monkeypatch,
            pairs=[pair("one", nodes[0], status_url=daemon.url)],
            policy=POLICY,
            wait_in_service=True,
            interval=0.1,
            wait_timeout=0.2,
        )
        assert failed
        assert (
            f"one, health daemon: GET {daemon.url}" in result["msg"] or f"health daemon: {daemon.url}" in result["msg"]
        )
        daemon.close()


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"pairs": [{"name": "a", "execution_url": "x", "consensus_url": "http://x"}]}, "pair a: URL"),
        ({"references": [{"name": "r", "execution_url": "http://u:geheim@h"}]}, "reference r: URL"),
        (
            {"pairs": [{"name": "a", "execution_url": "http://x", "consensus_url": "http://x"}] * 2},
            "the name a is given twice",
        ),
        ({"policy": {"max_age": 5}}, "unknown in the policy: max_age"),
        ({"policy": {"max_age_slots": "1"}}, "max_age_slots is 1, it must be a number of at least 2"),
        ({"policy": {"max_age_slots": "many"}}, "max_age_slots is 'many'"),
        ({"timeout": 0.0}, "timeout is 0.0, it must be more than 0 seconds"),
        ({"interval": -1.0}, "interval is -1.0"),
        ({"wait_in_service": True}, "wait_in_service needs a status_url of every pair; there is none of one"),
    ],
)
def test_arguments_that_do_not_fit(monkeypatch, params, says):
    sound = {"pairs": [{"name": "one", "execution_url": "http://127.0.0.1:1", "consensus_url": "http://127.0.0.1:1"}]}
    result, failed = run(monkeypatch, **(sound | params))
    assert failed
    assert says in result["msg"]
    assert "geheim" not in result["msg"]
