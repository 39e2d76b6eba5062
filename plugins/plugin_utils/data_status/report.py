# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""All blocks of a site's data layer, for the groups that it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import backups, copies, etcd, influxdb, postgresql, redis
from .block import Block
from .heard import hear_all

GROUPS = (
    "postgresql",
    "etcd",
    "pgbackrest_repository",
    "pgbackrest_restore",
    "backup_repository",
    "redis",
    "redis_sentinel",
    "influxdb",
)


@dataclass(frozen=True)
class Report:
    """Without blocks where no host of the layer was asked for anything, as on a site without one."""

    blocks: list[Block] = field(default_factory=list)
    # names of hosts, and why they were not reached
    silent: dict[str, str] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        notes = sum(len(block.notes) for block in self.blocks)
        parts = [f"{notes} thing{'s' if notes > 1 else ''} to look after"] if notes else []
        parts += [f"not reached: {', '.join(self.silent)}"] if self.silent else []
        return "; ".join(parts) or "nothing to look after"


def report(groups: Mapping[str, Any], hostvars: Mapping[str, Any], prefix: str, now: float) -> Report:
    """What all hosts of the layer said, or did not."""
    found = {name: hear_all([str(host) for host in groups.get(name) or []], hostvars, prefix) for name in GROUPS}
    if not any(host.asked for hosts in found.values() for host in hosts):
        return Report()
    made: list[Block] = []
    members = found["postgresql"]
    if members:
        wanted = str(hostvars[members[0].name].get("postgresql_rpo") or "")
        made += [postgresql.block(members, wanted), postgresql.sizes(members)]
    if found["etcd"]:
        made.append(etcd.block(found["etcd"], now))
    if found["pgbackrest_repository"]:
        site = backups.Site(members, found["pgbackrest_repository"], found["pgbackrest_restore"])
        made.append(backups.block(site, now))
    if found["redis"]:
        made.append(redis.block(found["redis"], found["redis_sentinel"], now))
    made += [influxdb.block(host) for host in found["influxdb"]]
    senders = {name: found[name] for name in copies.STORES if found[name]}
    if senders and found["backup_repository"]:
        made.append(copies.block(senders, found["backup_repository"], now))
    silent = {host.name: host.why for hosts in found.values() for host in hosts if host.asked and not host.reached}
    return Report(made, silent)
