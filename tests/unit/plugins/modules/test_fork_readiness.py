# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""fork_readiness beside real HTTP servers that know more, less, something else, or nothing."""

from __future__ import annotations

import json
import time

import pytest
from ansible_collections.chainops.infra.plugins.modules import fork_readiness

from tests.unit.plugins.module_utils.chain.servers import Server, closed_port, drip, hang
from tests.unit.plugins.modules.in_process import run_module

PRAGUE = {"activationTime": 0, "chainId": "0x7e7e", "forkId": "0xAAAAAAAA", "blobSchedule": {"max": 9, "target": 6}}
OSAKA = {
    "activationTime": 4102444800,
    "chainId": "0x7e7e",
    "forkId": "0xbbbbbbbb",
    "blobSchedule": {"target": 6, "max": 9},
}
OTHER = OSAKA | {"activationTime": 4102444801}


def answer(result=None, error=None):
    body = {"jsonrpc": "2.0", "id": 1} | ({"error": error} if error else {"result": result})
    return lambda _method, _path, _body: (200, json.dumps(body).encode())


def config(current=None, coming=None):
    current = current or PRAGUE
    return answer({"current": current, "next": coming, "last": coming})


@pytest.fixture
def sites():
    servers = []

    def start(**responds):
        pairs = []
        for name, respond in responds.items():
            server = Server(respond)
            servers.append(server)
            pairs.append({"name": name, "execution_url": server.url})
        return pairs

    yield start
    for server in servers:
        server.close()


def run(pairs, **options):
    return run_module(fork_readiness, pairs=pairs, **options)


def test_pairs_that_know_the_same_agree(sites):
    result = run(sites(a=config(coming=OSAKA), b=config(coming=OSAKA)))
    assert not result.get("failed"), result
    assert result["conflicts"] == result["notes"] == []
    assert result["pairs"][0]["current"]["fork_id"] == "0xaaaaaaaa"
    assert result["pairs"][1]["next"]["activation_time"] == 4102444800


def test_another_current_fork_is_a_conflict_with_both_names(sites):
    result = run(sites(a=config(), b=config(current=PRAGUE | {"forkId": "0xcccccccc"})))
    assert result["failed"]
    assert "a is at fork 0xaaaaaaaa (from genesis on), b at 0xcccccccc" in result["msg"]


def test_another_blob_schedule_of_the_same_fork_is_a_conflict(sites):
    result = run(sites(a=config(), b=config(current=PRAGUE | {"blobSchedule": {"max": 12, "target": 9}})))
    assert result["failed"]
    assert "different rules for the current fork" in result["msg"]


def test_two_ideas_of_the_next_fork_are_a_conflict(sites):
    result = run(sites(a=config(coming=OSAKA), b=config(), c=config(coming=OTHER)))
    assert result["failed"]
    assert "a knows 0xbbbbbbbb (2100-01-01 00:00:00 UTC) as the next fork, c knows" in result["msg"]


def test_one_that_does_not_know_the_next_fork_yet_is_a_warning(sites):
    result = run(sites(a=config(coming=OSAKA), b=config()))
    assert not result.get("failed"), result
    assert "b would leave the chain at the fork 0xbbbbbbbb" in result["notes"][0]


def test_the_upgraded_one_may_know_more(sites):
    assert not run(sites(a=config(), b=config(coming=OSAKA)), subject="b").get("failed")


@pytest.mark.parametrize("coming", [None, OTHER])
def test_the_upgraded_one_may_not_know_less_or_something_else(sites, coming):
    result = run(sites(a=config(coming=OSAKA), b=config(coming=coming)), subject="b")
    assert result["failed"]
    assert "a knows 0xbbbbbbbb (2100-01-01 00:00:00 UTC) as the next fork, b knows" in result["msg"]


def test_a_difference_between_others_does_not_concern_the_upgraded_one(sites):
    result = run(sites(a=config(), b=config(), c=config(current=PRAGUE | {"chainId": "0x1"})), subject="a")
    assert "c" in result["msg"]
    result = run(sites(a=config(), b=config(coming=OSAKA), c=config(coming=OSAKA)), subject="b")
    assert not result.get("failed"), result


TOO_OLD = answer(error={"code": -32601, "message": "the method eth_config does not exist/is not available"})


def test_a_client_without_the_method_is_named_and_no_failure(sites):
    result = run(sites(a=config(), b=TOO_OLD))
    assert not result.get("failed"), result
    assert result["notes"] == ["b is too old to tell its forks (no eth_config)"]


def test_the_upgraded_one_must_have_the_method(sites):
    result = run(sites(a=config(), b=TOO_OLD), subject="b")
    assert result["failed"]
    assert "b does not tell its forks" in result["msg"]


@pytest.mark.parametrize(
    "respond",
    [
        answer(error={"code": -32000, "message": "unable to load genesis"}),
        answer(None),
        answer({"current": None}),
        answer({"current": {"forkId": 7}}),
        answer({"current": PRAGUE | {"activationTime": "soon"}}),
        answer(["0x1"]),
        lambda *_request: (503, b"busy"),
        lambda *_request: (200, b"<html>"),
        lambda *_request: (200, b"[" * 100000),
    ],
)
def test_an_answer_that_is_none_is_a_failure_that_names_the_pair_and_its_address(sites, respond):
    pairs = sites(a=config(), b=respond)
    result = run(pairs)
    assert result["failed"]
    assert "b does not tell its forks" in result["msg"]
    assert pairs[1]["execution_url"] in result["msg"]


def test_nobody_there_is_said(sites):
    pairs = [*sites(a=config()), {"name": "b", "execution_url": f"http://127.0.0.1:{closed_port()}"}]
    assert "nothing listens there" in run(pairs)["msg"]


def test_one_that_hangs_costs_the_others_nothing(sites):
    pairs = sites(a=config(), b=config(), c=config())
    hanging, dripping = Server(), Server()
    hanging.fault, dripping.fault = hang(20), drip(b"x" * 100, 0.2)
    pairs += [{"name": "d", "execution_url": hanging.url}, {"name": "e", "execution_url": dripping.url}]
    started = time.monotonic()
    result = run(pairs, timeout=1)
    assert time.monotonic() - started < 3
    assert [bool(pair["error"]) for pair in result["pairs"]] == [False, False, False, True, True]


def test_a_difference_may_go_away_in_the_time_given(sites):
    pairs = sites(a=config(), b=config(current=OSAKA))
    before = time.monotonic()

    def respond(*request):
        late = time.monotonic() - before > 1.5
        return (config() if late else config(current=OSAKA))(*request)

    late = Server(respond)
    pairs[1]["execution_url"] = late.url
    assert run(pairs)["failed"]
    assert not run(pairs, wait_timeout=10).get("failed")
    late.close()


def test_mistakes_in_the_options_are_named():
    pair = {"name": "a", "execution_url": "http://127.0.0.1:1"}
    assert "two pairs are named a" in run([pair, pair])["msg"]
    assert "subject is z, which is none of the pairs: a" in run([pair], subject="z")["msg"]
    assert "timeout is 0.0" in run([pair], timeout=0)["msg"]
    assert "holds a user or password" in run([pair | {"execution_url": "http://u:p@h"}])["msg"]
