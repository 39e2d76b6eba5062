"""The comparison of configurations: everyone has the first turn, and the ratios mean what they say."""

from __future__ import annotations

from tests.lab.data import pgbench


class Host:
    """Answers pgbench by the configuration that was written last."""

    def __init__(self) -> None:
        self.scripts: list[str] = []
        self.order: list[str] = []

    def __call__(self, script: str) -> str:
        self.scripts.append(script)
        if "shared_buffers" in script:
            self.order.append("ours" if "512MB" in script else "pgtune")
        elif "bench.conf" in script and "printf" in script:
            self.order.append("defaults")
        rate = {"ours": 200, "pgtune": 160, "defaults": 100}[self.order[-1]] if self.order else 0
        return f"scaling factor: 5\ntps = {rate + len(self.order)}.25 (without initial connection time)\n"


def test_turns_and_ratios() -> None:
    host = Host()
    configurations = {"ours": {"shared_buffers": "512MB"}, "pgtune": {"shared_buffers": "1GB"}, "defaults": {}}
    with pgbench.Bench(host, scale=5, seconds=4) as bench:
        host.order.clear()
        runs = bench.by_turns(configurations, rounds=3)
    assert host.order[::3] == ["ours", "pgtune", "defaults"]
    assert {name: len(values) for name, values in runs.items()} == {"ours": 3, "pgtune": 3, "defaults": 3}
    figures = pgbench.figures({"ours": [200, 190, 210], "pgtune": [190, 100, 250], "defaults": [100, 100, 100]})
    assert (figures["ratio"], figures["pgtune_by_ours"], figures["ratio_to_defaults"]) == (1.053, 0.95, 2.0)
    assert "rm -rf /var/lib/postgresql/bench" in host.scripts[-1]


def test_pgtune_s_rules() -> None:
    small = pgbench.pgtune(memory_mb=4096, cores=2, connections=100)
    assert (small["shared_buffers"], small["effective_cache_size"]) == ("1024MB", "3072MB")
    assert (small["maintenance_work_mem"], small["wal_buffers"]) == ("256MB", "16MB")
    assert "max_parallel_workers" not in small
    large = pgbench.pgtune(memory_mb=65536, cores=16, connections=200)
    assert (large["maintenance_work_mem"], large["huge_pages"]) == ("2048MB", "try")
    assert large["max_parallel_workers_per_gather"] == "4"
