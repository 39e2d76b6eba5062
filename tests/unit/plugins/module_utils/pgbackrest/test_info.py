"""What pgBackRest 2.55.1 said of real repositories."""

from __future__ import annotations

import json

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.pgbackrest import info
from ansible_collections.chainops.infra.plugins.module_utils.pgbackrest.command import PgbackrestError

from tests.support.pgbackrest import DATA

INCR = "20261126-071727F_20261126-071732I"


def read(name: str, number: int) -> info.Repository:
    return info.parse((DATA / f"{name}.json").read_text(), number)


def test_a_repository_with_a_full_and_an_incremental_backup() -> None:
    found = read("info_repo1", 1)
    assert (found.code, found.has_stanza, found.running) == (0, True, False)
    assert [(backup.label, backup.kind) for backup in found.backups] == [("20261126-071727F", "full"), (INCR, "incr")]
    assert [found.last(kind).kind for kind in info.TYPES] == ["full", "full", "incr"]
    assert found.archive_min == "000000010000000000000001"


def test_only_the_repository_that_was_asked_counts() -> None:
    assert [backup.label for backup in read("info_repo2", 2).backups] == ["20261126-071727F"]


@pytest.mark.parametrize(
    ("lsn", "label"),
    [("0/7000049", None), ("0/7000050", "20261126-071727F"), ("0/8FFFFFF", "20261126-071727F"), ("1/0", INCR)],
)
def test_a_restore_point_is_reached_from_the_last_backup_that_ended_before_it(lsn: str, label: str | None) -> None:
    found = read("info_repo1", 1).before(lsn)
    assert (found.label if found else None) == label


@pytest.mark.parametrize(
    ("name", "number", "words"),
    [
        ("info_silent", 2, "unable to connect"),
        ("info_denied", 1, "access denied"),
        ("info_no_stanza", 1, "missing stanza"),
    ],
)
def test_a_repository_that_pgbackrest_calls_other_than_good_is_not_good(name: str, number: int, words: str) -> None:
    """pgBackRest's own status is 0 in all of these."""
    with pytest.raises(PgbackrestError, match=words):
        read(name, number).must_be_good()


def test_an_empty_answer_is_no_stanza() -> None:
    assert not info.parse("[]", 1).has_stanza


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"status": {}}]', '[{"backup": [{}]}]', "\udcff"])
def test_rubbish_is_refused_in_words(text: str) -> None:
    with pytest.raises(PgbackrestError, match="no usable answer for repository 1"):
        info.parse(text, 1)


def test_positions_compare_as_numbers() -> None:
    assert info.position("0/FFFFFFFF") < info.position("1/0") < info.position("A/0")
    assert json.loads(json.dumps(info.position("1/1"))) == 2**32 + 1
