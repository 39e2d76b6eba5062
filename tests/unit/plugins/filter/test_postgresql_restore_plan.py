"""What is left to do of a restore in place, from what was found on the members."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.chainops.infra.plugins.filter.postgresql_restore_plan import postgresql_restore_plan

MEMBERS = ["db-a", "db-b", "db-c"]
ALL = {"alive": MEMBERS}
LED = {"id": "1", "stage": "led"}
RECOVERED = {"id": "1", "stage": "recovered"}


def plan(leader: str = "", again: str = "", alive: list[str] | None = None, **found: Any) -> dict[str, Any]:
    """``found`` is what each member has, by the last letter of its name."""
    base = {"leader": leader, "alive": alive if alive is not None else ([leader] if leader else []), "restore": {}}
    hostvars = {host: {"__restore_possible": base | found.get(host[-1], {})} for host in MEMBERS}
    return postgresql_restore_plan(MEMBERS, hostvars, "db-a", again)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        # before: a cluster that serves, and one that is down
        ({"leader": "db-b"}, ("restore", "", "")),
        ({}, ("restore", "", "")),
        # killed after it had recovered, before it led
        ({"a": {"restore": RECOVERED}}, ("go_on", "1", "")),
        # led, and killed before the mark said so, or after
        ({"leader": "db-a", "a": {"restore": RECOVERED}}, ("clone", "1", "")),
        ({"leader": "db-a", "a": {"restore": LED}}, ("clone", "1", "")),
        # all have it, and another leads since
        ({"leader": "db-c", **{host: {"restore": LED} for host in "abc"}}, ("clone", "1", "")),
        # somebody has gone back to the old data meanwhile: what was recovered lacks what is written there
        ({"leader": "db-b", "a": {"restore": RECOVERED}}, ("restore", "", "1")),
        # to be made once more: members do not show the mark of that name
        ({"leader": "db-a", "again": "1"}, ("restore", "", "1")),
        ({"again": "1"}, ("restore", "", "1")),
    ],
)
def test_what_is_done(found: dict[str, Any], wanted: tuple[str, str, str]) -> None:
    result = plan(**found)
    assert ((result["do"], result["id"], result["again"]), result["faults"]) == (wanted, [])


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"c": {"unreachable": True, "msg": "no route"}}, "-e postgresql_restore_without=db-c"),
        ({"b": {"failed": True, "msg": "the cluster is paused"}}, "db-b: the cluster is paused"),
        ({"leader": "db-d"}, "db-d: Patroni runs there"),
        ({"alive": ["db-a", "db-d"]}, "db-d: Patroni runs there"),
        # all were stopped after clients had written to it
        ({"a": {"restore": LED}, "b": {"restore": LED}}, "-e postgresql_restore_again=1"),
        ({"b": {"restore": RECOVERED}}, "give postgresql_restore_member=db-b"),
        ({"leader": "db-b", "b": {"restore": LED}}, "give postgresql_restore_member=db-b"),
    ],
)
def test_what_speaks_against_it(found: dict[str, Any], words: str) -> None:
    result = plan(**found)
    assert result["do"] == "nothing" and words in " ".join(result["faults"])


def test_every_member_is_named_that_cannot_take_part() -> None:
    found = plan(b={"failed": True, "msg": "x"}, c={"unreachable": True})
    assert [fault.split()[0] for fault in found["faults"]] == ["db-b:", "db-c"]
    assert postgresql_restore_plan(["db-a"], {"db-a": {}}, "db-a")["faults"] == ["db-a was not asked"]
