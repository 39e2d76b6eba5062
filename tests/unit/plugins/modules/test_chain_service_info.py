# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What chain_service_info tells of a pair that has been upgraded, and what it waits for."""

from __future__ import annotations

import json
import time

import pytest
from ansible_collections.chainops.infra.plugins.modules import chain_service_info

from tests.unit.plugins.module_utils.chain.servers import Server
from tests.unit.plugins.modules.in_process import run_module


@pytest.fixture
def daemon():
    servers = []

    def start(status, history=None):
        def respond(_method, path, _body):
            if path == "/history":
                return (404, b"no") if history is None else (200, json.dumps(history).encode())
            return 200, json.dumps({"in_service": False, "reason": "", "drain": None} | status()).encode()

        servers.append(Server(respond))
        return servers[-1].port

    yield start
    for server in servers:
        server.close()


def test_a_drained_pair_is_fit_when_its_verdict_stays_good(daemon):
    drain = {"who": "rolling_upgrade", "reason": "x", "since": 1.0}
    port = daemon(lambda: {"state": "degraded", "admitted": True, "drain": drain})
    started = time.monotonic()
    result = run_module(chain_service_info, port=port, wait_admitted=10, settle=1)
    assert not result.get("failed"), result
    assert 1 <= time.monotonic() - started < 4


def test_a_verdict_that_breaks_off_begins_again(daemon):
    started = time.monotonic()

    def status():
        broken = 0.5 < time.monotonic() - started < 1.2
        return {"state": "unfit" if broken else "healthy", "admitted": not broken}

    assert not run_module(chain_service_info, port=daemon(status), wait_admitted=10, settle=1).get("failed")
    assert time.monotonic() - started > 2.1


@pytest.mark.parametrize(
    "status", [{"state": "unknown", "admitted": True}, {"state": "healthy", "admitted": False}, {"state": "stale"}]
)
def test_anything_else_is_not_fit(daemon, status):
    result = run_module(chain_service_info, port=daemon(lambda: status), wait_admitted=1, settle=1)
    assert result["failed"]
    assert f"not fit to serve after 1 s: {status['state']}" in result["msg"]


def test_in_check_mode_nothing_is_waited_for(daemon):
    port = daemon(lambda: {"state": "stale", "admitted": False})
    assert not run_module(chain_service_info, check=True, port=port, wait_admitted=60).get("failed")


def test_history_comes_along_and_an_older_daemon_has_none(daemon):
    page = {"point_seconds": 10, "fields": [], "points": [[1, 2, 3, 1]]}

    def good():
        return {"state": "healthy", "admitted": True}

    assert run_module(chain_service_info, port=daemon(good, page), history=True)["history"] == page
    assert run_module(chain_service_info, port=daemon(good), history=True)["history"] == {}
    assert "history" not in run_module(chain_service_info, port=daemon(good, page))
