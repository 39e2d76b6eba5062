# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""All mistakes as one text: a mistake that several hosts share is said once."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable

from .mistake import Mistake


def plural(count: int, word: str) -> str:
    return f"{count} {word}" + ("" if count == 1 else "s")


def merge(mistakes: Iterable[Mistake]) -> list[dict[str, t.Any]]:
    """[{hosts, role, variable, text, where}]: each mistake once, with the hosts and places it was found at."""
    merged: dict[tuple[str, str, str], dict[str, t.Any]] = {}
    for mistake in mistakes:
        key = (mistake.role, mistake.variable, mistake.text)
        entry = merged.setdefault(key, dict(zip(("role", "variable", "text"), key, strict=True), hosts=[], where=[]))
        if mistake.host and mistake.host not in entry["hosts"]:
            entry["hosts"].append(mistake.host)
        entry["where"] += [place for place in mistake.where if place not in entry["where"]]
    return list(merged.values())


def report(mistakes: Iterable[Mistake], collection: str) -> str:
    """The text a person reads: per set of hosts the variables, what was given, what is allowed, where it was set."""
    merged = merge(mistakes)
    groups: dict[str, list[dict[str, t.Any]]] = {}
    for entry in merged:
        groups.setdefault(", ".join(entry["hosts"]) or "the site as a whole", []).append(entry)
    lines = [f"{plural(len(merged), 'mistake')} found; nothing was changed on any host."]
    for hosts, entries in groups.items():
        lines += ["", f"{hosts}:"]
        for entry in entries:
            lines.append("  - " + f"{entry['variable']} {entry['text']}".strip())
            if entry["where"]:
                lines.append(f"    set in {', '.join(entry['where'])}")
    roles = sorted({entry["role"] for entry in merged if entry["role"]})
    if roles:
        lines += ["", "Every option is described in"]
        lines += [f"  roles/{role}/README.md (ansible-doc -t role {collection}.{role})" for role in roles]
    return "\n".join(lines)


def merge_notes(notes: Iterable[tuple[str, str]]) -> list[str]:
    """Notes (host, text) as "text (hosts)", each text once."""
    merged: dict[str, list[str]] = {}
    for host, text in notes:
        merged.setdefault(text, []).append(host)
    return [f"{text} ({', '.join(dict.fromkeys(hosts))})" for text, hosts in merged.items()]
