# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""rpc_address_info before balancers (real HTTP servers) that tell who answers, change their mind, or tell nothing."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible_collections.chainops.infra.plugins.modules import rpc_address_info

from tests.unit.plugins.modules.in_process import run_module

GOOD = json.dumps({"jsonrpc": "2.0", "id": 1, "result": "0x10"}).encode()


class Balancer:
    """``node()`` is who answers now; None is an answer without names."""

    def __init__(self, node, status=200, body=GOOD):
        self.node, self.status, self.body, self.connections = node, status, body, 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                outer.connections += 1
                super().setup()

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(outer.status)
                node = outer.node()
                if node:
                    self.send_header("x-node", node)
                    self.send_header("x-balancer", "lb-a1")
                self.send_header("Content-Length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *_arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


@pytest.fixture
def balancer():
    made = []

    def make(*arguments, **more):
        made.append(Balancer(*arguments, **more))
        return made[-1]

    yield make
    for each in made:
        each.server.shutdown()
        each.server.server_close()


def run(**options):
    return run_module(rpc_address_info, **options)


def test_who_answers_over_a_connection_each(balancer):
    names = iter(["eth-a", "eth-b"] * 10)
    address = balancer(lambda: next(names))
    result = run(url=address.url, answers=4)
    assert (result["nodes"], result["balancers"], result["head"]) == (["eth-a", "eth-b"], ["lb-a1"], 16)
    assert address.connections == 4


def test_it_waits_until_the_node_is_asked_no_more(balancer):
    started = time.monotonic()
    address = balancer(lambda: "eth-a" if time.monotonic() - started < 1 else "eth-b")
    result = run(url=address.url, not_from=["eth-a"], timeout=10)
    assert result["nodes"] == ["eth-b"]
    assert time.monotonic() - started >= 1


def test_one_answer_of_the_node_begins_the_row_again(balancer):
    names = iter(["eth-b"] * 4 + ["eth-a"] + ["eth-b"] * 20)
    address = balancer(lambda: next(names))
    assert run(url=address.url, not_from=["eth-a"])["nodes"] == ["eth-b"]
    assert address.connections == 10


def test_a_node_that_goes_on_answering_is_named(balancer):
    result = run(url=balancer(lambda: "eth-a").url, not_from=["eth-a"], timeout=0.5)
    assert result["failed"]
    assert "it is still answered by eth-a (waited 0.5 s)" in result["msg"]


def test_balancers_that_do_not_tell_are_believed(balancer):
    assert run(url=balancer(lambda: None).url, not_from=["eth-a"])["nodes"] == []


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [(503, b"{}", "HTTP status 503"), (200, b"<html>", "no block number"), (200, b'{"error": {}}', "no block number")],
)
def test_what_is_no_answer_is_said(balancer, status, body, said):
    result = run(url=balancer(lambda: "eth-b", status=status, body=body).url, timeout=0.3)
    assert result["failed"]
    assert said in result["msg"]


def test_nobody_there(balancer):
    address = balancer(lambda: None)
    address.server.shutdown()
    address.server.server_close()
    assert "Connection refused" in run(url=address.url, timeout=0.3)["msg"]


def test_mistakes_in_the_options_are_named():
    assert "must begin with http" in run(url="ftp://x")["msg"]
    assert "answers is 0" in run(url="http://127.0.0.1:1", answers=0)["msg"]
