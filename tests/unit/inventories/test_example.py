"""The production example: it passes every check as it is, and what an operator may get wrong in it is named."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.certificates.names import names_of

from tests.support.example import EXAMPLE, make_secrets
from tests.support.preflight import ROOT, CheckedInventory, message

LAYERS = ("baseline", "ethereum", "data")
ROLES = {
    *("baseline", "hardware_preflight", "geth", "lighthouse", "prysm", "haproxy", "keepalived"),
    *("host_certificate", "etcd", "postgresql", "postgresql_objects", "pgbackrest"),
    *("redis", "redis_sentinel", "redis_backup", "backup_repository", "influxdb"),
}
# What is chosen from what is found on a host cannot be checked here; everything else is.
FACTS = "needs facts"


@pytest.fixture(scope="module")
def secrets_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_secrets(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def example(secrets_dir: Path) -> Iterator[CheckedInventory]:
    checked = CheckedInventory(EXAMPLE)
    with checked.changed("all", {"site_secrets_dir": str(secrets_dir)}):
        yield checked


def test_the_example_passes_as_it_is(example: CheckedInventory) -> None:
    outcome = example.check(*LAYERS)
    assert message(outcome.mistakes) == ""
    assert len(outcome.hosts) == 19
    assert outcome.roles >= ROLES
    assert [note for _host, note in outcome.notes if FACTS not in note] == []


def test_secrets_are_nobody_else_s_and_all_different(secrets_dir: Path) -> None:
    files = [path for path in secrets_dir.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert len({path.read_text() for path in files}) == len(files)


def test_nothing_else_is_kept_in_the_inventory() -> None:
    """Ansible takes every file in there for a list of hosts, and a password in it for a host's name."""
    files = [path for path in EXAMPLE.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".yml", ".md"}
    assert [path for path in files if "{{ inventory_dir }}/" in path.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize("page", [EXAMPLE / "README.md", ROOT / "docs" / "postgresql.md", ROOT / "docs" / "redis.md"])
def test_what_clients_call_a_server_is_in_its_certificate(example: CheckedInventory, page: Path) -> None:
    """Balancers pass TLS through, so it is the server behind them whose names are verified."""
    called = set(re.findall(r"\b[a-z0-9-]+\.example\.com\b", page.read_text(encoding="utf-8")))
    assert called
    stores = {
        host.name: set(names_of(host.name, example.manager.get_vars(host=host)))
        for host in example.inventory.get_hosts("databases")
    }
    balancers = {name for name in called if name.startswith("data-")}
    served = [host.name for host in example.inventory.get_hosts("postgresql:redis")]
    assert [host for host in served if not balancers <= stores[host]] == []
    assert called - balancers <= set().union(*stores.values())


def test_lost_secrets_are_named_with_what_to_do(tmp_path: Path) -> None:
    checked = CheckedInventory(EXAMPLE)
    with checked.changed("all", {"site_secrets_dir": str(tmp_path)}):
        text = message(checked.check("data").mistakes)
    for words in (
        f"pgbackrest_cipher_pass_file = {tmp_path}/pgbackrest_bk-east-1 is not on the control node",
        "For one that exists bring the copy from escrow",
        f'redis_backup_key_file = "{tmp_path}/backup_redis_key"',
        "redis_password_dir",
        f"postgresql_objects_roles: there is no file {tmp_path}/postgresql_app, {tmp_path}/postgresql_reporting",
        f"influxdb_users: there is no file {tmp_path}/influxdb_chain_metrics",
    ):
        assert words in text, text


def test_the_stores_fit_into_hosts_as_the_hardware_check_wants_them(secrets_dir: Path) -> None:
    """With facts nothing is left unlooked at."""
    checked = CheckedInventory(EXAMPLE)
    facts = {"memtotal_mb": 64000, "processor_vcpus": 32, "distribution": "Debian", "distribution_major_version": "13"}
    facts["mounts"] = [{"mount": "/var/lib/postgresql", "size_total": 1000 * 10**9}]
    for host in checked.inventory.get_hosts("data"):
        checked.manager.set_host_facts(host.name, facts)
    with checked.changed("all", {"site_secrets_dir": str(secrets_dir)}):
        outcome = checked.check("data")
    assert message(outcome.mistakes) == ""
    assert outcome.notes == []


def test_hoodi_is_one_variable(example: CheckedInventory) -> None:
    with example.changed("all", {"site_network": "hoodi"}):
        assert message(example.check(*LAYERS).mistakes) == ""


@pytest.mark.parametrize(
    ("hosts", "values", "words"),
    [
        ("eth-west-1", {"site_rack": "east-r07"}, "rack of the standby"),
        ("region_west", {"site_region": "east"}, "region of the standby"),
        ("region_west", {"site_uplinks": ["carrier-b-east"]}, "both use carrier-b-east"),
        ("region_east", {"site_datacentre_tier": 2}, "data centre of the primary: wanted tier 3"),
        ("eth-west-1", {"site_role": "primary"}, "standby: wanted one or more"),
        ("eth-west-1", {"hardware_preflight_overrides": {"nvme_tb": 4}}, "unknown key nvme_tb"),
        ("eth-west-1", {"hardware_preflight_classes": ["big"]}, "big is not in hardware_preflight_profiles"),
        ("all", {"hardware_preflight_mode": "strict"}, "must be one of enforce, warn, off"),
        ("all", {"hardware_preflight_primary_tier": 5}, "must be from 1 to 4"),
        ("eth-west-1", {"hardware_preflight_primary_tier": 2}, "the same on all hosts"),
        ("all", {"baseline_ntp_servers": []}, "this host would have no time at all"),
        ("all", {"baseline_ntp_servers": [{"adress": "a"}]}, "did you mean address?"),
        ("all", {"baseline_ssh_allow_users": ["alice"]}, "does not have ops (ansible_user)"),
        ("all", {"baseline_clock_max_ofset": 1}, "did you mean baseline_clock_max_offset?"),
        ("all", {"baseline_limit_nofile_soft": 2097152}, "is more than"),
        ("all", {"baseline_timezone": "Mars/../x"}, "a time zone such as"),
        ("all", {"baseline_sysctl_profiles": ["chains"]}, "did you mean chain?"),
        ("all", {"ansible_user": "root"}, "ansible_user is root"),
    ],
)
def test_what_an_operator_may_get_wrong_is_named(
    example: CheckedInventory, hosts: str, values: dict[str, Any], words: str
) -> None:
    with example.changed(hosts, values):
        assert words in message(example.check("baseline").mistakes)


@pytest.mark.parametrize(
    ("hosts", "values", "words"),
    [
        ("postgresql", {"postgresql_rpo": "zero"}, "must be one of zero_host, zero_region, bounded, fast"),
        ("db-west-2", {"site_region": "east"}, "zero_region needs exactly two members in each of two regions"),
        ("db-west-2", {"postgresql_rpo": "zero_host"}, "the members of a cluster share these"),
        ("postgresql", {"postgresql_loop_wait_s": 11}, "the lock of a healthy primary could end"),
        ("postgresql", {"postgresql_zones": [{"name": "all", "networks": ["0.0.0.0/0"]}]}, "postgresql_zones"),
        ("postgresql", {"postgresql_archive_timeut_s": 60}, "did you mean postgresql_archive_timeout_s?"),
        ("etcd", {"etcd_members": ["db-east-1", "db-west-1"]}, "2 hosts (db-east-1, db-west-1): allowed are 3"),
        ("vote-1", {"site_region": "west"}, "they must be in at least 3 different site_region"),
        ("bk-witness-1", {"pgbackrest_cipher_pass_file": ""}, "pgbackrest_cipher_pass_file is empty"),
        ("redis", {"redis_profile": "cache", "redis_eviction": "noeviction"}, "would refuse writes when it is full"),
        ("redis", {"redis_min_replicas": 3}, "must be less than the number of servers, 3"),
        ("redis_sentinel", {"redis_sentinel_quorum": 1}, "must be more than half of the 3 Sentinels"),
        ("influxdb", {"influxdb_rpc_port": 8086}, "the same tcp port on this host"),
        ("data_balancers", {"haproxy_metrics_networks": []}, "say in haproxy_metrics_networks"),
        (
            "data_balancers",
            {"haproxy_postgresql_check_ms": 10000},
            "so that its sessions end before",
        ),
        ("databases", {"host_certificate_extra_names": ["vote-1"]}, "with such a certificate this host could pose as"),
    ],
)
def test_what_an_operator_may_get_wrong_in_the_data_layer_is_named(
    example: CheckedInventory, hosts: str, values: dict[str, Any], words: str
) -> None:
    with example.changed(hosts, values):
        assert words in message(example.check("data").mistakes)


def test_one_repository_is_none(example: CheckedInventory) -> None:
    """Said of every host of the cluster, as each would send its WAL to the one alone."""
    with example.changed("data", {"pgbackrest_repository_hosts": ["bk-east-1"]}):
        text = message(example.check("data").mistakes)
    assert "two repositories on two different hosts are needed, the second off-site" in text
