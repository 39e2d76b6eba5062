# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The backups of PostgreSQL: what each repository has, whether WAL gets there, and what the last drill said."""

from __future__ import annotations

from dataclasses import dataclass

from .block import DAY, HOUR, Block, Cell, age, drill, size, span, stale
from .heard import Heard, limit_of

KINDS = {"full": 7 * DAY, "diff": DAY, "incr": HOUR}
# what pgBackRest's "info" says of a stanza in a repository
STATUS = {
    1: "it has no such stanza",
    2: "it has no backup yet",
    3: "it has no such stanza",
    5: "it is another cluster's",
}
# its own alerts take these, too: roles/pgbackrest/docs.md
LOOKED_SECONDS, WAITED_SECONDS = 300, 300


@dataclass(frozen=True)
class Site:
    members: list[Heard]
    repositories: list[Heard]
    scratch: list[Heard]


def block(site: Site, now: float) -> Block:
    made = Block(
        "Backups of PostgreSQL",
        ("REPOSITORY", "HOST", "REACHED BY", "FULL", "DIFF", "INCR", "BACKUPS", "LAST ONE", "FREE", "DRILL"),
        right=frozenset({"BACKUPS", "LAST ONE", "FREE"}),
    )
    # pgBackRest numbers them in the order of their group
    for index in range(len(site.repositories)):
        row(made, str(index + 1), site, now)
    made.summary = archive(made, site.members, now)
    for host in [*site.members, *site.repositories]:
        looked = host.value("pgbackrest_metrics_timestamp_seconds")
        if looked and now - looked > LOOKED_SECONDS:
            made.note(f"{host.name}: its figures of pgBackRest are {span(now - looked)} old (pgbackrest-metrics.timer)")
    return made


def row(made: Block, number: str, site: Site, now: float) -> None:
    host, members = site.repositories[int(number) - 1], site.members
    name = f"repository {number}"
    seen = {member.name: member.value("pgbackrest_repository_up", repository=number) for member in members}
    reached = [member for member, up in seen.items() if up]
    refused = [member for member, up in seen.items() if up == 0]
    if refused:
        made.note(f"{name} is not reached by {', '.join(refused)}")
    if host.silence == "unreachable":
        made.note(f"the host of {name}, {host.name}, is not reached")
    # its own words first; where it says nothing, what members read in it
    sources = [
        source for source in [host, *members] if source.value("pgbackrest_backup_count", repository=number) is not None
    ]
    source = sources[0] if sources else host
    status = source.value("pgbackrest_repository_status", repository=number)
    if status:
        made.note(f"{name}: {STATUS.get(int(status), f'pgBackRest gives it status {status:g}')}")
    cells = []
    for kind, otherwise in KINDS.items():
        at = source.value("pgbackrest_backup_last_timestamp_seconds", repository=number, type=kind)
        if not sources:
            cells.append(Cell("unknown", "bad"))
            continue
        cell = age(at, now, limit_of([host], f"pgbackrest-{kind}", otherwise))
        cells.append(cell)
        if stale(cell):
            made.note(f"{name}: last {kind} backup {cell.text}")
    if source.value("pgbackrest_backup_running", repository=number):
        cells[0] = Cell(f"{cells[0].text}, one runs", cells[0].tone)
    free, total = host.value("pgbackrest_repository_free_bytes"), host.value("pgbackrest_repository_size_bytes")
    room = Cell(size(free), "bad" if free is not None and total and free < 0.15 * total else "")
    if stale(room):
        made.note(f"{name}: {room.text} free of {size(total)} on {host.name}")
    count = source.value("pgbackrest_backup_count", repository=number)
    added = size(source.value("pgbackrest_backup_last_size_bytes", repository=number))
    part = f"{len(reached)} of {len(members)}"
    by = Cell(part, "bad" if refused else "good" if len(reached) == len(members) else "fair")
    made.add(name, host.name, by, *cells, count, added, room, drilled(made, number, site.scratch, now))


def drilled(made: Block, number: str, scratch: list[Heard], now: float) -> Cell:
    found = [
        (at, host.value("postgresql_drill_success", **labels))
        for host in scratch
        for labels, at in host.values("postgresql_drill_timestamp_seconds", repository=number)
    ]
    if not found and any(host.silence for host in scratch):
        return Cell("unknown", "bad")
    at, good = max(found, default=(None, None), key=lambda pair: pair[0] or 0)
    cell = drill(good, at, now)
    if stale(cell):
        made.note(f"repository {number}: last drill {cell.text} (operation postgresql_drill)")
    return cell


def archive(made: Block, members: list[Heard], now: float) -> str:
    """Whether WAL leaves the primary."""
    primaries = [member for member in members if member.value("pgbackrest_archive_primary")]
    if len(primaries) > 1:
        made.note(f"{' and '.join(member.name for member in primaries)} both say that they take writes")
    if not primaries:
        return "no member says that it archives"
    host = primaries[0]
    waiting = host.value("pgbackrest_archive_ready_files") or 0
    oldest = host.value("pgbackrest_archive_oldest_ready_seconds") or 0
    last = host.value("pgbackrest_archive_last_timestamp_seconds")
    if host.value("pgbackrest_archive_failing"):
        made.note(f"{host.name}: the last attempt to archive WAL failed")
    if oldest > WAITED_SECONDS:
        made.note(f"{host.name}: {waiting:g} segments of WAL wait to be archived, the oldest for {span(oldest)}")
    when = f"the last one {age(last, now).text}" if last else "none since PostgreSQL was started"
    return f"{host.name} archives: {when}, {waiting:g} wait"
