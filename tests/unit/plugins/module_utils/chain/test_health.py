# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The verdict on one round of samples."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.chain import health
from ansible_collections.chainops.infra.plugins.module_utils.chain.beacon import Checkpoint, Payload, Syncing
from ansible_collections.chainops.infra.plugins.module_utils.chain.policy import Policy
from ansible_collections.chainops.infra.plugins.module_utils.chain.samples import (
    ANY_CHAIN,
    Clock,
    ConsensusSample,
    Disk,
    ExecutionSample,
    Identity,
    Progress,
)

from tests.unit.plugins.module_utils.chain.world import (
    CHAIN_ID,
    POLICY,
    SLOT,
    block,
    block_hash,
    consensus,
    execution,
    forked_reference,
    pair,
    reference,
    silent,
    time_of,
    with_consensus,
    with_execution,
)

NOW = 1000.3  # slots: the block of slot 1000 has been there for 0.3 slots
HEAD = 1000


def references(head=HEAD, count=3):
    return [reference(f"r{number}", head, NOW) for number in range(1, count + 1)]


def judge(sample=None, refs=None, policy=POLICY, identity=ANY_CHAIN):
    sample = pair(HEAD, NOW) if sample is None else sample
    return health.judge(sample, references() if refs is None else refs, policy, identity)


def state(*args, **kwargs):
    return health.state_of(judge(*args, **kwargs).findings)


def codes(assessment, *weights):
    return {finding.code for finding in assessment.findings if not weights or finding.weight in weights}


def text(assessment, code):
    return next(finding.text for finding in assessment.findings if finding.code == code)


class TestASoundPair:
    def test_is_healthy_and_may_be_admitted(self):
        assessment = judge()
        assert health.state_of(assessment.findings) == "healthy"
        assert assessment.findings == ()
        assert assessment.admissible
        assert assessment.lag_blocks == 0
        assert assessment.age_seconds == pytest.approx(0.3 * SLOT)
        assert assessment.references_usable == 3

    def test_is_healthy_without_references_configured(self):
        assessment = judge(refs=[])
        assert assessment.findings == ()
        assert assessment.admissible

    def test_may_have_imported_a_block_that_no_reference_has_yet(self):
        assert state(refs=references(HEAD - 1)) == "healthy"

    def test_may_be_one_block_behind(self):
        sample = pair(HEAD - 1, NOW)
        assert judge(sample).admissible

    def test_null_for_safe_and_finalized_is_no_fault(self):
        sample = with_execution(pair(HEAD, NOW), safe=None, finalized=None)
        assert state(sample) == "healthy"

    def test_el_offline_alone_is_no_fault(self):
        sample = with_consensus(pair(HEAD, NOW), syncing=Syncing(HEAD, 0, False, False, True))
        assert state(sample) == "healthy"

    def test_from_gloas_on_the_head_may_be_the_bids_block_or_its_parent(self):
        for hashes in ((block_hash(HEAD), block_hash(HEAD - 1)), (block_hash(HEAD + 1), block_hash(HEAD))):
            sample = with_consensus(pair(HEAD, NOW), payload=Payload(hashes, None))
            assert state(sample) == "healthy"


class TestTransport:
    def test_a_silent_execution_client_is_fatal_and_named(self):
        sample = replace(pair(HEAD, NOW), execution=ExecutionSample(error="POST http://x:8545: connection refused"))
        assessment = judge(sample)
        assert health.state_of(assessment.findings) == "unfit"
        assert "http://x:8545" in text(assessment, "execution_silent")
        assert not assessment.admissible

    def test_a_silent_consensus_client_holds_a_node_with_a_fresh_head(self):
        sample = replace(pair(HEAD, NOW), consensus=ConsensusSample(error="GET http://x:3500: refused"))
        assessment = judge(sample)
        assert codes(assessment, "fatal") == set()
        assert codes(assessment, "hold") == {"consensus_silent"}
        assert not assessment.admissible

    def test_a_client_without_a_block(self):
        assert state(with_execution(pair(HEAD, NOW), latest=None)) == "unfit"


