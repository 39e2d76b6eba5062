# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an objective becomes, and when it cannot be kept."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.chainops.infra.plugins.filter.patroni_common import patroni_common
from ansible_collections.chainops.infra.plugins.filter.patroni_placement_faults import patroni_placement_faults
from ansible_collections.chainops.infra.plugins.filter.postgresql_hba import postgresql_hba
from ansible_collections.chainops.infra.plugins.filter.postgresql_ident import postgresql_ident
from ansible_collections.chainops.infra.plugins.filter.postgresql_zone_faults import postgresql_zone_faults
from ansible_collections.chainops.infra.plugins.module_utils.patroni import policy

NUMBERS = {
    "ttl_s": 20,
    "loop_wait_s": 2,
    "retry_timeout_s": 5,
    "max_lag_mb": 16,
    "primary_start_timeout_s": 0,
    "primary_stop_timeout_s": 15,
    "member_slots_ttl_s": 1800,
}
OPTIONS = {
    "postgresql_rpo": "zero_host",
    "postgresql_max_lag_mb": 16,
    "postgresql_ttl_s": 20,
    "postgresql_loop_wait_s": 2,
    "postgresql_retry_timeout_s": 5,
}


def hosts(regions: str, **options: Any) -> list[dict[str, Any]]:
    """One host for each letter: e is east, w west."""
    names = {"e": "east", "w": "west", "-": ""}
    return [
        {"name": f"db-{number}", "site_region": names[letter], **OPTIONS, **options}
        for number, letter in enumerate(regions)
    ]


def test_synchronous_policies_are_strict_quorums() -> None:
    for rpo, count in (("zero_host", 1), ("zero_region", 2)):
        found = patroni_common(rpo, NUMBERS, {})
        assert (found["synchronous_mode"], found["synchronous_mode_strict"]) == ("quorum", True)
        assert found["synchronous_node_count"] == count
        assert found["maximum_lag_on_failover"] == policy.NO_LAG_LIMIT


def test_asynchronous_policies_differ_in_what_a_standby_may_lack() -> None:
    bounded, fast = (patroni_common(rpo, NUMBERS, {}) for rpo in ("bounded", "fast"))
    assert bounded["synchronous_mode"] is fast["synchronous_mode"] is False
    assert bounded["maximum_lag_on_failover"] == 16 * 1024 * 1024
    assert fast["maximum_lag_on_failover"] == policy.NO_LAG_LIMIT


def test_what_all_policies_have() -> None:
    for rpo in policy.POLICIES:
        found = patroni_common(rpo, NUMBERS, {"hot": True, "cold": False, "size": 5}, "fetch", {"ignore_slots": [1]})
        assert (found["failsafe_mode"], found["check_timeline"], found["ignore_slots"]) == (True, True, [1])
        assert found["postgresql"]["parameters"] == {"cold": "off", "hot": "on", "size": 5}
        assert found["postgresql"]["recovery_conf"] == {"restore_command": "fetch"}


def test_an_unknown_policy_and_missing_numbers_are_named() -> None:
    with pytest.raises(AnsibleFilterError, match="zero_loss.*zero_host, zero_region"):
        patroni_common("zero_loss", NUMBERS, {})
    with pytest.raises(AnsibleFilterError, match="ttl_s"):
        patroni_common("fast", {**NUMBERS, "ttl_s": "20"}, {})


@pytest.mark.parametrize(
    ("regions", "options", "words"),
    [
        ("eeww", {}, ""),
        ("eeww", {"postgresql_rpo": "zero_region"}, ""),
        ("eew", {"postgresql_rpo": "zero_region"}, "exactly two members in each of two regions.*west has 1"),
        ("eeew", {"postgresql_rpo": "zero_region"}, "east has 3"),
        ("eee", {"postgresql_rpo": "zero_region"}, "exactly two"),
        ("ee--", {"postgresql_rpo": "zero_region"}, "site_region, which db-2, db-3 lacks"),
        ("ew", {}, "zero_host needs at least 3"),
        ("ew", {"postgresql_rpo": "fast"}, ""),
        ("e", {"postgresql_rpo": "fast"}, "at least 2"),
        ("ew", {"postgresql_rpo": "bounded", "postgresql_max_lag_mb": 0}, "postgresql_max_lag_mb"),
        ("eeww", {"postgresql_rpo": "zero"}, "zero is no policy"),
        ("eeww", {"postgresql_ttl_s": 20, "postgresql_retry_timeout_s": 10}, r"2 \+ 2 \* 10 = 22"),
        ("eeww", {"postgresql_ttl_s": 15}, "postgresql_ttl_s = 15 is less than 20"),
        ("eeww", {"postgresql_retry_timeout_s": 2}, "postgresql_retry_timeout_s = 2 is less than 3"),
        ("eeww", {"postgresql_loop_wait_s": 0}, "postgresql_loop_wait_s = 0"),
    ],
)
def test_placement(regions: str, options: dict[str, Any], words: str) -> None:
    found = "; ".join(patroni_placement_faults(hosts(regions, **options)))
    assert re.search(words, found) if words else found == "", found


