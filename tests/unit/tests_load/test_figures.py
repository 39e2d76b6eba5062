"""The figures that are made of a load's records, and of a watch over an address."""

from __future__ import annotations

from pathlib import Path

from tests.lab.load import record as records
from tests.lab.load.record import Record
from tests.lab.load.vip import longest

DONE = [
    Record(10.0, "eth_blockNumber", 0.1, True, node="eth-a", head=5, age=1.0),
    Record(11.0, "batch", 0.3, True, node="eth-a", head=6, age=2.5),
    Record(12.0, "eth_call", 0.2, False, "HTTP 503", status=503),
    Record(13.0, "eth_call", 2.0, False, "connection closed", begun=True),
    Record(13.5, "eth_sendRawTransaction", 0.5, True, "already known", node="eth-b", attempts=2),
    Record(15.0, "eth_blockNumber", 0.1, True, node="eth-b", head=4, age=0.5, regressed=True),
]


def test_figures() -> None:
    found = records.figures(DONE)
    assert found == {
        "requests": 6,
        "failed": 1,
        "cut_off": 1,
        "retried_elsewhere": 1,
        "slowest_s": 2.0,
        "median_s": 0.2,
        "p99_s": 2.0,
        "oldest_answer_s": 2.5,
        "head_regressions": 1,
        "already_known": 1,
        "longest_gap_s": 2.7,
    }
    assert records.errors(DONE) == {"HTTP 503": 1, "connection closed": 1}
    assert records.figures([])["requests"] == 0


def test_who_answered_when() -> None:
    assert records.last_answer_from(DONE, "eth-a") == 11.3
    assert records.last_answer_from(DONE, "eth-a", after=11.5) is None
    assert records.first_answer_from(DONE, "eth-b", after=9.0) == 13.5
    assert [record.at for record in records.between(DONE, 11.0, 13.0)] == [11.0, 12.0]


def test_a_trace_is_read_back_without_a_line_that_was_cut_off(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    trace.write_text("".join(map(records.line, DONE)) + '{"at": 1')
    assert list(records.read(trace)) == DONE


def test_percentiles() -> None:
    values = [float(value) for value in range(1, 101)]
    assert (records.percentile(values, 0.5), records.percentile(values, 0.99), records.percentile([3.0], 0.99)) == (
        50,
        99,
        3,
    )


def test_the_longest_time_of_something() -> None:
    assert longest([(0.0, False), (1.0, True), (1.5, True), (2.0, False), (3.0, True), (3.1, False)]) == 1.0
    assert longest([(0.0, True), (5.0, True)]) == 5.0
    assert longest([]) == 0.0
