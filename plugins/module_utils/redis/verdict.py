# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether this host's server is the one that writes belong to (pure).

A server that says ``role:master`` is not enough: one that was frozen while another was made master says so too when it
is thawed. It is primary only while more than half of ALL Sentinels name it, by answers that are young enough. What is
not known counts as no.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .resp import Node
from .topology import majority


@dataclass(frozen=True)
class Said:
    """A server's INFO, and when it was asked (of a monotonic clock)."""

    asked: float
    info: dict[str, str] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class Named:
    """Which master a Sentinel names."""

    asked: float
    master: Node | None = None
    error: str = ""


@dataclass(frozen=True)
class Limits:
    """Seconds: how old an answer may be, and how long a replica may not have heard of its master."""

    max_age: float
    max_lag: float


@dataclass(frozen=True)
class Verdict:
    primary: bool
    replica: bool
    healthy: bool
    votes: int
    reason: str


def judge(own: Node, said: Said | None, named: list[Named | None], now: float, limits: Limits) -> Verdict:
    young = [each for each in named if each and not each.error and now - each.asked <= limits.max_age]
    votes = sum(1 for each in young if each.master == own)
    needed = majority(len(named))
    if said is None or said.error or now - said.asked > limits.max_age:
        why = said.error if said and said.error else "the server does not answer in time"
        return Verdict(False, False, False, votes, why)
    if said.info.get("loading", "0") != "0":
        return Verdict(False, False, False, votes, "the server is loading its data")
    role = said.info.get("role", "")
    if role == "master":
        return _master(votes, needed, len(named), len(young))
    if role != "slave":
        return Verdict(False, False, False, votes, f"the server's role is {role or 'unknown'}")
    return _replica(said, young, needed, votes, limits.max_lag)


def _master(votes: int, needed: int, voters: int, young: int) -> Verdict:
    if votes >= needed:
        return Verdict(True, False, True, votes, f"master, named by {votes} of {voters} Sentinels")
    why = f"says it is master, but {votes} of {voters} Sentinels name it ({young} answer, {needed} are needed)"
    return Verdict(False, False, True, votes, why)


def _replica(said: Said, young: list[Named], needed: int, votes: int, max_lag: float) -> Verdict:
    info = said.info
    try:
        master = Node(info["master_host"], int(info["master_port"]))
        silent = float(info.get("master_last_io_seconds_ago", -1))
    except (KeyError, ValueError):
        return Verdict(False, False, True, votes, "a replica that does not say whose")
    if info.get("master_link_status") != "up" or silent < 0:
        return Verdict(False, False, True, votes, f"replica without a link to {master}")
    if silent > max_lag:
        return Verdict(False, False, True, votes, f"replica that has not heard of {master} for {silent:.0f} s")
    agreeing = sum(1 for each in young if each.master == master)
    if agreeing < needed:
        return Verdict(False, False, True, votes, f"replica of {master}, which the Sentinels do not name")
    return Verdict(False, True, True, votes, f"replica of {master}")