class TestWhichChain:
    @pytest.mark.parametrize(
        ("change", "identity"),
        [
            ({"chain_id": 1}, Identity(chain_id=CHAIN_ID)),
            ({"genesis_hash": block_hash(0, "other")}, Identity(genesis_hash=block_hash(0))),
            ({"chain_id": 1}, Identity()),
            ({"genesis_hash": block_hash(0, "other")}, Identity()),
        ],
    )
    def test_another_chain_is_forked(self, change, identity):
        sample = with_execution(pair(HEAD, NOW), **change)
        assessment = judge(sample, identity=identity)
        assert health.state_of(assessment.findings) == "forked"
        assert codes(assessment, "fatal") & {"wrong_chain", "wrong_genesis"}
        assert not assessment.admissible

    def test_one_reference_alone_ejects_nobody_but_admits_nobody_either(self):
        sample = with_execution(pair(HEAD, NOW), genesis_hash=block_hash(0, "other"))
        assessment = judge(sample, references(count=1))
        assert codes(assessment, "fatal") == set()
        assert not assessment.admissible

    def test_a_reference_on_another_chain_has_no_say(self):
        refs = references(HEAD, 2) + [reference("far", HEAD + 500, NOW)]
        refs[2] = replace(refs[2], execution=replace(refs[2].execution, chain_id=1))
        assessment = judge(refs=refs, identity=Identity(chain_id=CHAIN_ID))
        assert codes(assessment) == {"reference_elsewhere"}
        assert assessment.references_usable == 2


class TestAge:
    """Dead consensus client: the head stands still, eth_syncing stays false."""

    def dead(self, now_slot, **changes):
        sample = pair(HEAD, now_slot, **changes)
        return replace(sample, consensus=ConsensusSample(error="GET http://x:3500: connection refused"))

    def test_is_kept_until_the_policys_age(self):
        now = HEAD + POLICY.max_age_slots - 0.01
        refs = [reference(name, HEAD + 3, now) for name in "ab"]
        assert codes(judge(self.dead(now), refs), "fatal") == set()

    def test_is_stale_past_the_policys_age_while_references_go_on(self):
        now = HEAD + POLICY.max_age_slots + 0.01
        refs = [reference(name, int(now), now) for name in "ab"]
        assessment = judge(self.dead(now), refs)
        assert health.state_of(assessment.findings) == "stale"
        assert "60.1 s old, policy allows 60 s" in text(assessment, "stale")

    def test_is_stale_when_no_reference_can_be_asked(self):
        now = HEAD + POLICY.max_age_slots + 0.01
        assessment = judge(self.dead(now), [silent("a"), silent("b")])
        assert "stale" in codes(assessment, "fatal")
        assert "no reference can be asked" in text(assessment, "stale")

    def test_is_stale_without_references_configured(self):
        assert state(self.dead(HEAD + POLICY.max_age_slots + 0.01), []) == "stale"

    def test_when_all_stand_still_the_chain_is_stalled_not_the_node(self):
        now = HEAD + POLICY.max_age_slots + 0.01
        assessment = judge(pair(HEAD, now), [reference(name, HEAD, now) for name in "ab"])
        assert health.state_of(assessment.findings) == "chain_stalled"
        assert codes(assessment, "fatal") == set()

    def test_a_dead_consensus_client_in_a_stalled_chain_does_not_eject(self):
        now = HEAD + 50
        assessment = judge(self.dead(now), [reference(name, HEAD, now) for name in "ab"])
        assert health.state_of(assessment.findings) == "chain_stalled"

    def test_a_node_far_behind_a_stalled_chain_is_stale(self):
        now = HEAD + 50
        sample = pair(HEAD - 20, now)
        assert state(sample, [reference(name, HEAD, now) for name in "ab"]) == "stale"

    def test_half_of_the_references_with_fresh_heads_mean_that_the_chain_moves(self):
        now = HEAD + 10
        refs = [reference("standing", HEAD, now), reference("moving", HEAD + 10, now)]
        assert state(self.dead(now), refs) == "stale"

    def test_one_reference_of_three_with_a_fresh_head_may_lie(self):
        now = HEAD + 10
        refs = [reference("a", HEAD, now), reference("b", HEAD, now), reference("liar", HEAD + 10, now)]
        assert state(pair(HEAD, now), refs) == "chain_stalled"

    def test_the_first_block_after_a_stall_makes_nobody_stale_who_is_about_to_import_it(self):
        now = HEAD + 50.1
        new = block(HEAD + 1)._replace(timestamp=int(time_of(HEAD + 50)))
        refs = [
            reference(name, HEAD + 1, now, execution=execution(HEAD + 1, latest=new, heights=(HEAD,))) for name in "ab"
        ]
        assessment = judge(pair(HEAD, now), refs)
        assert codes(assessment, "fatal") == set()
        finding = next(f for f in assessment.findings if f.code == "importing")
        assert finding.fatal_after == POLICY.import_seconds
        assert not assessment.admissible
        # two blocks cannot be a matter of moments
        more = [
            reference(name, HEAD + 2, now, execution=execution(HEAD + 2, latest=new._replace(number=HEAD + 2)))
            for name in "ab"
        ]
        assert state(pair(HEAD, now), more) == "stale"

    def test_a_node_that_says_it_is_syncing_and_moves_is_syncing(self):
        now = HEAD + 100
        sample = with_consensus(pair(HEAD, now), syncing=Syncing(HEAD, 100, True, False, False))
        sample = replace(sample, still_seconds=0.5)
        assert state(sample, [reference(name, HEAD + 100, now) for name in "ab"]) == "syncing"
        standing = replace(sample, still_seconds=200.0)
        assert state(standing, [reference(name, HEAD + 100, now) for name in "ab"]) == "stale"

    def test_a_node_that_syncs_from_empty(self):
        sample = with_execution(pair(0, NOW), syncing=Progress(0, HEAD), finalized=None, safe=None)
        assessment = judge(sample)
        assert health.state_of(assessment.findings) == "syncing"
        assert not assessment.admissible

    def test_returns_only_when_closer_than_what_ejects(self):
        between = HEAD + (POLICY.admit_age_slots + POLICY.max_age_slots) / 2
        refs = [reference(name, HEAD, between) for name in "ab"]
        assessment = judge(pair(HEAD, between), refs)
        assert health.state_of(assessment.findings) == "healthy"
        assert "needed to come back" in assessment.obstacle


