"""PostgreSQL's settings from the machine, and whether settings fit it, as templates use both."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.chainops.infra.plugins.plugin_utils.postgresql import memory as memory_sum
from ansible_collections.chainops.infra.plugins.plugin_utils.postgresql import sizes, tuning

MACHINE = {
    "cores": 16,
    "storage": "nvme",
    "workload": "oltp",
    "max_connections": 200,
    "wal_disk_gb": 400,
    "worker_processes": 0,
}
TUNED = """m | chainops.infra.postgresql_tuning(cores=cores, storage=storage, workload=workload,
    max_connections=max_connections, wal_disk_gb=wal_disk_gb, memory_limit_mb=limit, reasons=reasons,
    worker_processes=worker_processes)"""


def template(expression: str, **variables: Any) -> Any:
    return Templar(loader=DataLoader(), variables=variables).template(trust_as_template("{{ " + expression + " }}"))


def tuned(memory_mb: int = 65536, limit: int = 0, reasons: bool = False, **changed: Any) -> dict[str, Any]:
    return template(TUNED, m=memory_mb, limit=limit, reasons=reasons, **(MACHINE | changed))


def faults(settings: dict[str, Any], memory_mb: int, limit: int = 0, wal_disk_gb: float = 0) -> list[str]:
    expression = "s | chainops.infra.postgresql_tuning_faults(m, memory_limit_mb=l, wal_disk_gb=w)"
    return template(expression, s=settings, m=memory_mb, l=limit, w=wal_disk_gb)


def test_a_large_host_for_transactions() -> None:
    assert tuned() == {
        "max_connections": "200",
        "shared_buffers": "16GB",
        "huge_pages": "try",
        "effective_cache_size": "48GB",
        "work_mem": "77672kB",
        "maintenance_work_mem": "4GB",
        "checkpoint_timeout": "15min",
        "checkpoint_completion_target": "0.9",
        "max_wal_size": "16GB",
        "min_wal_size": "4GB",
        "wal_buffers": "16MB",
        "wal_compression": "lz4",
        "random_page_cost": "1.1",
        "effective_io_concurrency": "300",
        "maintenance_io_concurrency": "100",
        "default_statistics_target": "100",
        "jit": "off",
        "max_worker_processes": "16",
        "max_parallel_workers": "16",
        "max_parallel_workers_per_gather": "4",
        "max_parallel_maintenance_workers": "4",
        "autovacuum_max_workers": "4",
        "autovacuum_work_mem": "2GB",
        "autovacuum_vacuum_cost_limit": "1000",
    }


def test_every_value_has_its_reason() -> None:
    explained = tuned(reasons=True)
    assert {name: setting["value"] for name, setting in explained.items()} == tuned()
    assert [name for name, setting in explained.items() if len(setting["reason"].split()) < 2] == []
    assert "a quarter of the host's 65536 MB" in explained["shared_buffers"]["reason"]


def test_a_cgroup_s_limit_counts_where_it_is_lower() -> None:
    limited = tuned(limit=8192)
    assert limited == tuned(memory_mb=8192)
    assert limited["shared_buffers"] == "2GB"
    assert tuned(limit=131072) == tuned()
    assert "the 8192 MB that its cgroup may use" in tuned(limit=8192, reasons=True)["shared_buffers"]["reason"]


@pytest.mark.parametrize("workload", ["oltp", "analytics"])
@pytest.mark.parametrize("cores", [2, 48, 64, 128])
def test_queries_get_no_more_workers_than_the_cluster_has_processes(cores: int, workload: str) -> None:
    found = tuned(cores=cores, workload=workload, worker_processes=32)
    assert (found["max_worker_processes"], found["max_parallel_workers"]) == ("32", str(min(cores, 32)))
    assert int(found["max_parallel_workers_per_gather"]) <= min(cores, 32)
    assert faults(found, 65536, wal_disk_gb=400) == []
    assert tuned(cores=cores, worker_processes=256)["max_parallel_workers"] == str(cores)


def test_few_processes_bound_every_kind_of_worker() -> None:
    found = tuned(cores=64, workload="analytics", worker_processes=2)
    names = ("max_parallel_workers", "max_parallel_workers_per_gather", "max_parallel_maintenance_workers")
    assert [found[name] for name in names] == ["2", "2", "2"]


@pytest.mark.parametrize(
    ("disk", "most", "least"), [(0, "16GB", "4GB"), (40, "8GB", "2GB"), (10, "2GB", "512MB"), (0.5, "128MB", "80MB")]
)
def test_wal_takes_a_fifth_of_its_disk_at_most(disk: float, most: str, least: str) -> None:
    found = tuned(wal_disk_gb=disk)
    assert (found["max_wal_size"], found["min_wal_size"]) == (most, least)


def test_analytics_and_disks_that_seek() -> None:
    analytics = tuned(workload="analytics")
    assert "jit" not in analytics
    assert analytics["max_parallel_workers_per_gather"] == "8"
    assert analytics["default_statistics_target"] == "500"
    assert analytics["maintenance_work_mem"] == "8GB"
    assert analytics["random_page_cost"] == "4"
    seeking = tuned(storage="hdd")
    assert (seeking["random_page_cost"], seeking["effective_io_concurrency"]) == ("4", "2")
    assert "autovacuum_vacuum_cost_limit" not in seeking


def test_what_is_no_machine_is_named_all_at_once() -> None:
    with pytest.raises(AnsibleError) as refused:
        tuned(memory_mb=100, storage="tape", workload="web", cores=True, limit=10, wal_disk_gb=-1)
    for words in (
        "memory_mb = 100 must be an integer of at least 256",
        "storage = 'tape' must be one of nvme, ssd, san, hdd",
        "workload = 'web' must be one of oltp, mixed, analytics",
        "cores = True",
        "memory_limit_mb = 10",
        "wal_disk_gb = -1",
    ):
        assert words in str(refused.value)


MEMORIES = (1024, 2048, 8192, 65536, 524288)
EVERY = list(itertools.product(MEMORIES, (1, 4, 16, 96), ("nvme", "hdd"), ("oltp", "mixed", "analytics"), (0, 5, 1000)))


def test_what_is_tuned_fits_every_machine() -> None:
    wrong = {}
    for memory, cores, storage, workload, disk in EVERY:
        connections = 20 if memory < 8192 else 100
        explained = tuning.tune(tuning.Machine(memory, cores, storage, workload, connections, disk))
        settings = {name: setting["value"] for name, setting in explained.items()}
        found = memory_sum.faults(settings, memory, wal_disk_gb=disk)
        # Many cores with little memory is the one machine whose workers do not get the least work_mem.
        if found and not (cores == 96 and memory <= 2048):
            wrong[memory, cores, storage, workload, disk] = found
    assert wrong == {}


def test_more_connections_than_memory_is_refused_with_the_sum() -> None:
    (fault,) = faults(tuned(memory_mb=2048, max_connections=1000), 2048)
    assert "may be used at once, more than the host's 2048 MB" in fault
    assert "work_mem = 4MB in each of max_connections = 1000 connections" in fault
    assert "shared_buffers = 512MB: 512 MB" in fault


def test_an_override_that_does_not_fit_is_refused() -> None:
    good = tuned()
    assert faults(good, 65536, wal_disk_gb=400) == []
    assert "work_mem = 1GB in each" in faults(good | {"work_mem": "1GB"}, 65536)[0]
    assert faults(good, 16384) != []
    assert "its cgroup may use" in faults(good, 65536, limit=16384)[0]
    wal = faults(good | {"max_wal_size": "300GB"}, 65536, wal_disk_gb=400)
    assert wal == [
        "max_wal_size = 300GB is more than half of the 400 GB that hold WAL: a slot or a repository that does not take "
        "WAL would fill them; a fifth is a good value"
    ]
    assert "min_wal_size = 20GB is more than max_wal_size" in faults(good | {"min_wal_size": "20GB"}, 65536)[0]
    assert "max_parallel_workers = 64 is more than" in faults(good | {"max_parallel_workers": 64}, 65536)[0]


# shared_memory_size_in_huge_pages of PostgreSQL 17.12, with as many workers, senders and slots as the role sets
MEASURED = {
    ("128MB", 50): 78, ("128MB", 1000): 101, ("1GB", 200): 543, ("1GB", 1000): 563, ("8GB", 1000): 4241,
    ("16GB", 200): 8411, ("64GB", 1000): 33571, ("128GB", 50): 66965, ("128GB", 200): 66968,
}  # fmt: skip


@pytest.mark.parametrize(("given", "needed"), MEASURED.items())
def test_huge_pages_hold_all_of_the_shared_memory(given: tuple[str, int], needed: int) -> None:
    settings = {"shared_buffers": given[0], "max_connections": given[1]}
    found = template("s | chainops.infra.postgresql_huge_pages", s=settings)
    assert needed <= found <= needed * 1.005 + 32


@pytest.mark.parametrize(
    ("settings", "words"), [([], "wants settings by name"), ({"shared_buffers": "x"}, "is no size")]
)
def test_huge_pages_need_sizes(settings: Any, words: str) -> None:
    with pytest.raises(AnsibleError, match=words):
        template("s | chainops.infra.postgresql_huge_pages", s=settings)


@pytest.mark.parametrize("value", ["lots", "1 gb", True, "12XB"])
def test_a_value_that_postgresql_would_not_take_is_named(value: Any) -> None:
    assert faults({"work_mem": value}, 65536) == [f"work_mem = {value!r} is no size, as in 512MB"]


def test_numbers_without_a_unit_count_as_postgresql_counts_them() -> None:
    assert sizes.read("shared_buffers", 16384) == 128 * sizes.MB
    assert sizes.read("work_mem", 4096) == 4 * sizes.MB
    assert sizes.read("max_wal_size", 1024) == sizes.GB
    assert faults({"max_connections": "many"}, 65536) == ["max_connections = 'many' is no whole number"]


def test_the_filter_of_faults_wants_settings() -> None:
    with pytest.raises(AnsibleError, match="wants settings by name"):
        template("[] | chainops.infra.postgresql_tuning_faults(1024)")
