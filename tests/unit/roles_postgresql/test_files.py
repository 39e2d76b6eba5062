# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is written to a member: Patroni's configuration, its unit, and what all members share."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.unit.roles.role_files import ROOT
from tests.unit.roles_edge import role_checks
from tests.unit.roles_postgresql.rendered_site import MEMBERS, role


def local(**variables: Any) -> dict[str, Any]:
    return yaml.safe_load(role(**variables).template("patroni.yml.j2"))


def common(**variables: Any) -> dict[str, Any]:
    return role(**variables).value("__postgresql_common")


def test_a_new_cluster_begins_with_what_all_members_share() -> None:
    assert local()["bootstrap"]["dcs"] == common()


def test_there_are_no_passwords() -> None:
    text = role().template("patroni.yml.j2")
    assert "password:" not in text
    assert local()["postgresql"]["authentication"]["superuser"] == {"username": "postgres"}
    for user in ("replication", "rewind"):
        assert local()["postgresql"]["authentication"][user]["sslmode"] == "verify-full"


def test_changes_over_the_rest_api_need_a_certificate() -> None:
    api = local()["restapi"]
    assert api["verify_client"] == "optional" and api["cafile"] == "/etc/chainops/tls/ca.pem"
    assert local()["ctl"]["insecure"] is False
    assert local(postgresql_rest_networks=["10.87.9.0/24"])["restapi"]["allowlist_include_members"] is True


def test_changes_over_the_rest_api_are_taken_from_members() -> None:
    """Any host has a certificate; who may change the configuration runs commands (archive_command)."""
    members = ["10.87.1.21", "10.87.1.22", "10.87.2.21", "10.87.2.22"]
    assert local()["restapi"]["allowlist"] == members
    assert local()["restapi"]["allowlist_include_members"] is True
    # by name, not only as members that Patroni knows: those do not count for what keeps a primary without etcd
    assert local(postgresql_rest_networks=["10.87.9.0/24"])["restapi"]["allowlist"] == [*members, "10.87.9.0/24"]


def test_etcd_is_spoken_to_over_tls() -> None:
    etcd = local()["etcd3"]
    assert etcd["hosts"] == ["10.87.1.21:2379", "10.87.2.21:2379", "10.87.3.21:2379"]
    assert etcd["protocol"] == "https"


def test_no_directory_is_ever_removed() -> None:
    shared = common()["postgresql"]
    assert shared["use_pg_rewind"] is True and shared["use_slots"] is True
    assert shared["remove_data_directory_on_rewind_failure"] is False
    assert shared["remove_data_directory_on_diverged_timelines"] is False


def test_a_member_is_known_by_its_certificate() -> None:
    postgresql = local()["postgresql"]
    for address in ("10.87.1.21", "10.87.2.22"):
        assert f"hostssl replication replicator {address}/32 cert map=members" in postgresql["pg_hba"]
    assert [f'members "{name}" rewinder' in postgresql["pg_ident"] for name in MEMBERS] == [True] * 4


def test_tuned_values_stay_on_the_host_unless_all_must_have_them() -> None:
    tuned = {"shared_buffers": "8GB", "work_mem": "32MB", "max_worker_processes": 16}
    given = {"postgresql_tuned_settings": tuned, "postgresql_settings": {"work_mem": "64MB"}}
    assert local(**given)["postgresql"]["parameters"] == {"shared_buffers": "8GB"}
    shared = common(**given)["postgresql"]["parameters"]
    assert (shared["max_worker_processes"], shared["work_mem"]) == (16, "64MB")
    assert "shared_buffers" not in shared


@pytest.mark.parametrize("cores", [2, 48, 64, 128])
def test_the_defaults_fit_hosts_of_any_number_of_cores(cores: int) -> None:
    site = role(ansible_facts={"memtotal_mb": 262144, "processor_vcpus": cores, "mounts": []})
    assert site.value("__postgresql_tuning_faults") == []
    assert site.value("__postgresql_tuning")["max_parallel_workers"] == str(min(cores, 32))
    assert "max_worker_processes" not in site.value("__postgresql_tuning")
    more = role(
        ansible_facts={"memtotal_mb": 262144, "processor_vcpus": cores, "mounts": []},
        postgresql_settings={"max_worker_processes": 128},
    )
    assert more.value("__postgresql_tuning")["max_parallel_workers"] == str(cores)


def test_what_an_option_decides_stands_above_all() -> None:
    shared = common(postgresql_settings={"ssl": "off", "log_checkpoints": "off"})["postgresql"]["parameters"]
    assert (shared["ssl"], shared["log_checkpoints"], shared["ssl_min_protocol_version"]) == ("on", "off", "TLSv1.2")


def test_archiving_is_on_only_with_a_command() -> None:
    assert common()["postgresql"]["parameters"]["archive_mode"] == "off"
    shared = common(postgresql_archive_command="archive %p", postgresql_restore_command="fetch %f %p")["postgresql"]
    assert shared["parameters"]["archive_mode"] == "on"
    assert shared["parameters"]["archive_command"] == "archive %p"
    assert shared["recovery_conf"] == {"restore_command": "fetch %f %p"}


