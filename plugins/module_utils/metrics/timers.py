# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How often systemd's timers run, asked of systemd itself, as its calendar has more forms than are worth reading."""

from __future__ import annotations

import datetime
import re
import statistics
import subprocess

# A week of a timer that runs on workdays has its longest pause in it.
ITERATIONS = 8
SECONDS = 10
CALENDAR = re.compile(r"OnCalendar=(?P<expression>.*?) ; next_elapse=")
MOMENT = re.compile(r"(?:Next elapse|Iteration #\d+): \w{3} (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC")


def ask(*words: str) -> str:
    # in UTC an hour is never there twice
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, timeout=SECONDS, env=environment, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def expressions(shown: str) -> dict[str, str]:
    """What ``systemctl show`` says of timers: the first calendar of each that has one."""
    found = {}
    for block in shown.split("\n\n"):
        name = re.search(r"^Id=(.+)\.timer$", block, re.MULTILINE)
        calendar = CALENDAR.search(block)
        if name and calendar:
            found[name[1]] = calendar["expression"].strip()
    return found


def rhythm(shown: str) -> dict[str, float]:
    """Seconds between two runs, in general and at most, from what ``systemd-analyze calendar`` says."""
    moments = [datetime.datetime.strptime(text, "%Y-%m-%d %H:%M:%S") for text in MOMENT.findall(shown)]
    pauses = [(after - before).total_seconds() for before, after in zip(moments, moments[1:], strict=False)]
    return {"period": statistics.median(pauses), "longest": max(pauses)} if pauses else {}


def rhythms(names: list[str]) -> dict[str, dict[str, float]]:
    """That of each timer that this host has."""
    if not names:
        return {}
    known = expressions(ask("systemctl", "show", "--property=Id,TimersCalendar", *[f"{name}.timer" for name in names]))
    found = {}
    for name, expression in known.items():
        answer = rhythm(ask("systemd-analyze", "calendar", f"--iterations={ITERATIONS}", expression))
        if answer:
            found[name] = answer
    return found
