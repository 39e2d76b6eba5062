# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Twelve files that are as they should be, on a lab host: one templates task against twelve of the template action."""

from __future__ import annotations

import os
import statistics
from pathlib import Path
from xml.etree import ElementTree

import yaml

from tests.lab import results
from tests.lab.site import ROOT, Site

LAYER = os.environ.get("LAYERS", "ethereum").split(",")[0]
BALANCERS = {"ethereum": "rpc_balancers", "data": "data_balancers"}
FILES, ROUNDS = 12, 3
TIMES_FASTER = 8.0
PLACE = "/run/chainops-bench"
TEMPLATE = """\
# {{ ansible_managed }}
{% for number in range(40) %}
option_{{ number }} = {{ inventory_hostname }} of {{ groups['all'] | length }}
{% endfor %}
"""


def seconds_by_task(project: Path) -> dict[str, list[float]]:
    """What ansible's own callback measured for each task."""
    found: dict[str, list[float]] = {}
    for report in (project / "junit").glob("*.xml"):
        for case in ElementTree.parse(report).getroot().iter("testcase"):
            # "[host] host: name arguments"
            name = case.attrib["name"].split(": ")[1]
            found.setdefault(name.split("=")[0].rpartition(" ")[0] or name, []).append(float(case.attrib["time"]))
    return found


def test_twelve_files_in_one_task(tmp_path: Path) -> None:
    site = Site(ROOT / "inventories" / "lab" / f"{LAYER}.yml")
    host = site.hosts(BALANCERS[LAYER])[0]
    (tmp_path / "templates").mkdir()
    for number in range(FILES):
        (tmp_path / f"templates/{number}.j2").write_text(TEMPLATE)
    one = {
        "name": "bundle",
        "chainops.infra.templates": {
            "directories": [{"path": PLACE}],
            "files": [{"src": f"{number}.j2", "dest": f"{PLACE}/{number}"} for number in range(FILES)],
        },
    }
    twelve = [
        {
            "name": f"single {number}",
            "ansible.builtin.template": {"src": f"{number}.j2", "dest": f"{PLACE}/{number}", "mode": "0644"},
        }
        for number in range(FILES)
    ]
    first = [{"name": "connect", "ansible.builtin.ping": None}, {**one, "name": "write"}]
    play = {"hosts": host, "become": True, "gather_facts": False, "tasks": first + [one, *twelve] * ROUNDS}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play], sort_keys=False))
    try:
        run = site.play(
            str(tmp_path / "play.yml"),
            env={"ANSIBLE_CALLBACKS_ENABLED": "ansible.builtin.junit", "JUNIT_OUTPUT_DIR": str(tmp_path / "junit")},
        ).check()
    finally:
        site.run(host, "rm", "-rf", PLACE)
    assert run.recap[host]["changed"] == 1, run.output

    times = seconds_by_task(tmp_path)
    bundle = statistics.median(times["bundle"])
    singles = sum(statistics.median(times[f"single {number}"]) for number in range(FILES))
    case = results.Case(
        "templates-twelve-files",
        figures={
            "one_task_s": round(bundle, 3),
            "twelve_tasks_s": round(singles, 3),
            "times_faster": round(singles / bundle, 1),
            # the form of a limit is a maximum
            "one_task_of_twelve": round(bundle / singles, 4),
        },
        limits={"one_task_of_twelve": 1 / TIMES_FASTER},
        note="no-op, one host over ssh with pipelining and sudo; medians of three rounds",
    )
    case.passed = not case.over_limit()
    results.save("bench", [case], full_length=True)
    assert case.passed, case.over_limit()
