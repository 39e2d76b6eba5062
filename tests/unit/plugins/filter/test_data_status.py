# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The report of the data layer: what is whole says so, each thing that is stale, wrong or unknown is marked."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.chainops.infra.plugins.filter.data_status_page import data_status_page
from ansible_collections.chainops.infra.plugins.filter.data_status_table import data_status_table
from ansible_collections.chainops.infra.plugins.plugin_utils.data_status import block, postgresql
from ansible_collections.chainops.infra.plugins.plugin_utils.data_status.heard import Heard, limit_of

from tests.unit.plugins.filter.data_site import CLUSTER, DAY, HOUR, NOW, Site


@pytest.fixture
def site() -> Site:
    return Site()


def lines(site: Site) -> list[str]:
    return data_status_table(site.groups, site.hostvars, "data", NOW)


def row(site: Site, title: str, first: str) -> str:
    """The row of a block that begins with a word."""
    found = lines(site)
    start = next(number for number, line in enumerate(found) if line.startswith(title.upper()))
    return next(line for line in found[start + 1 :] if line.strip().startswith(first))


def plain(line: str) -> str:
    return " ".join(line.split())


def notes(site: Site) -> list[str]:
    return [line.removeprefix("    ! ") for line in lines(site) if line.startswith("    ! ")]


def test_a_whole_layer(site: Site) -> None:
    found = lines(site)
    assert notes(site) == [] and found[-1] == "data layer: nothing to look after"
    assert not [line for line in found if "!" in line]
    titles = [line.split(":", maxsplit=1)[0] for line in found if line and not line.startswith((" ", "data layer"))]
    assert titles == [
        "POSTGRESQL",
        "DATABASES OF POSTGRESQL",
        "ETCD",
        "BACKUPS OF POSTGRESQL",
        "REDIS",
        "INFLUXDB",
        "COPIES OF THE OTHER STORES",
    ]


def test_who_leads_and_how_far_the_others_are(site: Site) -> None:
    text = "\n".join(lines(site))
    assert "cluster main: db-a leads; policy zero_host; 1 change of timeline, the last on 2026-11-26 08:12:31" in text
    assert plain(row(site, "postgresql", "db-a")) == "db-a east leader running 2 - no 65.0 GB"
    assert "quorum standby" in row(site, "postgresql", "db-b") and "4.1 kB" in row(site, "postgresql", "db-b")
    assert "11.1 MB in all, as db-a sees it" in text


def test_backups_drills_and_sizes(site: Site) -> None:
    text = "\n".join(lines(site))
    repository = row(site, "backups", "repository 1")
    for part in ("bk-a", "2 of 2", "3 d ago", "20 h ago", "30 min ago", "22", "1.0 MB", "66.0 GB", "green 2026-11-22"):
        assert part in repository, part
    assert "db-a archives: the last one 20 s ago, 0 wait" in text
    assert "25 min ago" in row(site, "copies", "redis") and "green 2026-11-24" in row(site, "copies", "redis")
    assert "27 min ago" in row(site, "copies", "influxdb") and "green 2026-11-23" in row(site, "copies", "influxdb")
    assert plain(row(site, "etcd", "db-a")) == "db-a east leader 143 kB 119 kB 0% 10 h ago"
    assert plain(row(site, "redis", "db-a")) == "db-a east master 3 of 3 - 1.5 MB 0% 808 10 min ago"
    assert plain(row(site, "redis", "db-b")) == "db-b east replica 0 of 3 0 B 1.5 MB 0% 808 10 min ago"
    assert "ts-a: InfluxDB 1.6.7, 250 series, 38.0 MB on disk, 65.0 GB free" in text
    assert plain(row(site, "influxdb", "chain  ")) == "chain raw 1w 1d yes 250 2"
    assert "for ever" in text


