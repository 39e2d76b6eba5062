"""What the roles of Redis write for a site, and which values they refuse."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.template import trust_as_template
from ansible_collections.chainops.infra.plugins.module_utils.redis.start import settings

from tests.unit.roles_ethereum.rendered import ROOT, Role

HOSTS = ("db-a", "db-b", "db-c")
SERVERS = [{"name": name, "address": f"10.0.0.{index}", "port": 6379} for index, name in enumerate(HOSTS, 1)]
VOTERS = [each | {"port": 26379} for each in SERVERS]
SECRETS = {name: f"{name}-{'x' * 24}" for name in ("replica", "sentinel", "agent", "admin", "app", "key")}


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    for name, text in SECRETS.items():
        (tmp_path / name).write_text(f"{text}\n")
    return tmp_path


def role(name: str, secrets: Path, **variables: Any) -> Role:
    layer = {
        "__layer_address": "10.0.0.1",
        "__layer_redis_servers": SERVERS,
        "__layer_redis_sentinels": VOTERS,
        "__layer_redis_password_dir": str(secrets),
        "__layer_redis_backup_repository": "rest:https://10.0.0.9:8000/redis/",
        "__layer_redis_backup_password_file": str(secrets / "app"),
        "__layer_redis_backup_key_file": str(secrets / "key"),
        "ansible_facts": {"memtotal_mb": 16384, "processor_vcpus": 8},
        "inventory_hostname": "db-a",
    }
    return Role(name, **(layer | variables))


def refused(given: Role) -> list[str]:
    """Messages of the checks that this host does not pass."""
    rules = yaml.safe_load((ROOT / "roles" / given.name / "meta" / "preflight.yml").read_text())
    found = []
    for check in rules["checks"]:
        when = str(check.get("when", True))
        if holds(given, when) and not holds(given, check["that"]):
            found.append(str(given._templar.template(trust_as_template(check["message"]))))
    return found


def holds(given: Role, expression: str) -> bool:
    return bool(given._templar.template(trust_as_template("{{ (" + expression + ") | bool }}")))


@pytest.mark.parametrize("name", ["redis", "redis_sentinel", "redis_backup"])
def test_a_plain_site_is_good(name: str, secrets: Path) -> None:
    assert refused(role(name, secrets)) == []


def test_no_plain_port_no_default_user_and_no_master_in_the_managed_file(secrets: Path) -> None:
    conf = role("redis", secrets).template("server.conf.j2")
    read = settings(conf)
    assert (read["port"], read["tls-port"], read["tls-replication"]) == ("0", "6379", "yes")
    assert read["bind"] == "10.0.0.1 127.0.0.1"
    assert "replicaof" not in read and "requirepass" not in read and "masterauth" not in read
    assert not [text for text in SECRETS.values() if text in conf]


def test_users_have_digests_and_what_they_need(secrets: Path) -> None:
    app = {"name": "shop", "password_file": str(secrets / "app"), "keys": ["shop:*"], "channels": ["shop.*"]}
    acl = role("redis", secrets, redis_users=[app]).template("users.acl.j2")
    lines = {line.split(" ")[1]: line for line in acl.splitlines()}
    assert lines["default"] == "user default reset"
    digest = hashlib.sha256(SECRETS["app"].encode()).hexdigest()
    assert lines["shop"] == (
        f"user shop on #{digest} resetkeys ~shop:* resetchannels &shop.* +@all -@admin -@dangerous +info"
    )
    assert "+@all" not in lines["agent"] + lines["replica"] + lines["sentinel"]
    assert "~" not in lines["agent"] + lines["replica"] + lines["sentinel"], "none of them reads a key"
    assert not [text for text in SECRETS.values() if text in acl]


@pytest.mark.parametrize(
    ("profile", "disk", "eviction", "percent"),
    [
        ("cache", ("", "no", "everysec"), "allkeys-lru", 65),
        ("durable", ("", "yes", "everysec"), "noeviction", 40),
        ("durable_always", ("", "yes", "always"), "noeviction", 40),
        ("snapshot", ("3600 1 300 100 60 10000", "no", "everysec"), "noeviction", 40),
    ],
)
def test_profiles(secrets: Path, profile: str, disk: tuple[str, str, str], eviction: str, percent: int) -> None:
    given = role("redis", secrets, redis_profile=profile)
    read = settings(given.template("server.conf.j2"))
    assert (read["save"], read["appendonly"], read["appendfsync"]) == disk
    assert read["maxmemory-policy"] == eviction
    assert int(read["maxmemory"]) == 16384 * percent // 100 * 2**20
    assert read["io-threads"] == "4"
    unit = given.template("redis-server.service.j2")
    # what survives a kill of the server need not wait for a failover
    assert f"RestartSec={1 if profile.startswith('durable') else 15}\n" in unit
    assert refused(given) == []


@pytest.mark.parametrize(
    ("name", "variables", "words"),
    [
        ("redis", {"redis_voters": VOTERS[:2]}, "redis_voters = db-a, db-b: an odd number"),
        ("redis", {"redis_voters": []}, "redis_voters = []"),
        (
            "redis",
            {"redis_eviction": "allkeys-lru"},
            "redis_eviction = allkeys-lru does not fit redis_profile = durable",
        ),
        ("redis", {"redis_profile": "cache", "redis_eviction": "noeviction"}, "would refuse writes when it is full"),
        ("redis", {"redis_profile": "cache", "redis_restart_delay_s": 1}, "redis_restart_delay_s = 1 is too short"),
        ("redis", {"redis_profile": "snapshot", "redis_restart_delay_s": 9}, "redis_restart_delay_s = 9 is too short"),
        (
            "redis",
            {"redis_profile": "snapshot", "redis_restart_delay_s": 15, "redis_down_after_ms": 9000},
            "At least 7 s more than redis_down_after_ms = 9000",
        ),
        ("redis", {"redis_memory_mb": 9000}, "redis_memory_mb = 9000 does not fit the host's 16384 MiB"),
        ("redis", {"redis_memory_share_percent": 60}, "does not fit the host's 16384 MiB"),
        ("redis", {"redis_agent_max_age_ms": 600}, "redis_agent_max_age_ms = 600 must be at least"),
        ("redis", {"redis_down_after_ms": 1000}, "redis_agent_max_age_ms = 1500 must be less than redis_down_after_ms"),
        ("redis", {"redis_password_dir": ""}, 'redis_password_dir = "" must be a directory'),
        ("redis", {"redis_users": [{"name": "admin", "password_file": __file__}]}, "redis_users names admin"),
        ("redis", {"redis_users": [{"name": "x", "password_file": "/none"}]}, "there is no file /none"),
        ("redis_sentinel", {"redis_sentinel_voters": VOTERS[:2]}, "an odd number of Sentinels is needed"),
        ("redis_sentinel", {"redis_sentinel_quorum": 1}, "redis_sentinel_quorum = 1 must be more than half of the 3"),
        ("redis_sentinel", {"redis_sentinel_quorum": 4}, "redis_sentinel_quorum = 4"),
        ("redis_sentinel", {"redis_sentinel_founding": "db-z"}, "redis_sentinel_founding = db-z is none of"),
        ("redis_sentinel", {"redis_sentinel_servers": SERVERS[:1]}, "a failover needs a replica"),
        ("redis_sentinel", {"redis_sentinel_down_after_ms": 9000}, "at least twice"),
        ("redis_sentinel", {"redis_sentinel_password_dir": "/none"}, "must be a directory of the control node"),
        ("redis_backup", {"redis_backup_key_file": "/none"}, "is no file of the control node"),
    ],
)
def test_what_is_refused(secrets: Path, name: str, variables: dict[str, Any], words: str) -> None:
    found = refused(role(name, secrets, **variables))
    assert [message for message in found if words in " ".join(message.split())], found
    assert not [text for text in SECRETS.values() if text in str(found)]


@pytest.mark.parametrize(
    ("regions", "good"),
    [
        (("east", "west", "witness"), True),
        (("east", "east", "west"), False),
        (("east", "east", "west", "west", "witness"), True),
        (("east", "east", "east"), True),
    ],
)
def test_no_region_holds_most_of_the_voters(secrets: Path, regions: tuple[str, ...], good: bool) -> None:
    hosts = [{"name": f"h{index}", "site_region": region} for index, region in enumerate(regions)]
    given = role("redis_sentinel", secrets, preflight_hosts=hosts)
    rules = yaml.safe_load((ROOT / "roles" / "redis_sentinel" / "meta" / "preflight.yml").read_text())
    (check,) = [each for each in rules["site"] if "that" in each]
    assert (not holds(given, check["when"]) or holds(given, check["that"])) is good


def test_more_replicas_than_there_are_cannot_be_asked_for(secrets: Path) -> None:
    rules = yaml.safe_load((ROOT / "roles" / "redis" / "meta" / "preflight.yml").read_text())
    (check,) = [each for each in rules["site"] if "that" in each]
    for least, good in ((2, True), (3, False)):
        hosts = [{"name": name, "redis_min_replicas": least} for name in HOSTS]
        assert holds(role("redis", secrets, preflight_hosts=hosts), check["that"]) is good


def test_a_password_that_could_break_a_file_is_refused_and_not_shown(secrets: Path) -> None:
    (secrets / "replica").write_text('with "quotes" and spaces\n')
    (message,) = refused(role("redis", secrets))
    assert "does not hold 24 to 128 letters" in message and "quotes" not in message


def test_sentinel_s_managed_file_names_no_master(secrets: Path) -> None:
    given = role("redis_sentinel", secrets)
    conf = given.template("sentinel.conf.j2")
    assert not re.search(r"^sentinel (monitor|myid|known|auth)", conf, re.MULTILINE)
    assert "port 0" in conf.splitlines() and "tls-port 26379" in conf.splitlines()
    secret = [each for each in given.value("__redis_sentinel_files") if each["dest"].endswith("/sentinel.conf")]
    assert secret[0]["secret"] is True, "it holds the password that Sentinels use among themselves"
    topology = given.value("__redis_sentinel_topology")
    assert topology["founding"] == "db-a" and topology["quorum"] == 2


@pytest.mark.parametrize("name", ["redis", "redis_sentinel", "redis_backup"])
def test_files_with_a_secret_are_marked_and_readable_by_few(name: str, secrets: Path) -> None:
    given = role(name, secrets)
    for each in given.value(f"__{name}_files"):
        text = str(each["content"]) if "content" in each else ""
        if "src" in each:
            raw = (ROOT / "roles" / name / "templates" / each["src"]).read_text()
            text = given.template(each["src"]) if "lookup(" in raw else ""
        if [secret for secret in SECRETS.values() if secret in text]:
            assert each["secret"] is True and each["mode"] in ("0600", "0640"), each["dest"]


def test_all_roles_bring_the_same_programs() -> None:
    for name in ("main.py", "chainops-redis"):
        texts = {
            (ROOT / "roles" / each / "files" / name).read_text() for each in ("redis", "redis_sentinel", "redis_backup")
        }
        assert len(texts) == 1, name


@pytest.mark.parametrize(("unavailable", "words"), [("fail", ["--strict"]), ("report", [])])
def test_a_kernel_that_refuses_ends_the_run_unless_it_may(secrets: Path, unavailable: str, words: list[str]) -> None:
    given = role("redis", secrets, redis_sysctl_unavailable=unavailable)
    file = given.value("__redis_sysctl_file")
    assert given.value("__redis_sysctl_command") == ["/usr/lib/systemd/systemd-sysctl", *words, file]
    assert "vm.overcommit_memory = 1" in given.template("sysctl.conf.j2").splitlines()