class TestLag:
    POLICY = Policy(max_lag_slots=3)

    def test_behind_the_median_of_the_references(self):
        sample = pair(HEAD - 4, NOW)
        assessment = judge(sample, policy=self.POLICY)
        assert health.state_of(assessment.findings) == "stale"
        assert codes(assessment, "fatal") == {"lagging"}
        assert assessment.lag_blocks == 4

    def test_within_policy_is_served_but_not_admitted(self):
        assessment = judge(pair(HEAD - 3, NOW), policy=self.POLICY)
        assert codes(assessment, "fatal", "hold") == set()
        assert "3 blocks behind" in assessment.obstacle

    def test_one_reference_alone_does_not_eject(self):
        assessment = judge(pair(HEAD - 4, NOW), references(count=1), self.POLICY)
        assert codes(assessment, "fatal") == set()

    @pytest.mark.parametrize("claim", [HEAD + 4, HEAD + 10**9, 1])
    @pytest.mark.parametrize("honest", [1, 2, 3])
    def test_a_reference_that_lies_about_its_height_changes_nothing(self, claim, honest):
        lie = block(claim)._replace(timestamp=int(time_of(HEAD)))
        liar = reference("liar", HEAD, NOW, execution=execution(HEAD, latest=lie))
        assessment = judge(refs=[*references(count=honest), liar])
        assert codes(assessment, "fatal", "hold") == set()
        assert assessment.admissible

    def test_a_reference_from_the_future_has_no_say(self):
        liar = reference("liar", HEAD + 100, NOW)
        assessment = judge(refs=[*references(count=1), liar])
        assert codes(assessment) == {"reference_future"}


class TestReportedSyncing:
    def test_a_fresh_head_with_eth_syncing_holds(self):
        sample = with_execution(pair(HEAD, NOW), syncing=Progress(HEAD, HEAD + 2))
        assessment = judge(sample)
        assert health.state_of(assessment.findings) == "syncing"
        assert codes(assessment, "fatal") == set()

    def test_building_indices_only_degrades(self):
        sample = with_execution(pair(HEAD, NOW), syncing=Progress(HEAD, HEAD))
        assessment = judge(sample)
        assert health.state_of(assessment.findings) == "degraded"
        assert assessment.admissible

    @pytest.mark.parametrize(
        "syncing",
        [
            Syncing(HEAD, 0, True, False, False),
            Syncing(HEAD, 6, False, False, False),
            Syncing(HEAD, 0, False, True, False),
        ],
    )
    def test_what_the_consensus_client_says_holds(self, syncing):
        assessment = judge(with_consensus(pair(HEAD, NOW), syncing=syncing))
        assert health.state_of(assessment.findings) == "syncing"
        assert codes(assessment, "fatal") == set()


