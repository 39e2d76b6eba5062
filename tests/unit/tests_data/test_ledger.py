"""The prover's ledger: what must make it red does, and what may be either way does not."""

from __future__ import annotations

import pytest

from tests.lab.data.prover.ledger import (
    ACKNOWLEDGED,
    INDETERMINATE,
    REFUSED,
    Ledger,
    Verdict,
    acknowledged_between,
    compare,
    outage_around,
    pace,
    together,
)

OLD, NEW = ("10.0.0.1", "00000001"), ("10.0.0.2", "00000002")


def acknowledge(ledger: Ledger, number: int, at: float, by: tuple[str, str] = OLD) -> None:
    ledger.offer(number, at - 0.01)
    ledger.settle(number, ACKNOWLEDGED, at, server=by[0], generation=by[1])


def failover() -> Ledger:
    """Ten rows by the old primary, one a tenth of a second, then nothing for five seconds, then ten by the new one."""
    ledger = Ledger(started=0.0, ended=7.0)
    for number in range(1, 11):
        acknowledge(ledger, number, number / 10)
    for number in range(11, 21):
        acknowledge(ledger, number, 6 + (number - 10) / 10, NEW)
    return ledger


def judged(ledger: Ledger, missing: set[int] | None = None, more: set[int] | None = None) -> Verdict:
    """All offered rows are found but for these."""
    return compare(ledger, (set(ledger.rows) - (missing or set())) | (more or set()), ordered=True)


def test_a_failover_without_loss_is_green() -> None:
    verdict = judged(failover())
    assert verdict.red() == []
    assert verdict.figures["acknowledged"] == 20
    assert verdict.figures["reigns"] == 2
    assert (verdict.figures["lost"], verdict.figures["old_primary"]) == (0, 0)


def test_a_lost_row_goes_red() -> None:
    verdict = judged(failover(), missing={10})
    assert verdict.figures["lost"] == 1
    (said,) = verdict.red()
    assert "1 acknowledged rows are lost, the first is 10 (" in said and "10.0.0.1 00000001" in said


def test_an_old_primary_s_late_acknowledgement_goes_red() -> None:
    ledger = failover()
    acknowledge(ledger, 21, 6.15, OLD)
    verdict = judged(ledger)
    assert [row.number for row in verdict.old_primary] == [21]
    assert "acknowledged by an old primary" in verdict.red()[0]


def test_an_old_primary_s_last_row_just_before_is_fine() -> None:
    ledger = failover()
    acknowledge(ledger, 21, 6.05, OLD)
    assert judged(ledger).red() == []


def test_a_primary_that_is_old_by_name_is_old_even_if_it_was_heard_first() -> None:
    """Timelines have an order of their own; a store whose generations have none is judged by when they were heard."""
    ledger = Ledger(ended=2.0)
    acknowledge(ledger, 1, 0.5, NEW)
    acknowledge(ledger, 2, 0.6, OLD)
    assert [row.number for row in compare(ledger, {1, 2}, ordered=True).old_primary] == [2]
    assert compare(ledger, {1, 2}).red() == []
    acknowledge(ledger, 3, 0.7, NEW)
    assert [row.number for row in compare(ledger, {1, 2, 3}).old_primary] == [3]


def test_there_and_back_is_three_reigns_and_green() -> None:
    ledger = failover()
    ledger.ended = 9.0
    acknowledge(ledger, 21, 8.0, (OLD[0], "00000003"))
    assert judged(ledger).red() == []
    acknowledge(ledger, 22, 8.1, NEW)
    assert [row.number for row in judged(ledger).old_primary] == [22]


def test_two_servers_of_one_reign_go_red() -> None:
    ledger = failover()
    acknowledge(ledger, 21, 6.5, (OLD[0], NEW[1]))
    verdict = judged(ledger)
    assert [row.number for row in verdict.twins] == [21]
    assert verdict.figures["old_primary"] == 1
    assert "a second server of the same reign" in verdict.red()[0]


