"""Whether writes belong here."""

from __future__ import annotations

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.redis.resp import Node
from ansible_collections.chainops.infra.plugins.module_utils.redis.verdict import Limits, Named, Said, Verdict, judge

OWN, OTHER = Node("10.0.0.1", 6379), Node("10.0.0.2", 6379)
LIMITS = Limits(max_age=1.5, max_lag=10)
MASTER = {"role": "master", "loading": "0"}
REPLICA = {
    "role": "slave",
    "master_host": OTHER.address,
    "master_port": str(OTHER.port),
    "master_link_status": "up",
    "master_last_io_seconds_ago": "1",
}


def verdict(
    info: dict[str, str], *named: Node | None | str | float, asked: float = 100.0, now: float = 100.5
) -> Verdict:
    """A number is the age of an answer that names this host, a text an error."""
    answers: list[Named | None] = []
    for each in named:
        if isinstance(each, float):
            answers.append(Named(now - each, OWN))
        elif isinstance(each, str):
            answers.append(Named(now, error=each) if each else None)
        else:
            answers.append(Named(now, each))
    return judge(OWN, Said(asked, info), answers, now, LIMITS)


@pytest.mark.parametrize(
    ("named", "primary"),
    [
        ((OWN, OWN, OWN), True),
        ((OWN, OWN, OTHER), True),
        ((OWN, OWN, "refused"), True),
        ((OWN, OTHER, OTHER), False),
        ((OWN, "refused", "refused"), False),
        ((OWN, "", ""), False),
        ((None, None, None), False),
        ((OWN, 1.4, OTHER), True),
        ((OWN, 1.6, OTHER), False),
    ],
)
def test_a_master_is_primary_while_most_of_all_sentinels_name_it(named: tuple, primary: bool) -> None:
    assert verdict(MASTER, *named).primary is primary


def test_a_thawed_old_master_says_master_and_is_not_primary() -> None:
    found = verdict(MASTER, OTHER, OTHER, OTHER)
    assert (found.primary, found.replica, found.healthy, found.votes) == (False, False, True, 0)
    assert found.reason == "says it is master, but 0 of 3 Sentinels name it (3 answer, 2 are needed)"


@pytest.mark.parametrize(
    ("info", "asked"),
    [(MASTER, 98.0), (MASTER | {"loading": "1"}, 100.0), (REPLICA, 100.0), ({}, 100.0), ({"role": "sentinel"}, 100.0)],
)
def test_whatever_is_not_a_master_that_answers_now_is_not_primary(info: dict[str, str], asked: float) -> None:
    assert not verdict(info, OWN, OWN, OWN, asked=asked).primary


def test_a_server_that_was_never_or_not_well_asked() -> None:
    for said in (None, Said(100.0, MASTER, "refused")):
        found = judge(OWN, said, [Named(100.0, OWN)] * 3, 100.1, LIMITS)
        assert (found.primary, found.healthy) == (False, False)


@pytest.mark.parametrize(
    ("change", "named", "good"),
    [
        ({}, (OTHER, OTHER, "refused"), True),
        ({"master_link_status": "down"}, (OTHER, OTHER, OTHER), False),
        ({"master_last_io_seconds_ago": "11"}, (OTHER, OTHER, OTHER), False),
        ({"master_last_io_seconds_ago": "-1"}, (OTHER, OTHER, OTHER), False),
        ({"master_host": "10.0.0.9"}, (OTHER, OTHER, OTHER), False),
        ({"master_port": ""}, (OTHER, OTHER, OTHER), False),
        ({}, (OTHER, "refused", "refused"), False),
    ],
)
def test_a_replica_serves_reads_of_the_master_that_is_named(change: dict[str, str], named: tuple, good: bool) -> None:
    found = verdict(REPLICA | change, *named)
    assert (found.replica, found.primary) == (good, False)
