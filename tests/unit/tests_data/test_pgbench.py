"""The comparison of configurations: everyone has the first turn, and the ratios mean what they say."""

from __future__ import annotations

import re

from tests.lab.data import pgbench


class Host:
    """A host on which one server at most may be awake while pgbench runs."""

    def __init__(self) -> None:
        self.scripts: list[str] = []
        self.awake: set[str] = set()
        self.order: list[str] = []

    def __call__(self, script: str) -> str:
        self.scripts.append(script)
        for word, change in (
            ("systemd-run", self.awake.add),
            ("SIGCONT", self.awake.add),
            ("SIGSTOP", self.awake.discard),
        ):
            if word in script:
                change(re.findall(r"bench-(\w+)", script)[0])
        if "systemctl stop" in script:
            self.awake.clear()
        if "/pgbench" not in script or "-T 4" not in script:
            return ""
        (name,) = self.awake
        self.order.append(name)
        assert f"-p {pgbench.PORT + ['ours', 'pgtune', 'defaults'].index(name)} " in script
        return f"scaling factor: 5\ntps = {100 + len(self.order)}.25 (without initial connection time)\n"


def test_turns_and_ratios() -> None:
    host = Host()
    configurations = {"ours": {"shared_buffers": "512MB"}, "pgtune": {"shared_buffers": "1GB"}, "defaults": {}}
    with pgbench.Bench(host, configurations, scale=5, seconds=4) as bench:
        assert host.awake == set(), "nobody works before the first turn"
        runs = bench.by_turns(rounds=3)
    assert host.order[::3] == ["ours", "pgtune", "defaults"]
    assert runs["pgtune"] == [102.25, 104.25, 109.25]
    written = [script for script in host.scripts if "bench.conf" in script and "printf" in script]
    assert ["512MB" in script for script in written] == [False, True, False, False]
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