@pytest.mark.parametrize(("rpo", "seconds"), [("zero_host", 0), ("zero_region", 0), ("bounded", 60), ("fast", 60)])
def test_a_crash_is_handed_over_where_that_loses_nothing(rpo: str, seconds: int) -> None:
    assert common(postgresql_rpo=rpo)["primary_start_timeout"] == seconds


def test_the_unit_leaves_postgresql_alone_when_patroni_dies() -> None:
    unit = role().template("patroni.service.j2")
    assert "{{" not in unit and "{%" not in unit
    assert "KillMode=process" in unit and "Restart=always" in unit
    assert "\nRemoveIPC=" not in unit and "\nPrivateUsers=" not in unit
    assert "DeviceAllow=/dev/watchdog rw" in unit
    assert "PrivateDevices=true" in role(postgresql_watchdog="off").template("patroni.service.j2")


def test_a_path_that_may_be_absent_is_not_made() -> None:
    given = role(postgresql_writable_paths=["/srv/wal", "-/mnt/archive"])
    made = [line.split()[1] for line in given.template("tmpfiles.conf.j2").splitlines() if line.startswith("d ")]
    assert made == ["/var/lib/postgresql/17", "/srv/wal"]
    assert "/run/postgresql /srv/wal -/mnt/archive\n" in given.template("patroni.service.j2")


def test_debian_makes_no_cluster_of_its_own() -> None:
    assert "create_main_cluster = false" in role().template("createcluster.conf.j2")
    tasks = [task for block in role_tasks() for task in block["block"]]
    install = next(task for task in tasks if "chainops.infra.packages" in task)
    assert install["chainops.infra.packages"]["policy_rc_d"] == 101


HOST = {"memtotal_mb": 65536, "processor_vcpus": 16, "mounts": []}


def test_a_limit_of_the_unit_is_what_postgresql_is_tuned_for() -> None:
    limited = role(ansible_facts=HOST, postgresql_memory_limit_mb=16384)
    assert "\nMemoryMax=16384M\n" in limited.template("patroni.service.j2")
    assert limited.value("__postgresql_tuning")["shared_buffers"] == "4GB"
    assert limited.value("__postgresql_tuning_faults") == []
    (fault,) = role(
        ansible_facts=HOST, postgresql_memory_limit_mb=16384, postgresql_settings={"work_mem": "1GB"}
    ).value("__postgresql_tuning_faults")
    assert "the 16384 MB that its cgroup may use" in fault
    free = role(ansible_facts=HOST)
    assert "MemoryMax" not in free.template("patroni.service.j2")
    assert free.value("__postgresql_tuning")["shared_buffers"] == "16GB"


def test_huge_pages_are_reserved_where_they_are_asked_for() -> None:
    asked = role(ansible_facts=HOST, postgresql_huge_pages=True)
    assert "\nvm.nr_hugepages = 8436\n" in asked.template("sysctl.conf.j2")
    (file,) = asked.value("__postgresql_huge_pages_files")
    assert asked.value("__postgresql_huge_pages_commands") == [["/usr/lib/systemd/systemd-sysctl", file["dest"]]]
    assert asked.value("__postgresql_tuning")["huge_pages"] == "try"
    smaller = role(ansible_facts=HOST, postgresql_huge_pages=True, postgresql_settings={"shared_buffers": "1GB"})
    assert "\nvm.nr_hugepages = 564\n" in smaller.template("sysctl.conf.j2")
    assert role().value("__postgresql_huge_pages_files") == role().value("__postgresql_huge_pages_commands") == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"postgresql_memory_limit_mb": 100}, "must be 0, for no limit, or at least 256"),
        ({"postgresql_huge_pages": True, "postgresql_settings": {"huge_pages": "off"}}, "lets lie idle"),
        (
            {"postgresql_memory_limit_mb": 512, "postgresql_settings": {"max_connections": 500}},
            "512 MB that its cgroup",
        ),
    ],
)
def test_memory_that_does_not_fit_is_named(changed: dict[str, Any], words: str) -> None:
    groups = {"all": MEMBERS, "postgresql": [*MEMBERS, "lb-a"], "etcd": ["db-a", "db-c", "db-d"]}
    hostvars = role_checks.site()["hostvars"] | {"lb-a": {"ansible_host": "10.87.1.51"}}
    given = {"groups": groups, "hostvars": hostvars, "ansible_facts": HOST, "ansible_host": "10.87.1.51"}
    assert role_checks.mistakes("postgresql", **given) == []
    said = role_checks.mistakes("postgresql", **given, **changed)
    assert [text for text in said if words in text], said


def test_no_run_restarts_patroni() -> None:
    """All members would be without one at once, and balancers cut the sessions of a host whose Patroni is silent."""
    tasks = [task for block in role_tasks() for task in block["block"]]
    (unit,) = [task["chainops.infra.unit"] for task in tasks if "chainops.infra.unit" in task]
    assert (unit["name"], unit["restart"]) == ("patroni.service", "report")


def role_tasks() -> list[dict[str, Any]]:
    return yaml.safe_load((ROOT / "roles/postgresql/tasks/main.yml").read_text(encoding="utf-8"))