class TestForks:
    FINAL = 928  # final_at(1000)

    def on_fork(self, forked_from, heights, **changes):
        mine = execution(HEAD, fork="evil", forked_from=forked_from, heights=heights)
        sample = replace(pair(HEAD, NOW), execution=mine)
        return with_consensus(sample, payload=Payload((block_hash(HEAD, "evil"),), HEAD), **changes)

    def test_against_what_two_references_hold_to_be_final(self):
        heights = (self.FINAL, HEAD - 1)
        refs = [reference(name, HEAD, NOW) for name in "ab"]
        assessment = judge(self.on_fork(900, heights), refs)
        assert health.state_of(assessment.findings) == "forked"
        assert "finalized_differs" in codes(assessment, "fatal")
        assert "a, b" in text(assessment, "finalized_differs")

    @pytest.mark.parametrize(("agreeing", "fatal_after"), [(0, POLICY.fork_seconds), (1, None), (2, None)])
    def test_a_different_head_alone_is_a_reorganisation_unless_it_lasts_and_is_outvoted(self, agreeing, fatal_after):
        heights = (self.FINAL, HEAD - 1)
        with_me = [forked_reference(f"friend{n}", HEAD, "evil", HEAD - 2, heights) for n in range(agreeing)]
        assessment = judge(self.on_fork(HEAD - 2, heights), [*references(count=2), *with_me])
        assert codes(assessment, "fatal") == set()
        assert codes(assessment, "hold") == {"head_differs"}
        finding = next(f for f in assessment.findings if f.code == "head_differs")
        assert finding.fatal_after == fatal_after  # where opinions are even, finality will tell
        assert not assessment.admissible

    @pytest.mark.parametrize(
        ("forked_from", "said"), [(HEAD - 1, "stale"), (FINAL - 10, "forked")], ids=["orphan", "own final block"]
    )
    def test_a_head_that_stands_still_on_an_orphan_is_stale(self, forked_from, said):
        """It was left out by a reorganisation after the node stopped, and is final elsewhere by now."""
        later = HEAD + 100
        heights = (self.FINAL, HEAD)
        mine = execution(HEAD, fork="evil", forked_from=forked_from, heights=heights)
        sample = replace(pair(HEAD, NOW), execution=mine, now=time_of(later), still_seconds=100 * SLOT)
        refs = [reference(name, later, later, execution=execution(later, heights=heights)) for name in "ab"]
        assessment = judge(with_consensus(sample, error="dead"), refs)
        assert health.state_of(assessment.findings) == said
        assert "head_differs" in codes(assessment, "hold")
        assert next(f for f in assessment.findings if f.code == "head_differs").fatal_after is None

    def test_a_different_head_may_become_fatal_while_nothing_is_finalised(self):
        old = Checkpoint(10, block_hash(320, "beacon"))
        sample = self.on_fork(HEAD - 20, (HEAD - 1,), finalized=old)
        finding = next(f for f in judge(sample).findings if f.code == "head_differs")
        assert finding.fatal_after == POLICY.fork_seconds

    @pytest.mark.parametrize("height", [FINAL, HEAD - 1])
    def test_one_lying_reference_of_two_changes_nothing(self, height):
        heights = (self.FINAL, HEAD - 1)
        liar = forked_reference("liar", HEAD, "lie", height, heights)
        assessment = judge(refs=[*references(count=1), liar])
        assert codes(assessment) == {"reference_differs"}
        assert assessment.admissible

    def test_two_references_that_contradict_node_and_each_other_do_not_eject(self):
        refs = [forked_reference(name, HEAD, name, 900, (self.FINAL,)) for name in "ab"]
        assert codes(judge(refs=refs), "fatal") == set()

    def test_one_reference_alone_does_not_decide(self):
        assessment = judge(self.on_fork(900, (self.FINAL, HEAD - 1)), references(count=1))
        assert codes(assessment, "fatal") == set()
        assert not assessment.admissible

    def test_a_reference_that_has_not_finalised_the_height_does_not_count_as_final(self):
        behind = [
            replace(r, consensus=replace(consensus(HEAD), finalized_payload=Payload((block_hash(800),), 800)))
            for r in references(count=2)
        ]
        assessment = judge(self.on_fork(900, (self.FINAL,)), behind)
        assert codes(assessment, "fatal") == set()

    def test_nothing_is_admitted_before_a_block_has_been_compared(self):
        sample = with_execution(pair(HEAD, NOW), hashes={})
        assessment = judge(sample)
        assert health.state_of(assessment.findings) == "healthy"
        assert "no block has been compared" in assessment.obstacle

    def test_heights_to_compare(self):
        assert health.heights_to_compare(execution(HEAD), references()) == (self.FINAL, HEAD)
        assert health.heights_to_compare(execution(500), references()) == (500,)
        assert health.heights_to_compare(execution(HEAD), []) == ()
        assert health.heights_to_compare(ExecutionSample(error="x"), references()) == ()


