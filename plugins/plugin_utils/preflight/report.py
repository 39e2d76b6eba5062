# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""All mistakes as one text: a mistake that several hosts share is said once."""

from __future__ import annotations

from collections.abc import Iterable

from .mistake import Mistake


def plural(count: int, word: str) -> str:
    return f"{count} {word}" + ("" if count == 1 else "s")


def report(mistakes: Iterable[Mistake], collection: str) -> str:
    """The text a person reads: per set of hosts the variables, what was given, what is allowed, where it was set."""
    merged: dict[tuple[str, str, str], list[Mistake]] = {}
    for mistake in mistakes:
        merged.setdefault((mistake.role, mistake.variable, mistake.text), []).append(mistake)
    groups: dict[str, list[list[Mistake]]] = {}
    for same in merged.values():
        hosts = ", ".join(dict.fromkeys(mistake.host for mistake in same if mistake.host)) or "site"
        groups.setdefault(hosts, []).append(same)
    lines = [f"{plural(len(merged), 'mistake')} found; nothing was changed on any host."]
    for hosts, entries in groups.items():
        lines += ["", f"{hosts}:"]
        for same in entries:
            first = same[0]
            lines.append("  - " + f"{first.variable} {first.text}".strip())
            places = list(dict.fromkeys(mistake.where for mistake in same if mistake.where))
            if places:
                lines.append(f"    set in {', '.join(places)}")
    roles = sorted({role for role, _variable, _text in merged if role})
    if roles:
        lines += ["", "Every option is described in"]
        lines += [f"  roles/{role}/README.md (ansible-doc -t role {collection}.{role})" for role in roles]
    return "\n".join(lines)
