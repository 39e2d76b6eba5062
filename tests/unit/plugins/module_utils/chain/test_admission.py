# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What rounds of findings become over time."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.chain import health
from ansible_collections.chainops.infra.plugins.module_utils.chain.admission import Admission
from ansible_collections.chainops.infra.plugins.module_utils.chain.health import Assessment, Finding
from ansible_collections.chainops.infra.plugins.module_utils.chain.policy import Policy
from ansible_collections.chainops.infra.plugins.module_utils.chain.samples import ConsensusSample, ExecutionSample

from tests.unit.plugins.module_utils.chain.world import (
    EPOCH,
    SLOT,
    consensus,
    execution,
    pair,
    reference,
    silent,
    time_of,
)

POLICY = Policy(repeats=2, admit_after=3)

GOOD = Assessment((), "")
FATAL = Assessment((Finding("stale", "fatal", "stale", "head is old"),), "head is old")
OTHER_FATAL = Assessment((Finding("execution_silent", "fatal", "unfit", "no answer"),), "no answer")
HOLD = Assessment((Finding("references_silent", "hold", "unknown", "nobody answers"),), "nobody answers")
FLAW = Assessment((Finding("few_peers", "flaw", "degraded", "2 peers"),), "")
STALL = Assessment((Finding("chain_stalled", "stall", "chain_stalled", "stands still"),), "")
SLOW = Assessment((), "head is 55 s old, 48 s are needed")
LASTING = Assessment((Finding("head_differs", "hold", "forked", "differs", 20.0),), "differs")


def run(machine, *assessments, start=0.0, step=1.0):
    """The verdicts of rounds one second apart."""
    return [machine.step(assessment, start + number * step) for number, assessment in enumerate(assessments)]


def admitted(policy=POLICY):
    machine = Admission(policy)
    run(machine, *[GOOD] * policy.admit_after, start=-100)
    assert machine.admitted
    return machine


class TestAdmitting:
    def test_takes_as_many_good_rounds_as_policy_says(self):
        verdicts = run(Admission(POLICY), GOOD, GOOD, GOOD, GOOD)
        assert [verdict.admitted for verdict in verdicts] == [False, False, True, True]
        assert [verdict.changed for verdict in verdicts] == [False, False, True, False]
        assert verdicts[0].obstacle == "good for 1 of 3 rounds that are needed to come back"
        assert verdicts[2].since == 2.0
        assert verdicts[2].obstacle == ""

    @pytest.mark.parametrize("between", [FATAL, HOLD, SLOW, LASTING])
    def test_starts_again_after_any_other_round(self, between):
        verdicts = run(Admission(POLICY), GOOD, GOOD, between, GOOD, GOOD)
        assert not any(verdict.admitted for verdict in verdicts)

    def test_degraded_may_come_in(self):
        assert run(Admission(POLICY), FLAW, FLAW, FLAW)[-1].admitted

    @pytest.mark.parametrize("assessment", [HOLD, SLOW, FATAL, LASTING])
    def test_never_on_what_is_not_known_to_be_good(self, assessment):
        assert not any(verdict.admitted for verdict in run(Admission(POLICY), *[assessment] * 50))

    def test_says_why_it_stays_out(self):
        assert run(Admission(POLICY), SLOW)[0].reason == SLOW.obstacle


