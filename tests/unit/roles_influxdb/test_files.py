# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The role's files: keys that 1.6 knows, sizes from memory, secrets in secret files only."""

from __future__ import annotations

import json
import tomllib
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.plugins.loader import init_plugin_loader
from ansible.template import trust_as_template

from tests.unit.roles_ethereum.rendered import ROOT, Role

KNOWN, UPSTREAM = (
    yaml.safe_load((Path(__file__).parent / f"known_keys{which}.yml").read_text(encoding="utf-8"))
    for which in ("", "_upstream")
)
RELEASE = {
    "influxdb_version": "1.8.10",
    "influxdb_release_url": "https://mirror.example.net/influxdb-1.8.10_linux_amd64.tar.gz",
    "influxdb_release_checksum": f"sha256:{'0' * 64}",
    "influxdb_release_binaries": ["influxdb-1.8.10-1/usr/bin/influxd", "influxdb-1.8.10-1/usr/bin/influx"],
}
LADDER = {
    "database": "chain",
    "raw": {"name": "raw", "retention": "7d"},
    "rungs": [{"name": "m1", "every": "1m", "retention": "90d"}, {"name": "h1", "every": "1h", "retention": "5y"}],
}


@pytest.fixture(autouse=True, scope="module")
def loader() -> None:
    """Lookups are found by name only after this; it warns where another test has done it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        init_plugin_loader()


def role(memory_mb: int = 65536, **options: Any) -> Role:
    return Role("influxdb", **({"ansible_facts": {"memtotal_mb": memory_mb}} | options))


def config(**options: Any) -> dict[str, Any]:
    return tomllib.loads(role(**options).template("influxdb.conf.j2"))


def files(tmp_path: Path) -> dict[str, Any]:
    for name in ("password", "key", "user"):
        (tmp_path / name).write_text(f"canary-{name}\n")
    return {
        "influxdb_backup_repository": "rest:https://repo:8000/influxdb/",
        "influxdb_backup_password_file": str(tmp_path / "password"),
        "influxdb_backup_key_file": str(tmp_path / "key"),
        "influxdb_users": [{"name": "writer", "password_file": str(tmp_path / "user"), "grants": {"chain": "WRITE"}}],
    }


@pytest.mark.parametrize(
    ("options", "known"),
    [
        ({}, KNOWN),
        (RELEASE | {"influxdb_compact_throughput_mb": 24, "influxdb_compact_throughput_burst_mb": 64}, UPSTREAM),
    ],
    ids=["debian", "upstream"],
)
def test_every_key_is_one_that_the_server_knows(options: dict[str, Any], known: dict[str, list[str]]) -> None:
    """It ignores others without a word."""
    unknown = []
    for section, value in config(influxdb_ladders=[LADDER], **options).items():
        if isinstance(value, dict):
            unknown += [f"{section}.{key}" for key in value if key not in known.get(section, [])]
        elif section not in known[""]:
            unknown.append(section)
    assert unknown == []


def test_a_release_runs_in_the_place_of_the_package() -> None:
    link = "/opt/chainops/influxdb/current/influxd"
    rendered = role(**RELEASE)
    assert f"ExecStart={link} -config /etc/influxdb/influxdb.conf\n" in rendered.template("influxdb.service.j2")
    assert rendered.value("__influxdb_backup_config")["influxd"] == link
    validated = [entry["validate"] for entry in rendered.value("__influxdb_files") if "validate" in entry]
    assert validated == [f"{link} config -config %s"]
    assert rendered.value("__influxdb_packages") == ["restic", "ssl-cert"]
    options = rendered.value("__influxdb_release_options")
    assert options == {"name": "influxdb"} | {
        key: RELEASE[f"influxdb_{'' if key == 'version' else 'release_'}{key}"]
        for key in ("version", "url", "checksum", "binaries")
    }
    found = config(**RELEASE, influxdb_compact_throughput_mb=24)
    assert found["reporting-disabled"] and found["data"]["compact-throughput"] == 24 << 20


@pytest.mark.parametrize("operation", ["influxdb_restore", "influxdb_drill"])
@pytest.mark.parametrize("options", [{}, RELEASE], ids=["debian", "upstream"])
def test_operations_use_the_same_program(operation: str, options: dict[str, Any]) -> None:
    plays = yaml.safe_load((ROOT / "playbooks" / "operations" / f"{operation}.yml").read_text(encoding="utf-8"))
    tasks = [task for play in plays for task in play["tasks"] if f"chainops.infra.{operation}" in task]
    rendered = role(**options)
    said = rendered._templar.template(trust_as_template(tasks[0][f"chainops.infra.{operation}"]["influxd"]))
    assert said == rendered.value("__influxdb_influxd")


def test_without_one_it_is_debian_s() -> None:
    rendered = role()
    assert "ExecStart=/usr/bin/influxd -config" in rendered.template("influxdb.service.j2")
    assert rendered.value("__influxdb_backup_config")["influxd"] == "/usr/bin/influxd"
    assert rendered.value("__influxdb_packages")[0] == "influxdb"
    assert not [key for key in config()["data"] if "throughput" in key]


def test_nothing_is_open() -> None:
    found = config(influxdb_address="0.0.0.0")
    assert found["bind-address"] == "127.0.0.1:8088"
    http = found["http"]
    assert (http["auth-enabled"], http["https-enabled"], http["pprof-enabled"]) == (True, True, False)
    assert http["bind-address"] == "0.0.0.0:8086" and found["tls"]["min-version"] == "tls1.2"
    assert not found["reporting-enabled"] and not found["monitor"]["store-enabled"]


@pytest.mark.parametrize(
    ("memory", "rungs", "cache", "snapshot"),
    [(65536, 2, 2048, 256), (4096, 2, 170, 25), (1024, 2, 64, 25), (16384, 0, 2048, 256), (8192, 1, 512, 64)],
)
def test_caches_from_memory_and_hot_shards(memory: int, rungs: int, cache: int, snapshot: int) -> None:
    ladders = [LADDER | {"rungs": LADDER["rungs"][:rungs]}] if rungs else []
    data = config(memory_mb=memory, influxdb_ladders=ladders)["data"]
    assert data["cache-max-memory-size"] == cache << 20
    assert data["cache-snapshot-memory-size"] == snapshot << 20


def test_sizes_that_are_given() -> None:
    data = config(influxdb_cache_max_memory_mb=300, influxdb_cache_snapshot_memory_mb=40)["data"]
    assert (data["cache-max-memory-size"], data["cache-snapshot-memory-size"]) == (300 << 20, 40 << 20)


@pytest.mark.parametrize(("index", "limit"), [("tsi1", 0), ("inmem", 1000000)])
def test_limits_only_where_the_server_holds_them(index: str, limit: int) -> None:
    data = config(influxdb_index_version=index)["data"]
    assert data["index-version"] == index and data["max-series-per-database"] == limit


@pytest.mark.parametrize(
    ("address", "endpoint"),
    [("10.1.2.3", "10.1.2.3:8086"), ("0.0.0.0", "127.0.0.1:8086"), ("::", "[::1]:8086"), ("fd00::1", "[fd00::1]:8086")],
)
def test_where_the_server_is_asked(address: str, endpoint: str) -> None:
    assert role(influxdb_address=address).value("__influxdb_endpoint") == endpoint


def test_secrets_are_in_secret_files_only(tmp_path: Path) -> None:
    rendered = role(**files(tmp_path))
    for entry in rendered.value("__influxdb_files"):
        text = entry.get("content") or (rendered.template(entry["src"]) if "src" in entry else "")
        assert "canary" not in str(text), entry["dest"]
    secret = rendered.value("__influxdb_credentials") + rendered.value("__influxdb_backup_files")
    assert {entry["dest"] for entry in secret} == {
        "/etc/influxdb/credentials/writer",
        "/etc/chainops/restic/influxdb.env",
        "/etc/chainops/restic/influxdb.key",
    }
    assert all(entry["secret"] for entry in secret)
    assert "RESTIC_REST_PASSWORD=canary-password" in rendered.template("restic.env.j2")
    # what the module is told are paths
    assert "canary" not in str(rendered.value("__influxdb_users"))


def test_the_administrator_s_password_is_made_on_the_host_unless_it_is_given(tmp_path: Path) -> None:
    assert role().value("__influxdb_credentials") == []
    (tmp_path / "admin").write_text("canary\n")
    (entry,) = role(influxdb_admin_password_file=str(tmp_path / "admin")).value("__influxdb_credentials")
    assert entry["dest"] == "/etc/influxdb/credentials/admin" and entry["secret"]


def test_the_backup_s_program_reads_every_value_of_its_configuration(tmp_path: Path) -> None:
    given = role(**files(tmp_path)).value("__influxdb_backup_config")
    program = (ROOT / "roles" / "influxdb" / "files" / "influxdb_backup.py").read_text(encoding="utf-8")
    assert [key for key in given if f'config["{key}"]' not in program] == []
    assert json.loads(json.dumps(given))["timeout"] == 90


def test_ladders_become_databases_before_those_that_are_written_out() -> None:
    rendered = role(influxdb_ladders=[LADDER], influxdb_databases=[{"name": "site"}])
    assert [database["name"] for database in rendered.value("__influxdb_databases")] == ["chain", "site"]
