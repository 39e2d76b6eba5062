# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Cut and loosen the links between hosts.

A packet is marked with the host it enters the machine from and dropped where it would leave to another, so a cut holds
for everything between the two: addresses that move, multicast, ARP. Rules name interfaces, so they hold for a host that
boots again. The rules are always made anew from the journal, never edited.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..lab import network
from ..lab.shell import LabError, run
from ..lab.site import Site
from . import delays
from .journal import Entry

MACHINE, OUTSIDE = "machine", "outside"
MAGIC = 0x4C420000
MARKS = {MACHINE: MAGIC | 0xFFFE, OUTSIDE: MAGIC | 0xFFFF}
KINDS = ("partition", "loss", delays.KIND)
HOOKS = {
    "bridge": {"enter": "prerouting priority -150", "leave": "postrouting priority -150"},
    "inet": {
        "bridged": "prerouting priority -300",  # before connections are tracked
        "to_machine": "input priority -150",
        "from_machine": "output priority -150",
        "across": "forward priority -150",
    },
}


def ends(site: Site, names: Iterable[str]) -> list[str]:
    """Hosts, regions, ``machine`` and ``outside`` resolved to hosts and the two special ends."""
    found: dict[str, None] = {}
    for name in names:
        if name in site.spec.hosts or name in MARKS:
            found[name] = None
        elif name in site.spec.regions:
            found.update(dict.fromkeys(host.name for host in site.spec.hosts.values() if host.region == name))
        else:
            raise LabError(
                f"{name!r} is no end of a link; hosts: {', '.join(site.spec.hosts)}; regions: "
                f"{', '.join(site.spec.regions)}; also {MACHINE} and {OUTSIDE}"
            )
    return list(found)


def pairs(site: Site, left: Iterable[str], right: Iterable[str], one_way: bool) -> list[list[str]]:
    """Every (from, to) between the two sets, both directions unless one way."""
    ones, others = ends(site, left), ends(site, right)
    both = [name for name in ones if name in others]
    if both:
        raise LabError(f"{', '.join(both)} would be on both sides of the cut")
    if not ones or not others:
        raise LabError("a cut needs at least one end on each side")
    there = [[one, other] for one in ones for other in others]
    return there if one_way else there + [[other, one] for one, other in there]


def ruleset(site: Site, entries: list[Entry]) -> str:
    """All cuts and losses of the journal as one nftables script; only the removal when there are none."""
    name = network.faults_table(site.spec.prefix)
    script = "".join(f"table {family} {name}\ndelete table {family} {name}\n" for family in ("bridge", "inet"))
    drops: dict[tuple[str, str], Any] = {}
    for entry in entries:
        if entry.kind in KINDS and entry.kind != delays.KIND:
            for one, other in entry.data["pairs"]:
                share = entry.data.get("percent", 100)
                drops[one, other] = max(share, drops.get((one, other), 0))
    senders = delays.indices(entries)
    if not drops and not senders:
        return script
    bridges = ", ".join(f'"{site.spec.bridge(region)}"' for region in site.spec.regions)
    bridges = f"{{ {bridges} }}"
    chains: dict[str, list[str]] = {
        "enter": [],
        "leave": [],
        "bridged": [],
        "to_machine": [],
        "from_machine": [f"oifname {bridges} meta mark set {MARKS[MACHINE]:#x}"],
        "across": [f"iifname != {bridges} oifname {bridges} meta mark set {MARKS[OUTSIDE]:#x}"],
    }
    for one in sorted({one for one, _other in drops if one not in MARKS}):
        chains["enter"].append(f"iifname {_ports(site, one)} meta mark set {mark(site, one):#x}")
    if senders:
        # Where bridged packets are tracked too (br_netfilter), those on the bridge of a delayed host would be taken for
        # connections that need no masquerading, before they are routed.
        chains["bridged"] = [f'iifname "{relay["bridge"]}" notrack' for relay in delays.plan(site, entries)]
        # Of every end, since hosts use the field themselves.
        chains["enter"] += [f"iifname {_ports(site, one)} ip dscp set {senders.get(one, 0)}" for one in site.spec.hosts]
        chains["from_machine"].append(f"oifname {bridges} ip dscp set {senders.get(MACHINE, 0)}")
        chains["across"].append(f"iifname != {bridges} oifname {bridges} ip dscp set {senders.get(OUTSIDE, 0)}")
    for (one, other), share in sorted(drops.items()):
        chance = "" if share >= 100 else f"numgen random mod 10000 < {round(share * 100)} "
        drop = f"meta mark {mark(site, one):#x} {chance}counter drop"
        if other == MACHINE:
            chains["to_machine"].append(drop)
        elif other == OUTSIDE:
            chains["across"].append(f"oifname != {bridges} {drop}")
        else:
            chains["leave"].append(f"oifname {_ports(site, other)} {drop}")
    for family, hooks in HOOKS.items():
        body = "".join(_chain(title, hook, chains[title]) for title, hook in hooks.items())
        script += f"table {family} {name} {{\n{body}}}\n"
    return script


def _ports(site: Site, host: str) -> str:
    """A host's port on its region's bridge: its link, or what the relay of delayed packets puts in its place."""
    return f'{{ "{site.machine(host).link}", "{delays.taps(site, host)[1]}" }}'


def _chain(title: str, hook: str, rules: list[str]) -> str:
    lines = "".join(f"    {rule}\n" for rule in rules)
    return f"  chain {title} {{\n    type filter hook {hook}; policy accept;\n{lines}  }}\n"


def mark(site: Site, end: str) -> int:
    """The packet mark of an end."""
    return MARKS.get(end) or MAGIC | site.spec.mark(end)


def apply(site: Site, entries: list[Entry]) -> None:
    """Make the machine's rules those of these entries, and the relay of delayed packets too."""
    run(["nft", "-f", "-"], stdin=ruleset(site, entries))
    delays.apply(site, entries)
