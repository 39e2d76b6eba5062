# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What watching costs: many endpoints by one deadline, and the daemon's memory and processor time. On loopback only."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from tests.lab import results
from tests.unit.plugins.module_utils.chain.servers import Node, closed_port, hang
from tests.unit.plugins.module_utils.chain.world import CHAIN_ID

ENDPOINTS, HANGING, TIMEOUT = 50, 5, 5.0
SLOT = 2.0
TRANSACTIONS = 200  # of a block, as on mainnet
WARM_UP_S, MEASURE_S = 10, 30
# three balancers that each check twice a second, by HTTP and by agent
POLLS_PER_SECOND = 12


def following_clock(count):
    """Nodes whose head follows the clock, with blocks of the size that mainnet has."""
    genesis = int(time.time() - 2000 * SLOT)
    nodes = [Node() for _number in range(count)]

    def block_of(node):
        def block(number):
            if number > node.head:
                return None
            return {
                "number": hex(number),
                "hash": node.hash(number),
                "timestamp": hex(int(genesis + number * SLOT)),
                "logsBloom": "0x" + "00" * 256,
                "transactions": ["0x" + "ab" * 32] * TRANSACTIONS,
            }

        return block

    def move():
        while True:
            for node in nodes:
                node.head = int((time.time() - genesis) / SLOT)
            time.sleep(0.05)

    for node in nodes:
        node._block = block_of(node)
    threading.Thread(target=move, daemon=True).start()
    time.sleep(0.1)
    return nodes


def urls(name, node):
    return {"name": name, "execution_url": node.execution.url, "consensus_url": node.consensus.url}


def record(case):
    case.passed = not case.over_limit()
    results.save("bench", [case], full_length=True)
    assert case.passed, case.over_limit()


def test_fifty_endpoints_of_which_five_hang():
    """The module as a process of its own, from its start to its end."""
    sound, hanging, reference = following_clock(3)
    for server in (hanging.execution, hanging.consensus):
        server.fault = hang(60)
    pairs = [urls(f"p{n}", hanging if n % (ENDPOINTS // HANGING) == 0 else sound) for n in range(ENDPOINTS)]
    arguments = {
        "pairs": pairs,
        "references": [urls("r", reference)],
        "policy": {"slot_seconds": SLOT, "max_age_slots": 10, "admit_age_slots": 10},
        "timeout": TIMEOUT,
    }
    module = results.ROOT / "plugins" / "modules" / "chain_health_info.py"
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(module)],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        env={**os.environ, "PYTHONPATH": str(results.ROOT / ".ansible" / "collections")},
        capture_output=True,
        text=True,
        check=True,
    )
    elapsed = time.monotonic() - start
    states = [pair["state"] for pair in json.loads(done.stdout)["pairs"]]
    assert states.count("unfit") == HANGING
    assert states.count("healthy") == ENDPOINTS - HANGING
    record(
        results.Case(
            "chain_health_info-50-endpoints-5-hang",
            figures={"elapsed_s": round(elapsed, 2), "timeout_s": TIMEOUT, "ratio": round(elapsed / TIMEOUT, 3)},
            limits={"ratio": 1.2},
            note="seconds of the module's process against the timeout given",
        )
    )


@pytest.fixture
def daemon(tmp_path):
    """The daemon as it is installed, beside a pair with three references."""
    nodes = following_clock(4)
    package = tmp_path / "lib" / "chain_health"
    source = results.ROOT / "plugins" / "module_utils"
    for name in ("chain", "chain_daemon"):
        shutil.copytree(source / name, package / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(results.ROOT / "roles" / "chain_health" / "files" / "main.py", package / "__main__.py")
    config = {
        "execution_url": nodes[0].execution.url,
        "consensus_url": nodes[0].consensus.url,
        "references": [urls(f"r{n}", node) for n, node in enumerate(nodes[1:])],
        "policy": {"slot_seconds": SLOT, "max_age_slots": 10, "admit_age_slots": 10},
        "chain_id": CHAIN_ID,
        "clock": "off",
        "disks": [{"path": "/", "min_free_bytes": 1}],
        "http_port": closed_port(),
        "agent_port": closed_port(),
    }
    for name in ("state_dir", "run_dir"):
        config[name] = str(tmp_path / name)
        Path(config[name]).mkdir()
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    process = subprocess.Popen([sys.executable, "-IB", str(package), "--config", str(path), "run"])
    yield process, config
    process.terminate()
    process.wait(10)


def test_the_daemon_at_one_sample_a_second(daemon):
    process, config = daemon
    end = time.monotonic() + WARM_UP_S + MEASURE_S
    latencies: list[float] = []

    def poll():
        while time.monotonic() < end:
            start = time.monotonic()
            with socket.create_connection(("127.0.0.1", config["agent_port"]), 2) as sock:
                sock.recv(200)
            latencies.append(time.monotonic() - start)
            with urllib.request.urlopen(f"http://127.0.0.1:{config['http_port']}/health", timeout=2) as answer:
                assert answer.status == 200
            time.sleep(max(0.0, start + 2 / POLLS_PER_SECOND - time.monotonic()))

    time.sleep(WARM_UP_S)
    before = processor_seconds(process.pid)
    start = time.monotonic()
    poll()
    used = processor_seconds(process.pid) - before
    share = 100 * used / (time.monotonic() - start)
    record(
        results.Case(
            "chain_health-daemon",
            figures={
                "rss_mb": round(resident_kilobytes(process.pid) / 1000, 1),
                "cpu_percent": round(share, 2),
                "agent_ms": round(1000 * sorted(latencies)[len(latencies) // 2], 2),
            },
            limits={"rss_mb": 35, "cpu_percent": 1, "agent_ms": 10},
            note=f"a pair, 3 references, {TRANSACTIONS} transactions a block, {POLLS_PER_SECOND} checks a second",
        )
    )


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_kilobytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise LookupError("VmRSS")