CLUSTER_CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"leader": "", "faults": ["nobody leads"]}, "nobody leads"),
    ({"faults": ["db-b is stopped"]}, "db-b is stopped"),
]
FIGURE_CHANGES: list[tuple[str, str, float | None, str]] = [
    ("bk-a", "pgbackrest_backup_last_timestamp_seconds repository=1 type=full", NOW - 15 * DAY,
     "repository 1: last full backup 15 d ago"),
    ("bk-a", "pgbackrest_backup_last_timestamp_seconds repository=1 type=diff", NOW - 3 * DAY,
     "repository 1: last diff backup 3 d ago"),
    ("bk-a", "pgbackrest_backup_last_timestamp_seconds repository=1 type=incr", NOW - 2.5 * HOUR,
     "repository 1: last incr backup 2 h ago"),
    ("bk-a", "pgbackrest_backup_last_timestamp_seconds repository=1 type=full", None,
     "repository 1: last full backup never"),
    ("bk-a", "pgbackrest_repository_status repository=1", 2, "repository 1: it has no backup yet"),
    ("bk-a", "pgbackrest_repository_free_bytes", 1e9, "repository 1: 1.0 GB free of 270 GB on bk-a"),
    ("bk-a", "pgbackrest_metrics_timestamp_seconds", NOW - 1200, "bk-a: its figures of pgBackRest are 20 min old"),
    ("db-b", "pgbackrest_repository_up repository=1", 0, "repository 1 is not reached by db-b"),
    ("db-a", "pgbackrest_archive_failing", 1, "db-a: the last attempt to archive WAL failed"),
    ("db-a", "pgbackrest_archive_oldest_ready_seconds", 400, "segments of WAL wait to be archived, the oldest for 7 m"),
    ("db-b", "pgbackrest_archive_primary", 1, "db-a and db-b both say that they take writes"),
    ("sc-a", "postgresql_drill_success stanza=main repository=1", 0, "repository 1: last drill RED 2026-11-22"),
    ("sc-a", "postgresql_drill_timestamp_seconds stanza=main repository=1", NOW - 11 * DAY,
     "repository 1: last drill green 2026-11-15"),
    ("sc-a", "postgresql_drill_timestamp_seconds stanza=main repository=1", None, "repository 1: last drill never"),
    ("bk-a", "chainops_backup_repository_latest_copy_timestamp_seconds job=redis", NOW - 3 * HOUR,
     "redis: newest copy in the repository 3 h ago"),
    ("bk-a", "chainops_backup_repository_upkeep_success job=influxdb", 0, "influxdb: old copies could not be removed"),
    ("db-b", "chainops_redis_copy_success", 0, "redis: the last copy failed on db-b"),
    ("db-b", "chainops_redis_drill_success", 0, "redis: last drill RED 2026-11-24"),
    ("ts-a", "chainops_influxdb_drill_last_run_timestamp_seconds", NOW - 12 * DAY, "influxdb: last drill green"),
    ("ts-a", "chainops_influxdb_backup_success", 0, "influxdb: the last copy failed on ts-a"),
    ("db-a", "etcd_maintenance_snapshot_time_seconds member=db-a", NOW - 3 * DAY, "last snapshot of etcd 3 d ago"),
    ("db-a", "etcd_maintenance_snapshot_ok member=db-a", 0, "db-a: the last snapshot of etcd failed"),
    ("db-a", "etcd_mvcc_db_total_size_in_bytes", 1_900_000_000, "near its quota (88%)"),
    ("db-a", "etcd_server_has_leader", 0, "db-a: its etcd sees no leader"),
    ("db-a", "chainops_redis_sentinel_votes", 2, "2 of 3 Sentinels name db-a"),
    ("db-b", "chainops_redis_primary", 1, "db-a and db-b both hold that writes belong to them"),
    ("db-b", "chainops_redis_up", 0, "db-b: Redis does not answer"),
    ("db-b", "chainops_redis_replica", 0, "neither the master that the Sentinels name nor a replica that keeps up"),
    ("db-a", "chainops_redis_primary", 0, "nobody takes writes"),
    ("db-a", "chainops_redis_aof_write_ok", 0, "db-a: the last write to the AOF failed"),
    ("db-a", "chainops_redis_restart_pending", 2, "db-a: 2 settings of Redis wait for a restart"),
]  # fmt: skip


@pytest.mark.parametrize(("host", "figure", "value", "said"), FIGURE_CHANGES, ids=lambda each: str(each)[:40])
def test_what_is_stale_or_wrong(site: Site, host: str, figure: str, value: float | None, said: str) -> None:
    if value is None:
        del site.figures[host][figure]
    else:
        site.figures[host][figure] = value
    assert [note for note in notes(site) if said in note], notes(site)
    assert lines(site)[-1] != "data layer: nothing to look after"


