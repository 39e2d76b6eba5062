# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host said, or the fact that it said nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

ANSWERS = ("patroni", "sizes", "redis", "influxdb")
# name -> what marks an answer of the module that was asked
MARKS = {"patroni": "members", "sizes": "databases", "redis": "master", "influxdb": "databases"}


@dataclass
class Heard:
    """``asked`` is false where the play left the host out, ``reached`` where nobody got to it."""

    name: str
    region: str = ""
    asked: bool = False
    reached: bool = False
    why: str = ""
    figures: list[Mapping[str, Any]] = field(default_factory=list)
    files: Mapping[str, float] = field(default_factory=dict)
    endpoints: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    timers: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    answers: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)

    def values(self, name: str, **labels: str) -> Iterator[tuple[Mapping[str, str], float]]:
        for figure in self.figures:
            if figure["name"] == name and all(figure["labels"].get(key) == value for key, value in labels.items()):
                yield figure["labels"], float(figure["value"])

    def value(self, name: str, **labels: str) -> float | None:
        return next((value for _labels, value in self.values(name, **labels)), None)

    @property
    def silence(self) -> str:
        """Why there is nothing of it, in a word for a table."""
        if not self.asked:
            return "not asked"
        return "" if self.reached else "unreachable"


def limit_of(hosts: list[Heard], timer: str, otherwise: float) -> float:
    """The age that is too old for what a timer makes: twice its period, or its longest pause and half a period."""
    for host in hosts:
        found = host.timers.get(timer)
        if found:
            return max(2 * found["period"], found["longest"] + found["period"] / 2)
    return 2 * otherwise


def hear(name: str, hostvars: Mapping[str, Any], prefix: str) -> Heard:
    known = hostvars[name]
    heard = Heard(str(name), str(known.get("site_region") or ""))
    answer = known.get(f"{prefix}_metrics")
    if not isinstance(answer, Mapping):
        return heard
    heard.asked = True
    if answer.get("unreachable"):
        # ssh's own words, without Ansible's around them
        heard.why = f"not reached by ssh: {text_of(answer).rpartition('ssh: ')[2]}"
        return heard
    if "samples" not in answer:
        heard.why = f"could not be asked: {text_of(answer)}"
        return heard
    heard.reached = True
    heard.figures = list(answer.get("samples") or [])
    heard.files, heard.timers = answer.get("files") or {}, answer.get("timers") or {}
    heard.endpoints = answer.get("endpoints") or {}
    for what in ANSWERS:
        more = known.get(f"{prefix}_{what}")
        if not isinstance(more, Mapping) or more.get("skipped"):
            continue
        if MARKS[what] in more:
            heard.answers[what] = more
        else:
            heard.refusals[what] = text_of(more)
    return heard


def text_of(answer: Mapping[str, Any]) -> str:
    return " ".join(str(answer.get("msg") or "no reason was given").split())[:300]


def hear_all(names: list[str], hostvars: Mapping[str, Any], prefix: str) -> list[Heard]:
    return [hear(name, hostvars, prefix) for name in names]
