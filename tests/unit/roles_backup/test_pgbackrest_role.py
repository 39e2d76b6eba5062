"""The role pgbackrest on the hosts of a site: what it writes on each kind of host, and what it refuses."""

from __future__ import annotations

import configparser
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.template import Templar, trust_as_template

from tests.support.preflight import ROOT, CheckedInventory, message
from tests.unit.roles_ethereum.program import load

ROLE = ROOT / "roles" / "pgbackrest"
PASSPHRASES = {
    "repo-a": "Y2FuYXJ5IG9mIHRoZSBmaXJzdCByZXBvc2l0b3J5IQ==",
    "repo-b": "Y2FuYXJ5IG9mIHRoZSBzZWNvbmQgcmVwb3NpdG9yeQ",
}
LAYER = """
- name: Backups
  hosts: postgresql:pgbackrest_repository:pgbackrest_restore
  vars:
    __layer_pgbackrest_cipher_pass_file: "{{ secrets_dir }}/{{ inventory_hostname }}.pass"
  roles: [chainops.infra.pgbackrest]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CheckedInventory]:
    """Four members, two repository hosts and a scratch host, and a collection with just this role and a layer."""
    home = tmp_path_factory.mktemp("site")
    for host, passphrase in PASSPHRASES.items():
        (home / f"{host}.pass").write_text(passphrase + "\n")
    hosts = {name: {"site_address": f"192.0.2.{n}"} for n, name in enumerate(["db-a", "db-b", "db-c", "db-d"], 1)}
    children = {
        "postgresql": {"hosts": hosts},
        "pgbackrest_repository": {
            "hosts": {
                "repo-a": {"site_address": "192.0.2.11", "site_region": "east"},
                "repo-b": {
                    "site_address": "2001:db8::12",
                    "site_region": "west",
                    "pgbackrest_port": 8433,
                    "pgbackrest_incr_schedule": "",
                },
            }
        },
        "pgbackrest_restore": {"hosts": {"scratch": {"site_address": "192.0.2.21"}}},
    }
    (home / "hosts.yml").write_text(yaml.safe_dump({"all": {"vars": {"secrets_dir": str(home)}, "children": children}}))
    collection = home / "ansible_collections" / "chainops" / "infra"
    (collection / "playbooks" / "layers").mkdir(parents=True)
    (collection / "playbooks" / "layers" / "data.yml").write_text(LAYER)
    (collection / "roles").mkdir()
    (collection / "roles" / "pgbackrest").symlink_to(ROLE)
    yield CheckedInventory(home / "hosts.yml", collection)


class Rendered:
    """The files of one host, by the path they get there."""

    def __init__(self, site: CheckedInventory, host: str) -> None:
        given = site.manager.get_vars(host=site.inventory.get_host(host))
        loader = site.loader
        layer = site.yaml(Path(site._collection.root) / "playbooks" / "layers" / "data.yml")[0]["vars"]
        defaults = site.yaml(ROLE / "defaults" / "main.yml")
        internal = site.yaml(ROLE / "vars" / "main.yml")
        self.variables = {**defaults, **given, **layer, **internal, "ansible_managed": "managed"}
        self._templar = Templar(loader=loader, variables=self.variables)
        self.entries = {
            entry["dest"]: entry for entry in self.value("__pgbackrest_units") + self.value("__pgbackrest_files")
        }

    def value(self, name: str) -> Any:
        return self._templar.template(trust_as_template("{{ " + name + " }}"))

    def text(self, dest: str) -> str:
        entry = self.entries[dest]
        source = (ROLE / "templates" / entry["src"]).read_text(encoding="utf-8")
        templar = Templar(loader=self._templar._loader, variables=self.variables | entry.get("vars", {}))
        return str(templar.template(trust_as_template(source), escape_backslashes=False))

    def config(self) -> configparser.ConfigParser:
        parser = configparser.ConfigParser(strict=False, interpolation=None)
        parser.read_string(self.text("/etc/pgbackrest/pgbackrest.conf"))
        return parser


def test_the_site_passes(site: CheckedInventory) -> None:
    outcome = site.check("data")
    assert message(outcome.mistakes) == ""
    assert len(outcome.hosts) == 7


def test_a_member_pushes_to_both_repositories_and_knows_no_passphrase(site: CheckedInventory) -> None:
    member = Rendered(site, "db-b")
    config = member.config()
    every = config["global"]
    assert (every["repo1-host"], every["repo1-host-port"]) == ("192.0.2.11", "8432")
    assert (every["repo2-host"], every["repo2-host-port"]) == ("2001:db8::12", "8433")
    assert every["archive-async"] == "y" and config["global:archive-push"]["io-timeout"] == "10"
    # a frozen repository, which takes connections, is given up by this one alone
    assert [config[f"global:archive-{verb}"]["protocol-timeout"] for verb in ("push", "get")] == ["30", "30"]
    # less than a check waits for, so that one lost lock fails none
    assert int(config["global:archive-push"]["archive-timeout"]) < int(every["archive-timeout"]) / 2
    text = member.text("/etc/pgbackrest/pgbackrest.conf")
    assert "\narchive-push-queue-max" not in text, "it makes pgBackRest drop WAL"
    assert "cipher" not in text and not any(entry.get("secret") for entry in member.entries.values())
    assert [line for line in text.splitlines() if line.startswith("tls-server-auth")] == [
        "tls-server-auth=repo-a=main",
        "tls-server-auth=repo-b=main",
    ]


def test_a_standby_s_fetch_reads_what_is_written_for_a_member(site: CheckedInventory, tmp_path: Path) -> None:
    text = Rendered(site, "db-b").text("/etc/pgbackrest/pgbackrest.conf")
    assert text.count("tls-server-auth=") == 2, "pgBackRest takes lists as options that stand twice, and so must it"
    config = tmp_path / "pgbackrest.conf"
    config.write_text(text)
    fetch = load(ROLE / "files" / "fetch.py")
    assert fetch.repositories(str(config)) == {1: ("192.0.2.11", 8432), 2: ("2001:db8::12", 8433)}


def test_a_repository_host_asks_every_member_and_keeps_one_repository(site: CheckedInventory) -> None:
    second = Rendered(site, "repo-b")
    config = second.config()
    assert [config["main"][f"pg{number}-host"] for number in (1, 2, 3, 4)] == [f"192.0.2.{n}" for n in (1, 2, 3, 4)]
    every = config["global"]
    assert [key for key in every if key.startswith("repo1")] == []
    assert (every["repo2-cipher-type"], every["repo2-retention-full"]) == ("aes-256-cbc", "4")
    assert (every["tls-server-port"], every["backup-standby"]) == ("8433", "prefer")
    secret = second.text("/etc/pgbackrest/conf.d/50-repository.conf")
    assert f"repo2-cipher-pass={PASSPHRASES['repo-b']}\n" in secret
    for dest in ("/etc/pgbackrest/conf.d/50-repository.conf", "/etc/pgbackrest/escrow.json"):
        assert second.entries[dest]["secret"] is True


def test_the_passphrase_is_in_one_file_alone_and_its_commitment_beside_it(site: CheckedInventory) -> None:
    first = Rendered(site, "repo-a")
    holding = [
        dest for dest, entry in first.entries.items() if "src" in entry and PASSPHRASES["repo-a"] in first.text(dest)
    ]
    assert holding == ["/etc/pgbackrest/conf.d/50-repository.conf"]
    assert first.entries[holding[0]]["mode"] == "0400"
    assert json.loads(first.text("/etc/pgbackrest/escrow.json"))["salt"] == "chainops.infra pgbackrest main/1"


def test_timers_are_those_of_the_schedules(site: CheckedInventory) -> None:
    first, second = Rendered(site, "repo-a"), Rendered(site, "repo-b")
    assert first.value("__pgbackrest_timers") == [
        "pgbackrest-metrics.timer",
        "pgbackrest-full.timer",
        "pgbackrest-diff.timer",
        "pgbackrest-incr.timer",
    ]
    assert "OnCalendar=Sun *-*-* 01:00:00\n" in first.text("/etc/systemd/system/pgbackrest-full.timer")
    assert "OnCalendar=Sun *-*-* 04:00:00\n" in second.text("/etc/systemd/system/pgbackrest-full.timer")
    assert "pgbackrest-incr.timer" not in second.text("/etc/systemd/system/pgbackrest.target")
    assert "/etc/systemd/system/pgbackrest-incr.timer" in second.value("__pgbackrest_absent")
    assert "/etc/systemd/system/pgbackrest-incr.timer" not in second.entries


def test_sessions_outlive_a_restart_of_the_server_and_the_data_is_read_only_to_it(site: CheckedInventory) -> None:
    unit = Rendered(site, "db-a").text("/etc/systemd/system/pgbackrest.service")
    assert "KillMode=process\n" in unit and "User=postgres\n" in unit
    assert "ReadWritePaths=/var/lib/postgresql/pgbackrest\n" in unit
    assert "User=pgbackrest\n" in Rendered(site, "repo-a").text("/etc/systemd/system/pgbackrest.service")


def test_a_scratch_host_serves_nothing_and_pushes_nothing(site: CheckedInventory) -> None:
    scratch = Rendered(site, "scratch")
    text = scratch.text("/etc/pgbackrest/pgbackrest.conf")
    assert "tls-server" not in text and "archive-async" not in text and "repo2-host=2001:db8::12\n" in text
    assert scratch.value("__pgbackrest_packages") == ["pgbackrest", "postgresql-17"]
    assert [dest for dest in scratch.entries if dest.endswith((".timer", ".target"))] == []


REPOSITORIES = "pgbackrest_repository"
WRONG: list[tuple[str, dict[str, Any], str]] = [
    (REPOSITORIES, {"pgbackrest_retention_full": 0}, "pgbackrest_retention_full = 0: must be from 1"),
    (REPOSITORIES, {"pgbackrest_full_schedule": "every sunday"}, "a calendar event of systemd"),
    (REPOSITORIES, {"pgbackrest_full_schedule": ""}, "pgbackrest_full_schedule is empty"),
    (REPOSITORIES, {"pgbackrest_cipher_pass_file": ""}, "openssl rand -base64 48"),
    (REPOSITORIES, {"pgbackrest_cipher_pass_file": "/nowhere/x.pass"}, "is not on the control node"),
    (REPOSITORIES, {"pgbackrest_port": 70000}, "pgbackrest_port = 70000: must be from 1 to 65535"),
    ("all", {"pgbackrest_repository_hosts": ["repo-a"]}, "two repositories on two different hosts are needed"),
    (
        "all",
        {"pgbackrest_repository_hosts": ["repo-a", "repo-a"]},
        "two repositories on two different hosts are needed",
    ),
    ("repo-b", {"site_region": "east"}, "are in the regions east, east: the second repository must be off-site"),
    ("repo-b", {"site_region": ""}, "the second repository must be off-site"),
    ("all", {"pgbackrest_repository_hosts": ["repo-a", "db-a"]}, "db-a is a member of the cluster too"),
    ("all", {"pgbackrest_restore_hosts": ["db-d"]}, "db-d is a member or keeps a repository"),
    ("all", {"pgbackrest_member_hosts": []}, "there is no cluster to back up"),
    ("db-a", {"pgbackrest_role": "repository"}, "pgbackrest_role = repository does not fit"),
    ("db-a", {"pgbackrest_stanza": "other"}, "must mean the same cluster"),
    ("db-a", {"pgbackrest_postgresql_data_dir": "/srv/pg"}, "whichever leads is backed up"),
    ("all", {"pgbackrest_compress_type": "gz", "pgbackrest_compress_level": 12}, "at most 9"),
    ("all", {"pgbackrest_stanza": "../x"}, "lower-case letters"),
]


def test_one_region_can_be_allowed(site: CheckedInventory) -> None:
    with site.changed("all", {"site_region": "east", "pgbackrest_allow_regions": True}):
        assert message(site.check("data").mistakes) == ""


def test_a_repository_host_checks_when_members_push_with_something_else(site: CheckedInventory) -> None:
    """The sums are facts of the members' own run; where they were not in it nothing is said of them."""
    first = Rendered(site, "repo-a")
    hostvars = {host: {} for host in ("db-a", "db-b", "db-c", "db-d")}
    first.variables["hostvars"] = hostvars | {"db-a": {"__pgbackrest_pushed_with": "1"}}
    assert first.value("__pgbackrest_checked_members") == {"db-a": "1"}
    tasks = [task for block in site.yaml(ROLE / "tasks" / "main.yml") for task in block["block"]]
    noted = next(task for task in tasks if "ansible.builtin.set_fact" in task)
    assert list(noted["ansible.builtin.set_fact"]) == ["__pgbackrest_pushed_with"]
    member = Rendered(site, "db-a")
    before = member.text("/etc/pgbackrest/pgbackrest.conf")
    member.variables["pgbackrest_push_timeout_s"] = 20
    assert member.text("/etc/pgbackrest/pgbackrest.conf") != before


@pytest.mark.parametrize(("hosts", "variables", "words"), WRONG, ids=[case[2] for case in WRONG])
def test_what_is_wrong_is_refused_in_words(
    site: CheckedInventory, hosts: str, variables: dict[str, Any], words: str
) -> None:
    with site.changed(hosts, variables):
        text = message(site.check("data").mistakes)
    assert words in " ".join(text.split()), text


def test_both_repositories_with_one_passphrase_file_are_refused(site: CheckedInventory) -> None:
    shared = str(Path(site.manager.get_vars(host=site.inventory.get_host("repo-a"))["secrets_dir"]) / "repo-a.pass")
    with site.changed(REPOSITORIES, {"pgbackrest_cipher_pass_file": shared}):
        text = message(site.check("data").mistakes)
    assert "each repository needs a passphrase of its own" in " ".join(text.split())
