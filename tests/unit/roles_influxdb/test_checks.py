# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The cross-checks of the role influxdb: which of them speak, and what they name."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible.template import trust_as_template

from tests.unit.roles_ethereum.rendered import ROOT, Role
from tests.unit.roles_influxdb.test_files import LADDER, RELEASE

CHECKS = yaml.safe_load((ROOT / "roles" / "influxdb" / "meta" / "preflight.yml").read_text(encoding="utf-8"))["checks"]


def said(memory_mb: int = 8192, **options: Any) -> list[str]:
    """The messages of all checks that do not hold."""
    role = Role("influxdb", **({"ansible_facts": {"memtotal_mb": memory_mb}} | options))

    def worked_out(text: str) -> Any:
        return role._templar.template(trust_as_template(text))

    found = []
    for check in CHECKS:
        holds = [worked_out("{{ (" + str(check[key]) + ") | bool }}") for key in ("when", "that") if key in check]
        if holds[:-1] != [False] and not holds[-1]:
            found.append(str(worked_out(check["message"])))
    return found


def test_defaults_and_a_ladder_are_good() -> None:
    assert said() == []
    assert said(influxdb_ladders=[LADDER], groups={"influxdb": ["ts-a"]}) == []
    assert said(memory_mb=1024, influxdb_ladders=[LADDER]) == []
    assert said(**RELEASE) == []
    signed = {"influxdb_release_signature_url": "https://m.example.net/x.asc", "influxdb_release_fingerprint": "A" * 40}
    assert said(**RELEASE, **signed, influxdb_release_signing_key_file=__file__) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"groups": {"influxdb": ["ts-a", "ts-b"]}}, ["ts-a, ts-b", "single-host"]),
        (
            {"influxdb_ladders": [LADDER | {"rungs": [{"name": "m1", "every": "1m", "retention": "1d"}]}]},
            ["influxdb_ladders[0] (chain).rungs[0].retention = 1d"],
        ),
        ({"influxdb_ladders": [LADDER], "influxdb_databases": [{"name": "chain"}]}, ["influxdb_databases names chain"]),
        (
            {"influxdb_users": [{"name": "admin", "password_file": __file__}]},
            ["influxdb_users names admin", "each name once"],
        ),
        (
            {"influxdb_users": [{"name": "writer", "password_file": "/nowhere/writer"}]},
            ["influxdb_users: there is no file /nowhere/writer on the control node"],
        ),
        ({"influxdb_max_series_per_database": 10}, ["influxdb_max_series_per_database = 10", "inmem only"]),
        ({"influxdb_cache_max_memory_mb": 4000}, ["influxdb_cache_max_memory_mb = 4000", "at most 3276"]),
        (
            {"influxdb_cache_max_memory_mb": 400, "influxdb_cache_snapshot_memory_mb": 300},
            ["influxdb_cache_snapshot_memory_mb = 300", "at most half"],
        ),
        ({"influxdb_version": "1.8.10"} | {key: RELEASE[key] for key in list(RELEASE)[2:]}, ["name both", '"1.8.10"']),
        ({"influxdb_release_url": RELEASE["influxdb_release_url"]}, ["influxdb_version", "or neither"]),
        (RELEASE | {"influxdb_release_checksum": ""}, ["influxdb_release_checksum is empty", "verify it with gpg"]),
        (RELEASE | {"influxdb_release_binaries": ["x/influx"]}, ["influxdb_release_binaries", "tar tf"]),
        (
            RELEASE | {"influxdb_release_signature_url": "https://m.example.net/x.asc"},
            ["needs influxdb_release_fingerprint", "influxdb_release_signing_key_file"],
        ),
        ({"influxdb_compact_throughput_mb": 48}, ["influxdb_compact_throughput_mb = 48", "1.6 does not know them"]),
        (RELEASE | {"influxdb_compact_throughput_mb": 96}, ["influxdb_compact_throughput_burst_mb = 0 is less"]),
        ({"influxdb_backup_repository": "rest:https://r:8000/i/"}, ["needs influxdb_backup_password_file"]),
        ({"influxdb_backup_copy_dir": "/var/lib/influxdb/copy"}, ["influxdb_backup_copy_dir", "outside"]),
    ],
)
def test_what_does_not_fit(options: dict[str, Any], words: list[str]) -> None:
    (message,) = said(**options)
    assert [word for word in words if word not in message] == []