class TestConsensusAgainstExecution:
    def test_a_head_that_differs_may_become_fatal(self):
        sample = with_consensus(pair(HEAD, NOW), payload=Payload((block_hash(HEAD + 1),), HEAD + 1))
        assessment = judge(sample)
        finding = next(f for f in assessment.findings if f.code == "payload_differs")
        assert (finding.weight, finding.state) == ("hold", "stale")
        assert finding.fatal_after == POLICY.max_age_seconds

    def test_a_head_that_is_not_on_the_consensus_clients_chain(self):
        sample = with_consensus(pair(HEAD, NOW), payload=Payload((block_hash(HEAD, "other"),), HEAD))
        finding = next(f for f in judge(sample).findings if f.code == "payload_differs")
        assert finding.state == "forked"

    def test_an_unknown_form_of_block_is_not_held_against_the_node(self):
        assert state(with_consensus(pair(HEAD, NOW), payload=None)) == "healthy"


class TestFinality:
    def test_geth_after_a_restart_calls_too_much_final(self):
        sample = with_execution(pair(HEAD, NOW), finalized=block(HEAD - 64), safe=block(HEAD - 32))
        assessment = judge(sample)
        assert codes(assessment, "hold") == {"finalized_ahead"}
        assert not assessment.admissible

    @pytest.mark.parametrize(
        "change", [{"finalized": block(HEAD - 10), "safe": block(HEAD - 20)}, {"safe": block(HEAD + 1)}]
    )
    def test_finalized_safe_latest_must_be_in_order(self, change):
        assert "finality_order" in codes(judge(with_execution(pair(HEAD, NOW), **change)), "hold")

    def test_a_chain_that_does_not_finalise_degrades(self):
        sample = with_consensus(pair(HEAD, NOW), finalized=Checkpoint(20, block_hash(640, "beacon")))
        assessment = judge(with_execution(sample, finalized=None))
        assert codes(assessment, "flaw") == {"not_finalizing"}

    def test_a_young_chain_has_nothing_to_finalise(self):
        sample = pair(40, 40.3)
        refs = [reference(name, 40, 40.3) for name in "ab"]
        assert state(sample, refs) == "healthy"


class TestHost:
    def test_a_disk_nearly_full_is_fatal_and_says_so(self):
        sample = replace(pair(HEAD, NOW), disks=(Disk("/var/lib/geth", 10**9, 5 * 10**9),))
        assessment = judge(sample)
        assert health.state_of(assessment.findings) == "unfit"
        assert "disk nearly full: /var/lib/geth has 1.00 GB free, fewer than 5.00 GB" in text(assessment, "disk_full")

    def test_a_disk_with_room(self):
        assert state(replace(pair(HEAD, NOW), disks=(Disk("/d", 10, 9),))) == "healthy"

    def test_a_disk_that_cannot_be_read_only_degrades(self):
        assert state(replace(pair(HEAD, NOW), disks=(Disk("/d", None, 9, "Permission denied"),))) == "degraded"

    @pytest.mark.parametrize("clock", [Clock(False), Clock(True, 5.0)])
    def test_a_clock_that_is_not_synchronised_makes_age_unknown(self, clock):
        sample = replace(pair(HEAD, NOW), clock=clock)
        assert state(sample) == "unknown"
        # the head looks an hour old, but so do those of the references
        skewed = replace(sample, now=sample.now + 3600)
        assert codes(judge(skewed), "fatal", "stall") == set()

    def test_a_dead_node_is_found_even_when_the_clock_is_not_synchronised(self):
        sample = replace(pair(HEAD - 20, NOW), clock=Clock(False))
        assert "stale" in codes(judge(sample), "fatal")

    def test_a_clock_that_cannot_be_asked_degrades(self):
        assessment = judge(replace(pair(HEAD, NOW), clock=Clock(problem="adjtimex: Operation not permitted")))
        assert health.state_of(assessment.findings) == "degraded"
        assert assessment.admissible

    def test_a_head_from_the_future_shows_a_clock_that_is_behind(self):
        sample = replace(pair(HEAD, NOW), now=time_of(HEAD) - 300)
        assessment = judge(sample)
        assert codes(assessment, "hold") == {"clock_behind"}
        assert codes(assessment, "fatal") == set()

    def test_few_peers_degrade(self):
        for sample in (with_execution(pair(HEAD, NOW), peers=0), with_consensus(pair(HEAD, NOW), peers=1)):
            assessment = judge(sample)
            assert health.state_of(assessment.findings) == "degraded"
            assert assessment.admissible


