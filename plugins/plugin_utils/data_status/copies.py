# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Copies of the other stores: what lies in their repository, whether the sender is well, and the last drill."""

from __future__ import annotations

from dataclasses import dataclass

from .block import HOUR, Block, Cell, age, drill, size, span, stale
from .heard import Heard, limit_of

# The repository is measured once an hour.
MEASURED_SECONDS = 3 * HOUR
FILE = "backup_repository.prom"


@dataclass(frozen=True)
class Store:
    """Names of a store's figures."""

    job: str
    timer: str
    sent_good: str
    sent_at: str
    drill_good: str
    drill_at: str
    operation: str


STORES = {
    "redis": Store(
        "redis", "redis-copy", "chainops_redis_copy_success", "chainops_redis_copy_last_success_timestamp_seconds",
        "chainops_redis_drill_success", "chainops_redis_drill_timestamp_seconds", "redis_drill",
    ),
    "influxdb": Store(
        "influxdb", "influxdb-backup", "chainops_influxdb_backup_success",
        "chainops_influxdb_backup_last_success_timestamp_seconds", "chainops_influxdb_drill_success",
        "chainops_influxdb_drill_last_run_timestamp_seconds", "influxdb_drill",
    ),
}  # fmt: skip


def block(senders: dict[str, list[Heard]], repositories: list[Heard], now: float) -> Block:
    made = Block(
        "Copies of the other stores",
        ("STORE", "SENT", "REPOSITORY", "NEWEST THERE", "COPIES", "SIZE", "DRILL"),
        right=frozenset({"COPIES", "SIZE"}),
    )
    for name, hosts in senders.items():
        row(made, STORES[name], hosts, repositories, now)
    for host in repositories:
        if host.silence == "unreachable":
            made.note(f"the repository's host, {host.name}, is not reached")
        written = host.files.get(FILE)
        if written and now - written > MEASURED_SECONDS:
            made.note(f"{host.name}: the repository was last measured {span(now - written)} ago")
    return made


def newest(hosts: list[Heard], at: str, good: str) -> tuple[float | None, float | None]:
    """When something last happened on one of these hosts, and what came of it."""
    found = [(host.value(at), host.value(good)) for host in hosts]
    return max(((when, result) for when, result in found if when), default=(None, None))


def row(made: Block, store: Store, hosts: list[Heard], repositories: list[Heard], now: float) -> None:
    limit = limit_of(hosts, store.timer, HOUR)
    silent = any(host.silence for host in hosts)
    sent = age(newest(hosts, store.sent_at, store.sent_good)[0], now, limit)
    if sent.text == "never" and silent:
        sent = Cell("unknown", "bad")
    failed = [host.name for host in hosts if host.value(store.sent_good) == 0]
    # of several senders one has a turn; the failure of another, from before, is over
    failed = [name for name in failed if turn(next(host for host in hosts if host.name == name))]
    if failed:
        made.note(f"{store.job}: the last copy failed on {', '.join(failed)}")
    drill_at, drill_good = newest(hosts, store.drill_at, store.drill_good)
    rehearsed = drill(drill_good, drill_at, now)
    if not drill_at and silent:
        rehearsed = Cell("unknown", "bad")
    elif stale(rehearsed):
        made.note(f"{store.job}: last drill {rehearsed.text} (operation {store.operation})")
    metric = "chainops_backup_repository"
    host = next((each for each in repositories if each.value(f"{metric}_copies", job=store.job) is not None), None)
    if host is None:
        if stale(sent):
            made.note(f"{store.job}: last copy sent {sent.text}")
        place = repositories[0].name if repositories else ""
        made.add(store.job, sent, place, Cell("unknown", "bad") if repositories else None, None, None, rehearsed)
        return
    there = age(host.value(f"{metric}_latest_copy_timestamp_seconds", job=store.job), now, limit)
    # what was sent a moment ago is there, too, and measured within the hour
    if there.text == "never" and sent.text != "never" and not stale(sent):
        there = Cell("not measured yet", "fair")
    # a host that was built anew has forgotten that it sent one
    if sent.text == "never" and not stale(there):
        sent = Cell("not remembered", "fair")
    if stale(there):
        made.note(f"{store.job}: newest copy in the repository {there.text}")
    if host.value(f"{metric}_upkeep_success", job=store.job) == 0:
        made.note(f"{store.job}: old copies could not be removed, or data does not read back, on {host.name}")
    copies, total = host.value(f"{metric}_copies", job=store.job), host.value(f"{metric}_size_bytes", job=store.job)
    made.add(store.job, sent, host.name, there, copies, size(total), rehearsed)


def turn(host: Heard) -> bool:
    return host.value("chainops_redis_copy_turn") != 0
