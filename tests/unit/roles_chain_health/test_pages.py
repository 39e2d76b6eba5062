# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is answered: pure text from snapshots."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.chain import health
from ansible_collections.chainops.infra.plugins.module_utils.chain.admission import Admission
from ansible_collections.chainops.infra.plugins.module_utils.chain.samples import (
    Clock,
    ConsensusSample,
    Disk,
    ExecutionSample,
)
from ansible_collections.chainops.infra.plugins.module_utils.chain_daemon import pages
from ansible_collections.chainops.infra.plugins.module_utils.chain_daemon.config import Config
from ansible_collections.chainops.infra.plugins.module_utils.chain_daemon.loop import Snapshot
from ansible_collections.chainops.infra.plugins.module_utils.chain_daemon.state import Drain

from tests.unit.plugins.module_utils.chain.world import POLICY, pair, reference, silent

CONFIG = Config(execution_url="http://127.0.0.1:8545", consensus_url="http://127.0.0.1:3500", policy=POLICY)
DRAIN = Drain('memory "swap"\n', "ops", 1.0)


def snapshot(sample=None, references=None, rounds=3, at=100.0):
    """After some rounds of the same."""
    sample = sample or pair(1000, 1000.3)
    references = [reference("a", 1000, 1000.3), silent("b")] if references is None else references
    machine = Admission(POLICY)
    assessment = health.judge(sample, references, POLICY)
    for number in range(rounds):
        verdict = machine.step(assessment, number)
    return Snapshot(
        at=at,
        wall=sample.now,
        since_wall=sample.now,
        duration=0.01,
        verdict=verdict,
        assessment=assessment,
        pair=sample,
        references=tuple(references),
        rounds=rounds,
        changes={"admitted": 1},
        failures={"reference b": 3},
    )


BAD = snapshot(replace(pair(1000, 1000.3), execution=ExecutionSample(error="POST http://x: gone\nünd")))
EMPTY = snapshot(
    replace(pair(1000, 1000.3), execution=ExecutionSample(error="x"), consensus=ConsensusSample(error="y")),
    references=[],
)
FULL = snapshot(
    replace(pair(1000, 1000.3), disks=(Disk("/d", 5, 1), Disk("/e", None, 1, "?")), clock=Clock(True, 0.01))
)
ALL = {"none": None, "good": snapshot(), "bad": BAD, "empty": EMPTY, "full": FULL}


def test_up():
    assert pages.agent_line(pages.service(CONFIG, snapshot(), None, 100.5)) == b"up\n"


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("drain", [None, DRAIN])
@pytest.mark.parametrize("now", [100.5, 1000.0])
def test_only_one_case_of_all_is_up(name, drain, now):
    answer = pages.service(CONFIG, ALL[name], drain, now)
    assert answer.up == (name in ("good", "full") and drain is None and now == 100.5)
    assert answer.reason


def test_an_old_sample_is_down_even_while_drained():
    answer = pages.service(CONFIG, snapshot(), DRAIN, 100 + CONFIG.max_silence + 0.1)
    assert answer.word == "down"
    assert "hangs" in answer.reason


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("drain", [None, DRAIN])
def test_the_agents_line_is_one_that_haproxy_understands(name, drain):
    line = pages.agent_line(pages.service(CONFIG, ALL[name], drain, 100.5))
    assert re.fullmatch(rb"up\n|(down|stopped) #[ -~]{1,220}\n", line)
    assert not re.search(rb"\b(ready|maint|drain)\b", line.partition(b"#")[0])


def test_a_drain_is_stopped_with_its_author():
    line = pages.agent_line(pages.service(CONFIG, snapshot(), DRAIN, 100.5))
    assert line == b'stopped #drained by ops: memory "swap"?\n'


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("drain", [None, DRAIN])
def test_status_is_json_for_every_snapshot(name, drain):
    status = json.loads(pages.status_json(CONFIG, ALL[name], drain, 100.5))
    assert {"in_service", "state", "admitted", "reason", "drain", "policy"} <= set(status)
    if name == "good":
        assert status["execution"]["latest"]["number"] == 1000
        assert status["references"][1]["error"]


METRIC = re.compile(r'(chain_health_[a-z_]+)(\{[a-z_]+="([^"\\]|\\.)*"(,[a-z_]+="([^"\\]|\\.)*")*\})? (-?[0-9.e+-]+)')


@pytest.mark.parametrize("name", ALL)
def test_metrics_are_prometheus_text(name):
    lines = pages.metrics(CONFIG, ALL[name], DRAIN, 100.5).decode().splitlines()
    helped, typed, seen = set(), {}, set()
    for line in lines:
        if line.startswith("# HELP "):
            helped.add(line.split()[2])
        elif line.startswith("# TYPE "):
            typed[line.split()[2]] = line.split()[3]
        else:
            match = METRIC.fullmatch(line)
            assert match, line
            assert match[1] in helped
            assert match[1] in typed
            assert (match[1] + (match[2] or "")) not in seen
            seen.add(match[1] + (match[2] or ""))
            assert typed[match[1]] == ("counter" if match[1].endswith("_total") else "gauge")
            float(match[6])
    assert "chain_health_in_service" in seen
    if name == "full":
        assert 'chain_health_disk_free_bytes{path="/d"}' in seen
        assert 'chain_health_disk_free_bytes{path="/e"}' not in seen
        assert "chain_health_head_age_seconds 3.6" in lines
        assert 'chain_health_state{state="healthy"} 0' in lines
        assert 'chain_health_state{state="degraded"} 1' in lines