class TestReferences:
    def test_all_unreachable_is_unknown_and_ejects_nobody(self):
        assessment = judge(refs=[silent("a"), silent("b")])
        assert health.state_of(assessment.findings) == "unknown"
        assert codes(assessment, "fatal") == set()
        assert not assessment.admissible

    def test_one_unreachable_of_three_is_a_note(self):
        assessment = judge(refs=[*references(count=2), silent("c")])
        assert health.state_of(assessment.findings) == "healthy"
        assert codes(assessment) == {"reference_silent"}

    def test_fewer_than_policy_wants(self):
        policy = Policy(min_references=2)
        assert state(refs=[*references(count=1), silent("c")], policy=policy) == "unknown"

    def test_one_that_is_syncing_has_no_say(self):
        syncing = reference("s", 10, NOW)
        syncing = replace(syncing, execution=replace(syncing.execution, syncing=Progress(10, HEAD)))
        assert judge(refs=[*references(count=2), syncing]).references_usable == 2


class TestStall:
    def test_policy_decides_whether_a_node_may_come_in(self):
        now = HEAD + 50
        refs = [reference(name, HEAD, now) for name in "ab"]
        sample = pair(HEAD, now)
        assert judge(sample, refs).admissible
        assert "refuses" in judge(sample, refs, Policy(on_stall="refuse")).obstacle

    def test_a_node_behind_does_not_come_in(self):
        now = HEAD + 50
        refs = [reference(name, HEAD, now) for name in "ab"]
        assert "2 blocks behind" in judge(pair(HEAD - 2, now), refs).obstacle


def test_states_by_gravity():
    def finding(weight, state):
        return health.Finding("x", weight, state, "")

    cases = [
        ([], "healthy"),
        ([finding("note", "healthy")], "healthy"),
        ([finding("flaw", "degraded")], "degraded"),
        ([finding("flaw", "degraded"), finding("hold", "unknown")], "unknown"),
        ([finding("hold", "syncing"), finding("hold", "unknown")], "syncing"),
        ([finding("hold", "syncing"), finding("stall", "chain_stalled")], "chain_stalled"),
        ([finding("stall", "chain_stalled"), finding("fatal", "stale")], "stale"),
        ([finding("fatal", "stale"), finding("fatal", "forked")], "forked"),
        ([finding("fatal", "forked"), finding("fatal", "unfit")], "unfit"),
    ]
    for findings, expected in cases:
        assert health.state_of(findings) == expected
    assert {expected for _findings, expected in cases} == set(health.STATES)


class TestPolicy:
    @pytest.mark.parametrize(
        ("values", "names"),
        [
            ({"max_age_slots": 1}, ["max_age_slots is 1", "at least 2"]),
            ({"max_age_slots": True}, ["max_age_slots is True"]),
            ({"max_age_slots": "5"}, ["max_age_slots is '5'"]),
            ({"max_age_slots": float("nan")}, ["max_age_slots"]),
            ({"repeats": 1.5}, ["repeats is 1.5", "whole number"]),
            ({"on_stall": "panic"}, ["on_stall is 'panic'", "serve or refuse"]),
            ({"admit_age_slots": 9}, ["admit_age_slots (9) is greater than max_age_slots (5)"]),
            ({"admit_lag_slots": 6}, ["admit_lag_slots (6) is greater than max_lag_slots (5)"]),
            ({"max_age": 5}, ["unknown in the policy: max_age", "max_age_slots"]),
        ],
    )
    def test_what_does_not_fit_is_refused_with_name_value_and_limit(self, values, names):
        with pytest.raises(ValueError, match="policy|must|greater") as refusal:
            Policy.from_mapping(values)
        assert all(name in str(refusal.value) for name in names)

    def test_every_mistake_is_named_at_once(self):
        with pytest.raises(ValueError, match="repeats.*admit_after"):
            Policy(repeats=0, admit_after=0)

    def test_times_follow_the_slot(self):
        assert Policy(slot_seconds=2).max_age_seconds == 10
        assert Policy(slot_seconds=2, max_age_slots=6).as_dict()["max_age_slots"] == 6