class TestEjecting:
    def test_takes_as_many_fatal_rounds_as_policy_says(self):
        verdicts = run(admitted(), FATAL, FATAL, FATAL)
        assert [verdict.admitted for verdict in verdicts] == [True, False, False]
        assert verdicts[0].state == "healthy"
        assert [finding.code for finding in verdicts[0].suspects] == ["stale"]
        assert verdicts[1].state == "stale"
        assert verdicts[1].changed
        assert verdicts[1].reason == "head is old"

    def test_one_bad_sample_ejects_nobody(self):
        assert all(verdict.admitted for verdict in run(admitted(), *[FATAL, GOOD] * 20))

    def test_different_fatal_findings_in_a_row_count_together(self):
        verdicts = run(admitted(), FATAL, OTHER_FATAL)
        assert not verdicts[1].admitted
        assert verdicts[1].state == "unfit"

    @pytest.mark.parametrize("assessment", [HOLD, FLAW, SLOW, STALL])
    def test_what_is_unknown_or_slight_keeps_an_admitted_node(self, assessment):
        assert all(verdict.admitted for verdict in run(admitted(), *[assessment] * 100))

    def test_a_difference_that_lasts_becomes_fatal(self):
        verdicts = run(admitted(), *[LASTING] * 30)
        first_out = next(number for number, verdict in enumerate(verdicts) if not verdict.admitted)
        assert first_out == 21  # 20 s, and one repeat
        assert verdicts[first_out].state == "forked"
        assert "for 21 s by now" in verdicts[first_out].reason

    def test_a_difference_that_goes_away_starts_anew(self):
        rounds = ([LASTING] * 15 + [GOOD]) * 5
        assert all(verdict.admitted for verdict in run(admitted(), *rounds))

    def test_the_next_round_comes_at_once_while_it_may_eject(self):
        machine = admitted()
        assert not machine.undecided()
        run(machine, FATAL)
        assert machine.undecided()
        run(machine, FATAL)
        assert not machine.undecided()

    def test_the_gravest_finding_of_a_code_speaks_for_it(self):
        two = Assessment(
            (Finding("few_peers", "flaw", "degraded", "slight"), Finding("few_peers", "fatal", "unfit", "grave")),
            "grave",
        )
        assert run(admitted(), two, two)[1].reason == "grave"


class TestAStalledChain:
    def test_is_served_when_policy_says_so(self):
        verdicts = run(admitted(), *[STALL] * 50)
        assert all(verdict.admitted for verdict in verdicts)
        assert verdicts[-1].state == "chain_stalled"

    def test_is_refused_when_policy_says_so(self):
        policy = replace(POLICY, on_stall="refuse")
        machine = admitted(policy)
        first, second = run(machine, STALL, STALL)
        assert (first.admitted, second.admitted) == (True, False)
        assert second.state == "chain_stalled"


class TestRestoring:
    def test_keeps_a_node_that_was_admitted(self):
        machine = Admission(POLICY)
        machine.restore(-5.0)
        verdict = run(machine, HOLD)[0]
        assert verdict.admitted
        assert verdict.since == -5.0

    def test_gives_the_first_round_no_benefit_of_the_doubt(self):
        machine = Admission(POLICY)
        machine.restore(-5.0)
        verdict = run(machine, FATAL)[0]
        assert not verdict.admitted
        assert verdict.state == "stale"


class TestProperties:
    """Random histories: what must hold in each of them."""

    KINDS = (GOOD, FATAL, OTHER_FATAL, HOLD, FLAW, SLOW, LASTING, STALL)

    @pytest.mark.parametrize("seed", range(60))
    def test_of_every_history(self, seed):
        dice = random.Random(seed)
        policy = Policy(
            repeats=dice.randint(1, 4), admit_after=dice.randint(1, 5), on_stall=dice.choice(["serve", "refuse"])
        )
        machine = Admission(policy)
        kinds = dice.sample(self.KINDS, dice.randint(1, len(self.KINDS)))
        history, before, now = [], False, 0.0
        for _round in range(300):
            now += dice.choice([0.2, 1.0, 5.0])
            assessment = dice.choice(kinds) if dice.random() < 0.5 or not history else history[-1]
            history.append(assessment)
            verdict = machine.step(assessment, now)
            assert verdict.changed == (verdict.admitted != before)
            if verdict.admitted and not before:
                assert len(history) >= policy.admit_after
                assert all(past.admissible for past in history[-policy.admit_after :])
            if before and not verdict.admitted:
                assert verdict.reasons
                assert assessment in (FATAL, OTHER_FATAL, LASTING, STALL)
                assert assessment is not STALL or policy.on_stall == "refuse"
            if len(history) > policy.repeats and all(
                past in (FATAL, OTHER_FATAL) for past in history[-policy.repeats :]
            ):
                assert not verdict.admitted
                assert verdict.state in ("stale", "unfit")
            assert verdict.admitted or verdict.obstacle
            assert verdict.state in health.STATES
            before = verdict.admitted


