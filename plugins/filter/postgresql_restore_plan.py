# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

FOUND = "__restore_possible"


def postgresql_restore_plan(
    members: list[str], hostvars: Mapping[str, Any], member: str, again: str = ""
) -> dict[str, Any]:
    """What is left to do of a restore in place, and what speaks against it."""
    found = {host: dict(hostvars[host].get(FOUND) or {}) for host in members}
    faults = [trouble(host, result) for host, result in found.items()]
    if any(faults):
        return plan("nothing", faults=[fault for fault in faults if fault])
    marks = {host: result.get("restore") or {} for host, result in found.items()}
    alive = {name for result in found.values() for name in result.get("alive") or []}
    leader = next((str(result["leader"]) for result in found.values() if result.get("leader")), "")
    outside = sorted((alive | {leader}) - {"", *members})
    if outside:
        words = (
            f"{', '.join(outside)}: Patroni runs there, by the cluster's state in etcd, and the restore leaves it out"
        )
        return plan("nothing", faults=[f"{words}: stop it, and wait for the end of its lease (postgresql_ttl_s)"])
    if leader:
        return beside(leader, member, marks, again)
    return alone(member, marks, again)


def beside(leader: str, member: str, marks: dict[str, dict[str, Any]], again: str) -> dict[str, Any]:
    """Somebody leads."""
    done = marks[leader]
    if not done:
        # Old data is led: what this member may have recovered before lacks whatever was written since.
        return plan("restore", again=marks[member].get("id") or again)
    if marks[member].get("id") != done["id"]:
        words = f"{leader} leads, restored to this already ({done['id']}), and {member} is to be restored"
        return plan("nothing", faults=[f"{words}: give postgresql_restore_member={leader}"])
    return plan("clone", mark=done)


def alone(member: str, marks: dict[str, dict[str, Any]], again: str) -> dict[str, Any]:
    """Nobody leads: before, in the middle, or because all have been stopped since."""
    led = next((host for host, mark in marks.items() if mark.get("stage") == "led"), "")
    if led:
        name = marks[led]["id"]
        words = f"the members were restored to this already ({name}) and have led since, and nobody leads now"
        once_more = f"To restore once more, and lose what was written since: -e postgresql_restore_again={name}"
        return plan("nothing", faults=[f"{words}: start Patroni on all of them. {once_more}"])
    mark, other = marks[member], next((host for host, mark in marks.items() if mark and host != member), "")
    if mark:
        return plan("go_on", mark=mark)
    if other:
        return plan("nothing", faults=[f"{other} is restored to this already: give postgresql_restore_member={other}"])
    return plan("restore", again=again)


def trouble(host: str, result: dict[str, Any]) -> str:
    """Why a member cannot take part."""
    if result.get("unreachable"):
        lost = f"if it is lost, leave it out with -e postgresql_restore_without={host}"
        return f"{host} is not reached ({str(result.get('msg', '')).strip()[:200]}): {lost}"
    if result.get("failed"):
        return f"{host}: {result.get('msg', 'no reason given')}"
    return "" if result else f"{host} was not asked"


def plan(
    what: str, *, mark: dict[str, Any] | None = None, again: str = "", faults: list[str] | None = None
) -> dict[str, Any]:
    return {"do": what, "id": (mark or {}).get("id", ""), "again": again, "faults": faults or []}


class FilterModule:
    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        return {"postgresql_restore_plan": postgresql_restore_plan}
