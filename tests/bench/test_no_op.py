# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a run costs that changes nothing: each role on one host, and the whole site. On the converged lab.

The first of LAYERS chooses whose roles, hosts and inventory.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import time
from collections import defaultdict

import pytest

from tests.lab import results
from tests.lab.site import RECAP, ROOT, Site

LAYERS = [layer for layer in os.environ.get("LAYERS", "ethereum").split(",") if layer]
SITE = "chainops.infra.site" if LAYERS[0] == "ethereum" else f"chainops.infra.layers.{LAYERS[0]}"
LAB = Site(ROOT / "inventories" / "lab" / f"{LAYERS[0]}.yml")
BANNER = re.compile(r"(?:TASK|PLAY|PLAY RECAP)\b(?: \[(?P<name>.*?)\])?")
ROLE_SECONDS, ROUNDS = 3.0, 3
SITE_SECONDS = {"ethereum": 60.0, "data": 90.0}
# Roles with a figure of their own: what they may take, and what a role of the same purpose took on this kind of machine
# (geerlingguy.postgresql and geerlingguy.redis, a second run on one host, 2026-11).
OWN_SECONDS = {"postgresql": 7.0, "redis": 2.0, "influxdb": 5.0}
OTHERS_SECONDS = {"postgresql": 35.8, "redis": 6.1}
# The host on which each role is measured.
HOSTS_OF = {
    "ethereum": {
        "eth-b": ("hardware_preflight", "baseline", "geth", "prysm", "chain_health"),
        "eth-c": ("devnet", "devnet_validators"),
        "mirror-c": ("artifact_mirror",),
        "lb-b": ("haproxy", "keepalived"),
    },
    "data": {
        "db-c": ("host_certificate", "etcd", "postgresql", "pgbackrest", "redis", "redis_sentinel"),
        "ts-a": ("influxdb",),
        "lb-d2": ("haproxy", "pgbouncer"),
    },
}
HOSTS = HOSTS_OF.get(LAYERS[0], {})


def timed(*arguments: str) -> tuple[dict[str, list[float]], float, str]:
    """(the seconds of every task by role, seconds in all, output) of a run of the site's playbook."""
    argv = LAB.command(SITE, *arguments)
    # banners of tasks are printed when these begin, and not first at their first result
    env = os.environ | {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "true"}
    started = since = time.monotonic()
    seconds: dict[str, list[float]] = defaultdict(list)
    role, said = "", []
    with subprocess.Popen(argv, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as run:
        assert run.stdout
        for line in run.stdout:
            said.append(line)
            banner = BANNER.match(line)
            if not banner:
                continue
            now = time.monotonic()
            if role:
                seconds[role].append(now - since)
            name = banner["name"] or ""
            role = name.split(" : ")[0].removeprefix("chainops.infra.") if name.startswith("chainops.infra.") else ""
            since = now
    output = "".join(said)
    assert run.returncode == 0, output[-4000:]
    changed = {match["host"]: match["changed"] for match in RECAP.finditer(output) if match["changed"] != "0"}
    assert not changed, f"not a run that changes nothing: {changed}"
    return seconds, time.monotonic() - started, output


def record(case: results.Case) -> None:
    case.passed = not case.over_limit()
    results.save("bench", [case], full_length=True)
    print(f"\n{case.case}: {case.figures}")


@pytest.mark.parametrize("host", HOSTS)
def test_roles(host: str) -> None:
    rounds = [timed(f"--limit={host}")[0] for _round in range(ROUNDS)]
    over = []
    for role in HOSTS[host]:
        assert all(seconds.get(role) for seconds in rounds), f"{role} did not run on {host}"
        took = statistics.median(sum(seconds[role]) for seconds in rounds)
        case = results.Case(
            # the balancers of two layers run the same role
            f"no-op-{role}-{host}" if role == "haproxy" and host in HOSTS_OF["data"] else f"no-op-{role}",
            figures={"seconds": round(took, 2), "tasks": len(rounds[0][role])},
            limits={"seconds": OWN_SECONDS.get(role, ROLE_SECONDS)},
            note=f"its own tasks on {host}, median of {ROUNDS} runs",
        )
        if role in OTHERS_SECONDS:
            case.figures |= {"other_role_s": OTHERS_SECONDS[role], "ratio": round(took / OTHERS_SECONDS[role], 3)}
        record(case)
        over += [f"{role}: {problem}" for problem in case.over_limit()]
    assert not over, over


def test_site() -> None:
    seconds, elapsed, output = timed()
    case = results.Case(
        "no-op-site",
        figures={
            "seconds": round(elapsed, 1),
            "tasks": sum(len(taken) for taken in seconds.values()),
            "hosts": len(RECAP.findall(output)),
        },
        limits={"seconds": SITE_SECONDS[LAYERS[0]]},
        note="from the command to its end",
    )
    record(case)
    assert case.passed, case.over_limit()