@pytest.mark.parametrize("there", [True, False])
def test_an_indeterminate_row_may_be_there_or_not(there: bool) -> None:
    ledger = failover()
    ledger.offer(21, 1.1)
    ledger.settle(21, INDETERMINATE, 1.2, server=OLD[0], generation=OLD[1], note="COMMIT warned")
    ledger.offer(22, 1.2)  # the prover was ended before it knew
    verdict = judged(ledger, missing=set() if there else {21, 22})
    assert verdict.red() == []
    assert verdict.figures["indeterminate"] == 2


def test_an_indeterminate_row_of_an_old_primary_is_no_acknowledgement() -> None:
    ledger = failover()
    ledger.offer(21, 6.2)
    ledger.settle(21, INDETERMINATE, 6.3, server=OLD[0], generation=OLD[1], note="COMMIT warned")
    assert judged(ledger).red() == []


def test_a_refused_row_must_not_be_there() -> None:
    ledger = failover()
    ledger.offer(21, 2.0)
    ledger.settle(21, REFUSED, 2.1, note="INSERT: 25006 read only")
    assert judged(ledger, missing={21}).red() == []
    assert "1 refused rows are there" in judged(ledger).red()[0]
    assert ledger.reasons() == {"refused: INSERT: 25006 read only": 1}


def test_a_row_that_nobody_offered_goes_red() -> None:
    verdict = judged(failover(), more={99})
    assert verdict.foreign == [99]
    assert "never offered" in verdict.red()[0]


def test_a_row_has_one_fate() -> None:
    ledger = failover()
    with pytest.raises(ValueError, match="acknowledged already"):
        ledger.settle(1, REFUSED, 3.0)
    with pytest.raises(ValueError, match="offered twice"):
        ledger.offer(1, 3.0)
    ledger.offer(30, 3.0)
    with pytest.raises(ValueError, match="no fate"):
        ledger.settle(30, "perhaps", 3.0)


def test_outage_and_availability() -> None:
    figures = pace(failover())
    assert figures["outage_s"] == pytest.approx(5.1)
    assert figures["availability"] == pytest.approx(1 - 5.1 / 7, abs=1e-3)


def test_an_outage_that_lasts_to_the_end_or_from_the_start_counts() -> None:
    ledger = Ledger(started=0.0, ended=30.0)
    for number in range(1, 11):
        acknowledge(ledger, number, 10 + number / 10)
    assert pace(ledger)["outage_s"] == pytest.approx(19.0)
    assert pace(ledger)["availability"] == pytest.approx(1 - (19.0 + 10.1) / 30, abs=1e-3)
    assert pace(Ledger(started=0.0, ended=5.0)) == {
        "seconds": 5.0,
        "outage_s": 5.0,
        "write_outage_s": 5.0,
        "availability": 0.0,
    }


def test_a_write_without_its_promise_ends_a_write_outage_only() -> None:
    """Redis with a replica missing: SET is answered, WAIT counts too few."""
    ledger = Ledger(started=0.0, ended=4.0)
    for number in range(1, 40):
        ledger.offer(number, number / 10)
        ledger.settle(number, INDETERMINATE, number / 10 + 0.05, written=number / 10 + 0.01, note="WAIT: 1 of 2")
    figures = pace(ledger)
    assert figures["outage_s"] == 4.0
    assert figures["write_outage_s"] < 0.2


def test_the_outage_around_a_moment() -> None:
    ledger = failover()
    assert outage_around(ledger, 1.05) == pytest.approx(5.1)
    assert outage_around(ledger, 6.55) == pytest.approx(0.1)
    assert acknowledged_between(ledger, 0.95, 6.15) == 2


def test_runs_are_summed_up() -> None:
    good, bad = judged(failover()).figures, judged(failover(), missing={10}).figures
    found = together([good, bad, {**good, "outage_s": 2.0}])
    assert (found["runs"], found["lost"], found["runs_with_loss"]) == (3, 1, 1)
    assert (found["outage_s"], found["worst_outage_s"]) == (pytest.approx(5.1), pytest.approx(5.1))
    assert found["acknowledged"] == 60
