"""Who is master, from what Sentinels and servers say."""

from __future__ import annotations

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.redis.resp import Node
from ansible_collections.chainops.infra.plugins.module_utils.redis.topology import (
    Store,
    Watch,
    decide,
    named_master,
    would_lose,
)

A, B, C, D = (Node("10.0.0.1", port) for port in (1, 2, 3, 4))


def watches(*masters: Node | None | str) -> list[Watch]:
    """One for each: its master, None for one that watches nothing, a text for one that does not answer."""
    return [
        Watch(f"s{index}", error=each) if isinstance(each, str) else Watch(f"s{index}", master=each)
        for index, each in enumerate(masters)
    ]


def master(name: str, node: Node, keys: int = 0) -> Store:
    return Store(name, node, role="master", keys=keys)


def replica(name: str, node: Node, of: Node) -> Store:
    return Store(name, node, role="replica", follows=of, linked=True)


NEW = [master("a", A), master("b", B), master("c", C)]


def test_a_majority_of_all_sentinels_counts_not_of_those_that_answer() -> None:
    assert named_master(watches(B, B, "down"), 3) == B
    assert named_master(watches(B, "down", "down"), 3) is None
    assert named_master(watches(B, None, A), 3) is None


def test_what_the_sentinels_name_is_kept_whatever_the_servers_and_the_inventory_say() -> None:
    stores = [master("a", A, 9), master("b", B, 9), replica("c", C, A)]
    decision = decide(watches(B, B, A), stores, founding="a")
    assert (decision.master, decision.source) == (stores[1], "sentinels")


def test_one_sentinel_that_knows_is_enough_if_the_others_have_just_come() -> None:
    decision = decide(watches(B, None, None), NEW, founding="a")
    assert decision.master is NEW[1] and decision.source == "sentinels"
    assert decide(watches(B, None, "down"), NEW, "a").master is NEW[1]
    assert "too few Sentinels" in decide(watches(B, "down", "down"), NEW, "a").problem


@pytest.mark.parametrize(
    ("said", "stores", "words", "passing"),
    [
        (watches(A, B, None), NEW, "do not agree", True),
        (watches(None, "down", "down"), NEW, "too few Sentinels", True),
        (watches(D, D, D), NEW, "none of the servers", False),
        (watches(None, None, None), [*NEW[:2], Store("c", C, error="refused")], "not every server", True),
        (watches(None, None, None), [master("a", A), replica("b", B, A), replica("c", C, B)], "not one master", False),
        (watches(None, None, None), [replica("a", A, D), replica("b", B, D), master("c", C)], "not one master", False),
        (watches(None, None, None), [master("a", A, 1), master("b", B, 1), master("c", C)], "would lose", False),
    ],
)
def test_what_is_refused(said: list[Watch], stores: list[Store], words: str, passing: bool) -> None:
    decision = decide(said, stores, founding="a")
    assert decision.master is None and words in decision.problem and decision.passing is passing


def test_founding_is_the_last_resort() -> None:
    idle = watches(None, None, None)
    assert decide(idle, NEW, "b").source == "founding"
    followed = [replica("a", A, B), master("b", B), replica("c", C, B)]
    assert decide(idle, followed, "a").master is followed[1]
    full = [master("a", A), master("b", B), master("c", C, 5)]
    decision = decide(idle, full, "a")
    assert (decision.master, decision.source) == (full[2], "servers")


def test_only_a_stranger_with_data_of_its_own_would_lose_it() -> None:
    stores = [master("a", A, 5), master("b", B, 5), replica("c", C, A)]
    assert would_lose(stores, stores[0], known=set()) == [stores[1]]
    assert would_lose(stores, stores[0], known={str(B)}) == [], "an old master that the Sentinels know loses a copy"
    assert would_lose([stores[0], master("b", B)], stores[0], set()) == []
