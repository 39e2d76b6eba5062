# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rules for Prometheus and the pages' tables of alerts are alike, and somebody exports what they look at."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "docs" / "alerts").glob("*.yml"))
PAGES = [*sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "roles").glob("*/docs.md"))]
HEADER = "| alert | expression | for | why |"

# Where the figures come from: what they begin with, who writes them, and whether by their full names there.
EXPORTERS = [
    ("pgbackrest_", "roles/pgbackrest/files/metrics.py", True),
    ("postgresql_drill_", "plugins/module_utils/pgbackrest/drill.py", True),
    ("host_certificate_", "plugins/module_utils/certificates/host.py", True),
    ("chainops_influxdb_series", "roles/influxdb/files/influxdb_backup.py", True),
    ("chainops_influxdb_backup_", "roles/influxdb/files/influxdb_backup.py", False),
    ("chainops_influxdb_drill_", "plugins/module_utils/influxdb/restore.py", False),
    ("chainops_backup_repository_", "roles/backup_repository/files/backup_upkeep.py", False),
    ("etcd_maintenance_", "roles/etcd/files/maintenance.py", False),
    ("chainops_redis_copy_", "plugins/module_utils/redis/upkeep.py", False),
    ("chainops_redis_drill_", "plugins/module_utils/redis/upkeep.py", False),
    ("chainops_redis_", "plugins/module_utils/redis/metrics.py", False),
]
# As Patroni 4.0.7, etcd 3.5 and HAProxy 3.0 were seen to export them.
FOREIGN = {
    *(f"patroni_{name}" for name in ("primary", "replica", "postgres_running", "postgres_streaming", "quorum_standby")),
    *(f"patroni_{name}" for name in ("xlog_location", "xlog_received_location", "xlog_paused", "pending_restart")),
    *(f"patroni_{name}" for name in ("failsafe_mode_is_active", "dcs_last_seen", "is_paused")),
    "etcd_server_has_leader",
    "etcd_disk_wal_fsync_duration_seconds_bucket",
    "etcd_server_leader_changes_seen_total",
    "etcd_mvcc_db_total_size_in_bytes",
    "etcd_server_quota_backend_bytes",
    "haproxy_backend_active_servers",
    "haproxy_backend_current_queue",
}


def rules() -> list[dict[str, Any]]:
    return [rule for file in FILES for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


def rows(text: str) -> list[tuple[str, str, str]]:
    """Name, expression and time of each row of a page's tables of alerts."""
    found, inside = [], False
    for line in (line.strip() for line in text.splitlines()):
        inside = line == HEADER or (inside and line.startswith("|"))
        if inside and line.startswith("| `"):
            name, expression, lasting = (cell.strip(" `") for cell in line.split("|")[1:4])
            found.append((name, expression, lasting))
    return found


def figures(expression: str) -> set[str]:
    """Names in an expression that are figures: no function, label or keyword has as many underscores as a figure."""
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]", "", expression)
    return {name for name in re.findall(r"\b[a-z][a-z0-9_]*\b", bare) if re.match(r"[a-z]+_[a-z_0-9]+$", name)} - {
        "histogram_quantile",
        "group_right",
    }


def exported(name: str) -> bool:
    for prefix, file, whole in EXPORTERS:
        if name.startswith(prefix):
            text = (ROOT / file).read_text(encoding="utf-8")
            if whole:
                return bool(re.search(rf"\b{name}\b", text))
            own = {name.removeprefix(prefix), name.removeprefix("chainops_redis_")}
            # etcd's maintenance puts some together of what was done and whether it went well
            step = name.removeprefix(prefix).removesuffix("_ok")
            return any(f'"{each}"' in text for each in own) or (f'"{step}"' in text and '{step}_ok"' in text)
    return name in FOREIGN


def test_every_rule_is_in_a_table_and_every_row_is_a_rule() -> None:
    shown = {row for page in PAGES for row in rows(page.read_text(encoding="utf-8"))}
    held = {(rule["alert"], rule["expr"], rule.get("for", "")) for rule in rules()}
    assert shown - held == set(), "a page shows what no file has"
    assert held - shown == set(), "no page says what this is about"


def test_each_file_has_a_name_once_and_says_how_urgent_it_is() -> None:
    for file in FILES:
        names = [rule["alert"] for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]
        assert len(names) == len(set(names))
    assert {rule["labels"]["severity"] for rule in rules()} == {"page", "ticket"}
    assert [rule["alert"] for rule in rules() if not rule["annotations"]["summary"]] == []


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_somebody_exports_what_a_rule_looks_at(rule: dict[str, Any]) -> None:
    assert figures(rule["expr"])
    assert [name for name in sorted(figures(rule["expr"])) if not exported(name)] == []


def test_a_figure_that_nobody_exports_would_be_found() -> None:
    names = figures('sum by (scope) (patroni_leader{name="x_y"}) > 1 and rate(chainops_redis_wellness[5m]) > 0')
    assert names == {"patroni_leader", "chainops_redis_wellness"}
    assert [name for name in ("patroni_leader", "chainops_redis_wellness", "pgbackrest_ready") if exported(name)] == []


def test_a_table_that_differs_would_be_found() -> None:
    page = (
        f"{HEADER}\n|---|---|---|---|\n| `X` | `up == 0` | 1m | why |\n| `Y` | `a_b > 1` | | because |\n\n| `Z` | | |\n"
    )
    assert rows(page) == [("X", "up == 0", "1m"), ("Y", "a_b > 1", "")]


def test_alerts_that_would_ring_where_nothing_is_wrong_do_not() -> None:
    """An idle cluster closes no segment, a new primary has archived none, and a primary receives nothing."""
    by_name = {rule["alert"]: rule["expr"] for rule in rules()}
    assert "pgbackrest_archive_ready_files > 0" in by_name["PgbackrestNoWalArrives"]
    assert by_name["PostgresqlStandbyLags"].endswith("and patroni_replica == 1")
