# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The reports as playbooks, run: hosts that nobody reaches, sites with one layer, and what may be asked of a host."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
ASK = ROOT / "playbooks" / "ask" / "data.yml"
PAIR = {"ethereum": {"hosts": {"eth-a": {"ansible_host": "192.0.2.1"}}}}
STORES = {
    group: {"hosts": {name: {"ansible_host": f"192.0.2.{number}"} for number, name in enumerate(names, 10)}}
    for group, names in {
        "postgresql": ["db-a", "db-b"],
        "etcd": ["db-a"],
        "redis": ["db-a"],
        "redis_sentinel": ["db-a"],
        "influxdb": ["db-b"],
        "pgbackrest_repository": ["bk-a"],
    }.items()
}


DEAD = "echo 'ssh: connect to host: No route to host' >&2; exit 255"


def run(directory: Path, operation: str, children: dict[str, Any], *more: str, does: str = DEAD) -> tuple[str, str]:
    """Output and page of a run on a site whose hosts do not answer; a warning about a group would be noise."""
    ssh, inventory, page = directory / "ssh", directory / "site.yml", directory / "pages" / "page.html"
    page.parent.mkdir(exist_ok=True)
    page.parent.chmod(0o1777)
    ssh.write_text(f"#!/bin/sh\n{does}\n")
    ssh.chmod(0o755)
    inventory.write_text(yaml.safe_dump({"all": {"children": children}}))
    given = {"ansible_ssh_executable": str(ssh), "ansible_ssh_retries": 0, f"{operation}_page": str(page)}
    argv = [Path(sys.executable).with_name("ansible-playbook"), "-i", inventory]
    argv += [ROOT / "playbooks" / "operations" / f"{operation}.yml", "-e", json.dumps(given), *more]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert page.parent.stat().st_mode & 0o7777 == 0o1777, "the mode of a directory that was there is another now"
    assert "ignoring: postgresql" not in output and "ignoring: etcd" not in output, output
    return output, page.read_text(encoding="utf-8")


def test_a_layer_that_nobody_reaches_is_reported_and_breaks_nothing(tmp_path: Path) -> None:
    output, page = run(tmp_path, "data_status", STORES)
    assert "POSTGRESQL: no member told of the cluster" in output
    assert "not reached: db-a, db-b, bk-a" in output
    assert "db-b: not reached by ssh: connect to host: No route to host" in page
    # one try for each host, not one for each task
    assert output.count("UNREACHABLE!") == 3


def test_a_host_that_hangs_is_given_up(tmp_path: Path) -> None:
    begun = time.monotonic()
    output, _page = run(tmp_path, "data_status", STORES, "-e", "data_status_timeout=2", does="exec sleep 120")
    assert time.monotonic() - begun < 60
    assert "not reached: db-a, db-b, bk-a" in output and "db-b: could not be asked: " in output, output


def test_a_site_without_stores(tmp_path: Path) -> None:
    output, page = run(tmp_path, "chain_status", PAIR)
    assert "0 of 1 pairs in service; not reached: eth-a" in output
    assert "Data layer" not in page and "eth-a" in page
    output, page = run(tmp_path, "data_status", PAIR)
    assert "data layer: no host of it was asked" in output and "UNREACHABLE" not in output


def test_the_sites_page_has_both_layers(tmp_path: Path) -> None:
    _output, page = run(tmp_path, "chain_status", PAIR | STORES)
    assert "0 of 1 pairs" in page and "Data layer" in page and "<h2>etcd</h2>" in page
    output, page = run(tmp_path, "chain_status", PAIR | STORES, "--skip-tags", "data")
    assert "Data layer" not in page and output.count("UNREACHABLE!") == 1


def test_a_store_costs_three_tasks_at_most_and_none_can_fail() -> None:
    (play,) = yaml.safe_load(ASK.read_text())
    assert play["ignore_unreachable"] and play["gather_facts"] is False
    assert all(task["failed_when"] is False and task["register"].startswith("__data_status_") for task in play["tasks"])
    conditions = [task.get("when", "") for task in play["tasks"]]
    assert conditions[0] == "" and all("samples is defined" in condition for condition in conditions[1:])
    for group in ("etcd", "postgresql", "redis", "redis_sentinel", "influxdb"):
        assert 1 + len([condition for condition in conditions if f"'{group}' in" in condition]) <= 3, group