@pytest.mark.parametrize(("change", "said"), CLUSTER_CHANGES, ids=str)
def test_what_patroni_finds(site: Site, change: dict[str, Any], said: str) -> None:
    for host in ("db-a", "db-b"):
        site.answers[host]["patroni"] |= change
    assert said in notes(site)


def test_a_standby_that_lags_or_is_not_known_to(site: Site) -> None:
    site.cluster["members"][1]["lag_bytes"] = 20 << 20
    assert "21.0 MB !" in row(site, "postgresql", "db-b")
    site.cluster["members"][1]["lag_bytes"] = -1
    assert "unknown !" in row(site, "postgresql", "db-b")


def test_a_restart_that_is_waited_for(site: Site) -> None:
    site.cluster["members"][1] |= {"pending_restart": True, "pending_restart_reason": {"max_connections": {}}}
    assert "pending" in row(site, "postgresql", "db-b")
    assert "db-b: max_connections waits for a restart (operation postgresql_restart)" in notes(site)


def test_two_that_lead(site: Site) -> None:
    site.answers["db-b"]["patroni"]["leader"] = "db-b"
    assert "members do not agree on who leads: db-a, db-b" in notes(site)


def test_the_policy_is_read_from_the_cluster_and_compared(site: Site) -> None:
    assert postgresql.policy_of(CLUSTER["config"] | {"synchronous_node_count": 2}) == "zero_region"
    assert postgresql.policy_of({"synchronous_mode": False, "maximum_lag_on_failover": 16 << 20}) == "bounded (16 MiB)"
    assert postgresql.policy_of({"synchronous_mode": False, "maximum_lag_on_failover": 1 << 50}) == "fast"
    assert postgresql.policy_of({"synchronous_mode": True}).startswith("synchronous while")
    assert postgresql.policy_of(CLUSTER["config"] | {"synchronous_node_count": 3}) == "quorum of 3"
    site.more["db-a"] = {"postgresql_rpo": "zero_region"}
    assert "the cluster's policy is zero_host, the inventory's zero_region: run the layer" in notes(site)


@pytest.mark.parametrize("host", ["db-a", "db-b", "bk-a", "sc-a", "ts-a"])
def test_a_host_that_is_not_reached(site: Site, host: str) -> None:
    site.cut[host] = "Task failed: Data could not be sent. Make sure …: ssh: connect to host 10.0.0.1: No route to host"
    found = lines(site)
    assert f"{host}: not reached by ssh: connect to host 10.0.0.1: No route to host" in found
    assert found[-1].endswith(f"not reached: {host}") and "nothing" not in found[-1]
    if host in ("db-a", "db-b"):
        assert "unreachable" in row(site, "postgresql", host) and "unreachable" in row(site, "redis", host)
    if host == "bk-a":
        assert "unknown !" in row(site, "backups", "repository 1")
        assert "the host of repository 1, bk-a, is not reached" in notes(site)
    if host == "sc-a":
        assert row(site, "backups", "repository 1").endswith("unknown !")
    if host == "ts-a":
        assert "INFLUXDB: ts-a: unreachable" in found and "unknown !" in row(site, "copies", "influxdb")


def test_a_host_whose_module_fails_or_hangs(site: Site) -> None:
    hostvars = site.hostvars
    hostvars["db-b"] = {"data_metrics": {"failed": True, "msg": "Timed out after 60 second(s)."}}
    found = data_status_table(site.groups, hostvars, "data", NOW)
    assert "db-b: could not be asked: Timed out after 60 second(s)." in found and found[-1].endswith(
        "not reached: db-b"
    )


def test_a_host_that_was_left_out(site: Site) -> None:
    hostvars = site.hostvars
    hostvars["db-b"] = {}
    found = data_status_table(site.groups, hostvars, "data", NOW)
    assert [line for line in found if line.startswith("  db-b") and "not asked" in line]
    assert "not reached" not in found[-1]


