# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Hold up packets between ends of links: start and end the relay process that does it.

Not by tc: its netem discipline is missing from many kernels (those of small virtual machines above all), and cannot
tell one sender from another without more of them.
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

from ..lab import network
from ..lab.cgroup import Cgroup
from ..lab.shell import LabError, environment, run, write
from ..lab.site import Site
from .journal import Entry

KIND = "delay"
GROUP = "+delay"  # no host can have that name
READY_TIMEOUT = 10
SPECIAL = ("machine", "outside")
INDEX_MAX = 63  # what the DSCP field holds
PYTHON = "/usr/bin/python3"


def indices(entries: list[Entry]) -> dict[str, int]:
    """The number by which each sender of delayed packets is known in their DSCP field."""
    senders = sorted({one for entry in entries if entry.kind == KIND for one, _other in entry.data["pairs"]})
    if len(senders) > INDEX_MAX:
        raise LabError(f"packets of {len(senders)} senders cannot be told apart, at most {INDEX_MAX}")
    return {sender: number for number, sender in enumerate(senders, start=1)}


def taps(site: Site, host: str) -> tuple[str, str]:
    """The two tap devices of a host's relay: the host's side, the region's side."""
    name = site.machine(host).link.removeprefix("vb-")
    return f"dh-{name}", f"dn-{name}"


def plan(site: Site, entries: list[Entry]) -> list[dict[str, Any]]:
    """What the relay process is to do, host by host; empty when nothing is delayed."""
    numbers = indices(entries)
    inbound: dict[str, dict[int, Any]] = {}
    outbound: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if entry.kind != KIND:
            continue
        delay = {"ms": entry.data["ms"], "jitter_ms": entry.data["jitter_ms"]}
        for one, other in entry.data["pairs"]:
            if other in SPECIAL:
                _longest(outbound.setdefault(one, {}), other, delay)
            else:
                _longest(inbound.setdefault(other, {}), numbers[one], delay)
    relays = []
    for host in sorted(inbound.keys() | outbound.keys()):
        host_tap, net_tap = taps(site, host)
        relays.append(
            {
                "link": site.machine(host).link,
                "host_tap": host_tap,
                "net_tap": net_tap,
                "bridge": host_tap.replace("dh-", "db-"),
                "region_bridge": site.spec.bridge(site.spec.hosts[host].region),
                "network": site.spec.network,
                "gateways": [site.spec.gateway(region) for region in site.spec.regions],
                "inbound": inbound.get(host, {}),
                "outbound": outbound.get(host, {}),
            }
        )
    return relays


def _longest(delays: dict[Any, Any], key: Any, delay: dict[str, float]) -> None:
    if key not in delays or delays[key]["ms"] < delay["ms"]:
        delays[key] = delay


def apply(site: Site, entries: list[Entry]) -> None:
    """Make the relay process the one that these entries need."""
    config = site.directory / "delay.json"
    wanted = plan(site, entries)
    had = json.loads(config.read_text(encoding="utf-8")) if config.exists() else []
    group = Cgroup(site.spec.prefix, GROUP)
    if json.loads(json.dumps(wanted)) == had and group.populated == bool(wanted):
        return
    group.kill()
    group.remove()
    for relay in had:
        if Path("/sys/class/net", relay["link"]).exists():
            run(["ip", "link", "set", relay["link"], "master", relay["region_bridge"]])
        if Path("/sys/class/net", relay["bridge"]).exists():
            run(["ip", "link", "delete", relay["bridge"]])
    config.with_suffix(".ready").unlink(missing_ok=True)
    write(config, json.dumps(wanted))
    if not wanted:
        config.unlink()
        return
    for relay in wanted:
        network.add_bridge(relay["bridge"], network.delays_group(site.spec.prefix))
        run(["ip", "link", "set", relay["bridge"], "up"])
    _start(site, group, config)


def _start(site: Site, group: Cgroup, config: Path) -> None:
    log = site.directory / "delay.log"
    enter = group.make()[0]
    script = f"echo $$ > '{enter}' && exec {PYTHON} '{Path(__file__).with_name('relay.py')}' '{config}'"
    with log.open("wb") as output:
        subprocess.run(
            ["setsid", "--fork", "sh", "-c", script],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(),
            cwd="/",
        )
    deadline = time.monotonic() + READY_TIMEOUT
    while not config.with_suffix(".ready").exists():
        if time.monotonic() > deadline:
            said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
            raise LabError(
                f"the relay that delays packets did not start ({site.directory}/delay.log): {' '.join(said)}"
            )
        time.sleep(0.02)