def test_a_member_that_is_never_elected_does_not_count() -> None:
    members = hosts("eeww", postgresql_rpo="zero_region")
    members[3]["postgresql_failover_priority"] = 0
    assert "west has 1" in patroni_placement_faults(members)[0]


MEMBERS = [{"name": "db-a", "address": "10.87.1.21"}, {"name": "db-b", "address": "fd00::22"}]
ZONE = {"name": "apps", "networks": ["10.87.0.0/16"], "databases": ["app"], "users": ["all"], "method": "scram-sha-256"}


def test_hba_lets_in_members_and_zones_only() -> None:
    assert postgresql_hba([ZONE], MEMBERS, "replicator", "rewinder") == [
        "local all all peer",
        "local replication replicator peer map=local",
        "hostssl replication replicator 10.87.1.21/32 cert map=members",
        "hostssl postgres rewinder 10.87.1.21/32 cert map=members",
        "hostssl replication replicator fd00::22/128 cert map=members",
        "hostssl postgres rewinder fd00::22/128 cert map=members",
        "host all replicator,rewinder all reject",
        "host replication replicator,rewinder all reject",
        'hostssl "app" all 10.87.0.0/16 scram-sha-256',
    ]


@pytest.mark.parametrize(
    "wrong",
    [{"method": "trust"}, {"networks": ["10.87.1.5/24"]}, {"users": ['x" trust #']}, {"databases": ["a b"]}],
)
def test_hba_cannot_be_smuggled_into(wrong: dict[str, Any]) -> None:
    with pytest.raises(AnsibleFilterError, match="postgresql_hba"):
        postgresql_hba([{**ZONE, **wrong}], MEMBERS, "replicator", "rewinder")


def test_ident_maps_the_members_certificates() -> None:
    assert postgresql_ident(MEMBERS[:1], "replicator", "rewinder") == [
        'members "db-a" replicator',
        'members "db-a" rewinder',
        "local postgres replicator",
    ]


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0", "0.0.0.0/1", "128.0.0.0/1"])
def test_everywhere_is_no_zone_unless_that_is_said(network: str) -> None:
    zones = [{**ZONE, "networks": [network]}]
    assert "postgresql_allow_any_network" in postgresql_zone_faults(zones)[0]
    assert postgresql_zone_faults(zones, True) == []


def test_bits_behind_the_length_are_a_fault() -> None:
    assert "10.87.1.5/24" in postgresql_zone_faults([{**ZONE, "networks": ["10.87.1.5/24"]}])[0]
    assert postgresql_zone_faults([ZONE]) == []


POOLER = {"role": "pooler", "certificates": ["lb-a", "lb-b.example.org"], "networks": ["10.87.1.51", "fd00::/64"]}


def test_a_mapped_user_comes_with_its_certificates_before_a_zone_asks_for_a_password() -> None:
    everybody = {"name": "all", "networks": ["10.87.0.0/16"]}
    lines = postgresql_hba([everybody], MEMBERS, "replicator", "rewinder", [POOLER])
    assert lines[-4:] == [
        "host replication replicator,rewinder all reject",
        'hostssl all "pooler" 10.87.1.51/32 cert map=role-pooler',
        'hostssl all "pooler" fd00::/64 cert map=role-pooler',
        "hostssl all all 10.87.0.0/16 scram-sha-256",
    ]
    assert postgresql_ident([], "replicator", "rewinder", [POOLER]) == [
        "local postgres replicator",
        'role-pooler "lb-a" "pooler"',
        'role-pooler "lb-b.example.org" "pooler"',
    ]


@pytest.mark.parametrize("wrong", [{"role": "a b"}, {"role": "+all"}, {"networks": ["10.87.1.5/24"]}])
def test_a_mapped_user_cannot_smuggle_a_line(wrong: dict[str, Any]) -> None:
    with pytest.raises(AnsibleFilterError, match="postgresql_hba"):
        postgresql_hba([], MEMBERS, "replicator", "rewinder", [{**POOLER, **wrong}])


@pytest.mark.parametrize("name", ["/.*", 'lb-a" postgres', ""])
def test_a_certificate_s_name_is_no_expression(name: str) -> None:
    with pytest.raises(AnsibleFilterError, match="postgresql_ident: certificate"):
        postgresql_ident([], "replicator", "rewinder", [{**POOLER, "certificates": [name]}])


def test_the_networks_of_mapped_users_are_judged_as_those_of_zones() -> None:
    wide = {**POOLER, "networks": ["0.0.0.0/0", "10.87.1.5/24"]}
    everywhere, bits = postgresql_zone_faults([], False, [wide])
    assert everywhere.startswith("postgresql_mapped_users: pooler: 0.0.0.0/0 is everywhere")
    assert bits.startswith("postgresql_mapped_users: pooler: 10.87.1.5/24 has host bits set")
    assert postgresql_zone_faults([], False, [POOLER]) == []


def test_options_that_are_wrong_themselves_are_not_judged_again() -> None:
    assert patroni_placement_faults([{"name": "db-a", "postgresql_rpo": "fast"}]) == []
    assert patroni_placement_faults([]) == []