class TestStories:
    """Chains and faults, second by second, through judgement and admission together."""

    POLICY = Policy(slot_seconds=SLOT, slots_per_epoch=EPOCH)

    def play(self, machine, seconds, see, start_slot=1000.0):
        """``see(slot)`` gives the pair and the references at a moment. Returns (slot, verdict) of every second."""
        story = []
        for second in range(int(seconds)):
            slot = start_slot + second / SLOT
            sample, references = see(slot)
            verdict = machine.step(health.judge(sample, references, self.POLICY), time_of(slot))
            story.append((slot, verdict))
        return story

    def sound(self, slot):
        return pair(int(slot), slot), [reference(name, int(slot), slot) for name in "abc"]

    def in_service(self):
        machine = Admission(self.POLICY)
        self.play(machine, 30, self.sound, 990)
        assert machine.admitted
        return machine

    def test_a_dead_consensus_client_is_ejected_within_two_seconds_of_the_policys_age_and_returns(self):
        def see(slot):
            _sample, references = self.sound(slot)
            if slot < 1030:
                head = min(int(slot), 1005)
                return pair(head, slot, consensus=ConsensusSample(error="refused")), references
            return self.sound(slot)

        story = self.play(self.in_service(), 600, see)
        out = [slot for slot, verdict in story if not verdict.admitted]
        ages = [(slot - 1005) * SLOT for slot in out]
        assert self.POLICY.max_age_seconds < ages[0] <= self.POLICY.max_age_seconds + 2
        assert out[-1] < 1031, "returns by itself"
        assert story[-1][1].state == "healthy"

    def test_a_stalled_chain_ejects_nobody_and_neither_does_its_end(self):
        def see(slot):
            if slot < 1005 or slot > 1040:
                return self.sound(slot)
            return pair(1004, slot), [reference(name, 1004, slot) for name in "abc"]

        story = self.play(self.in_service(), 600, see)
        assert all(verdict.admitted for _slot, verdict in story)
        assert any(verdict.state == "chain_stalled" for _slot, verdict in story)
        assert story[-1][1].state == "healthy"

    def test_unreachable_references_eject_nobody(self):
        story = self.play(self.in_service(), 300, lambda slot: (pair(int(slot), slot), [silent("a"), silent("b")]))
        assert all(verdict.admitted for _slot, verdict in story)
        assert story[-1][1].state == "unknown"

    def test_a_restarted_node_is_out_until_it_has_caught_up(self):
        """Killed, comes back 40 blocks behind and imports two blocks a second."""

        def see(slot):
            _sample, references = self.sound(slot)
            seconds = (slot - 1000) * SLOT
            if seconds < 20:
                return pair(1000, slot, execution=ExecutionSample(error="refused")), references
            head = min(int(slot), 960 + int((seconds - 20) * 2))
            return pair(head, slot, execution=execution(head), still_seconds=0), references

        story = self.play(self.in_service(), 120, see)
        assert not story[1][1].admitted
        for slot, verdict in story:
            if verdict.admitted and verdict.changed:
                assert see(slot)[0].execution.latest.number >= int(slot) - 1
        assert story[-1][1].admitted

    @pytest.mark.parametrize("seed", range(10))
    def test_late_blocks_and_short_reorganisations_eject_nobody(self, seed):
        dice = random.Random(seed)

        def see(slot):
            def head():
                return int(slot) - (1 if slot % 1 < dice.random() * 0.6 else 0)

            mine = head()
            sample = pair(mine, slot, consensus=consensus(mine - (dice.random() < 0.1), now_slot=slot))
            if dice.random() < 0.1:
                sample = replace(sample, execution=execution(mine, fork="uncle", forked_from=mine))
            return sample, [reference(name, head(), slot) for name in "abc"]

        story = self.play(self.in_service(), 600, see)
        assert all(verdict.admitted for _slot, verdict in story)


class TestDrained:
    @pytest.mark.parametrize("assessment", [HOLD, SLOW, LASTING, FATAL])
    def test_what_would_not_be_admitted_loses_its_admission(self, assessment):
        machine = admitted()
        assert not machine.step(assessment, 1.0, drained=True).admitted
        assert not machine.step(assessment, 2.0).admitted, "lifting the drain puts it back"

    def test_a_good_node_keeps_it_and_serves_again_at_once(self):
        machine = admitted()
        assert all(machine.step(GOOD, float(second), drained=True).admitted for second in range(5))
        assert machine.step(GOOD, 6.0).admitted

    def test_a_node_that_recovers_while_it_is_drained_is_admitted(self):
        machine = admitted()
        machine.step(HOLD, 1.0, drained=True)
        verdicts = [machine.step(GOOD, 2.0 + second, drained=True) for second in range(POLICY.admit_after)]
        assert [verdict.admitted for verdict in verdicts] == [False] * (POLICY.admit_after - 1) + [True]
