"""The prover's pace and its record, with made-up stores: nothing is offered twice, nothing waits for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.lab.data.prover.engine import CannotConnect, Engine, Outcome, Pace
from tests.lab.data.prover.ledger import ACKNOWLEDGED, INDETERMINATE, REFUSED, Ledger, compare
from tests.lab.data.prover.trace import Trace, read


class Made:
    """A store in memory. ``answer`` may keep, refuse or hang."""

    def __init__(self) -> None:
        self.rows: set[int] = set()
        self.opened: list[str] = []
        self.up = True
        self.hanging = False

    def connect(self, address: str) -> MadeSink:
        self.opened.append(address)
        if not self.up:
            raise CannotConnect("refused")
        return MadeSink(self)


class MadeSink:
    def __init__(self, store: Made) -> None:
        self._store = store
        self._aborted = threading.Event()

    def write(self, number: int) -> Outcome:
        if not self._store.up:
            return Outcome(REFUSED, "gone", broken=True)
        self._store.rows.add(number)
        if self._store.hanging:
            assert self._aborted.wait(5), "nobody gave it up"
            return Outcome(INDETERMINATE, "given up", broken=True)
        return Outcome(ACKNOWLEDGED, server="a", generation="1")

    def abort(self) -> None:
        self._aborted.set()

    def close(self) -> None:
        pass


def run(
    tmp_path: Path, meanwhile: Callable[[Made], None] | None = None, seconds: float = 1.0
) -> tuple[Made, Ledger, Path]:
    store = Made()
    path = tmp_path / "rows.jsonl"
    trace = Trace(path, {"kind": "made"}, time.monotonic())
    engine = Engine(["one", "two"], store.connect, trace, Pace(rate=100, connections=4, timeout=0.2, duration=seconds))
    thread = threading.Thread(target=engine.run)
    thread.start()
    if meanwhile:
        time.sleep(seconds / 2)
        meanwhile(store)
    thread.join(10)
    assert not thread.is_alive()
    return store, trace.ledger, path


def test_the_pace_is_kept_and_every_row_is_on_record(tmp_path: Path) -> None:
    store, ledger, path = run(tmp_path)
    assert 85 <= len(ledger.rows) <= 105
    assert compare(ledger, store.rows).red() == []
    head, again = read(path)
    assert head == {"kind": "made"}
    assert again == ledger


def test_connections_are_spread_over_the_addresses(tmp_path: Path) -> None:
    store, _ledger, _path = run(tmp_path, seconds=0.3)
    assert sorted(store.opened) == ["one", "one", "two", "two"]


def test_a_store_that_is_gone_is_asked_at_the_other_address_at_the_same_pace(tmp_path: Path) -> None:
    def leave(store: Made) -> None:
        store.up = False

    store, ledger, _path = run(tmp_path, leave)
    assert 85 <= len(ledger.rows) <= 105
    assert 30 <= len(ledger.of(REFUSED)) <= 60
    assert {"one", "two"} <= set(store.opened[4:])
    assert compare(ledger, store.rows).red() == []


def test_a_row_that_is_never_answered_is_given_up(tmp_path: Path) -> None:
    def hang(store: Made) -> None:
        store.hanging = True

    store, ledger, _path = run(tmp_path, hang)
    given_up = ledger.of(INDETERMINATE)
    assert 4 <= len(given_up) <= 12
    assert all(0.15 < (row.ended or 0) - row.offered < 0.6 for row in given_up)
    assert compare(ledger, store.rows - {given_up[0].number}).red() == []


def test_a_trace_that_was_cut_off_is_read_to_its_last_whole_line(tmp_path: Path) -> None:
    _store, ledger, path = run(tmp_path, seconds=0.3)
    text = path.read_text(encoding="utf-8").rstrip("\n").rpartition("\n")[0]
    path.write_text(text[:-5], encoding="utf-8")
    cut = read(path)[1]
    assert 0 < len(cut.rows) <= len(ledger.rows)
    assert len(cut.of(ACKNOWLEDGED)) in (len(ledger.of(ACKNOWLEDGED)), len(ledger.of(ACKNOWLEDGED)) - 1)
    assert cut.ended > 0