def test_all_hosts_lost(site: Site) -> None:
    site.cut = dict.fromkeys(site.hostvars, "No route to host")
    found = lines(site)
    assert "POSTGRESQL: no member told of the cluster" in found
    assert "ETCD: 0 of 1 members are well; none seen to lead" in found
    assert "nothing to look after" not in found[-1]
    assert found[-1].endswith("not reached: db-a, db-b, bk-a, sc-a, ts-a")


def test_members_see_the_repository_of_a_lost_host(site: Site) -> None:
    site.cut["bk-a"] = "No route to host"
    for name, value in list(site.figures["bk-a"].items()):
        if "repository=1" in name:
            site.figures["db-a"][name] = value
    assert "20 h ago" in row(site, "backups", "repository 1")


def test_a_member_that_was_built_anew(site: Site) -> None:
    """Its figures are gone with its disk; what the repositories hold is not."""
    site.figures["db-b"], site.endpoints["db-b"] = {}, {}
    assert "1 of 2  " in row(site, "backups", "repository 1")
    assert "not remembered" in row(site, "copies", "redis") and "25 min ago  " in row(site, "copies", "redis")
    assert "redis: last drill never (operation redis_drill)" in notes(site)


def test_a_copy_that_was_just_sent_is_not_measured_yet(site: Site) -> None:
    site.figures["bk-a"]["chainops_backup_repository_latest_copy_timestamp_seconds job=influxdb"] = 0
    assert "not measured yet" in row(site, "copies", "influxdb") and notes(site) == []


def test_modules_that_could_not_tell(site: Site) -> None:
    site.answers["db-b"]["patroni"] = {"msg": "the REST API does not answer"}
    site.answers["db-a"]["sizes"] = site.answers["db-b"]["sizes"] = {"msg": "psql did not end within 10 s"}
    site.answers["db-a"]["redis"] = {"msg": "redis_master: after 3 s: db-b does not answer"}
    site.answers["ts-a"]["influxdb"] = {"msg": "InfluxDB at https://x: it does not answer"}
    said = notes(site)
    assert "db-b: Patroni could not be asked: the REST API does not answer" in said
    assert "db-a: psql did not end within 10 s" in said
    assert "after 3 s: db-b does not answer" in said
    assert "ts-a: InfluxDB at https://x: it does not answer" in said


def test_an_etcd_that_is_down_or_ill(site: Site) -> None:
    site.endpoints["db-a"]["etcd_health"] = {
        "status": 503,
        "error": "",
        "text": '{"health":"false","reason":"NOSPACE"}',
    }
    assert "ill !" in row(site, "etcd", "db-a") and "only 0 of 1 members" in "\n".join(notes(site))
    site.endpoints["db-a"]["etcd_health"] = {"status": 0, "error": "Connection refused", "text": ""}
    assert "db-a: etcd is not well: Connection refused" in notes(site)


def test_a_limit_follows_the_timer() -> None:
    host = Heard("bk-a")
    assert limit_of([host], "x", HOUR) == 2 * HOUR
    host.timers = {"x": {"period": DAY, "longest": DAY}}
    assert limit_of([host], "x", HOUR) == 2 * DAY
    # Monday to Friday: the weekend is no delay
    host.timers = {"x": {"period": DAY, "longest": 3 * DAY}}
    assert limit_of([Heard("a"), host], "x", HOUR) == 3.5 * DAY


def test_words_for_sizes_and_times() -> None:
    assert [block.size(count) for count in (None, -1, 0, 999, 1500, 123_456, 2e12)] == [
        "", "", "0 B", "999 B", "1.5 kB", "123 kB", "2.0 TB",
    ]  # fmt: skip
    assert [block.span(each) for each in (-5, 100, 200, 9000, 200000)] == ["0 s", "100 s", "3 min", "2 h", "2 d"]


def test_a_site_without_a_data_layer() -> None:
    assert data_status_table({"all": ["x"]}, {"x": {}}, "data", NOW) == ["data layer: no host of it was asked"]
    assert data_status_page({"all": ["x"]}, {"x": {}}, "data", NOW, whole=False) == ""
    assert "No host of it was asked" in data_status_page({}, {}, "data", NOW)


def test_a_site_with_one_store_only(site: Site) -> None:
    site.groups = {"redis": ["db-a", "db-b"]}
    text = "\n".join(lines(site))
    assert "REDIS" in text and "POSTGRESQL" not in text and "COPIES" not in text
