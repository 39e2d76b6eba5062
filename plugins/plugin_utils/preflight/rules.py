# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""roles/<role>/meta/preflight.yml: what an argument spec cannot say.

ranges:   {geth_p2p_port: [1, 65535]}            inclusive; null leaves one end open
patterns: {geth_network_id: {regex: '…', means: 'a hexadecimal hash of 32 bytes'}}   the whole value must match
ports:    {geth_p2p_port: tcp+udp}               must be 1-65535 (0 is off), and no two ports of one host may be equal
          {geth_ws_port: {protocol: tcp, when: geth_ws_enabled}}
release:  geth_releases                          geth_version names an entry of it, which is whole (see releases.py)
known:    [geth_note]                            names with the role's prefix that are no options
checks:   [{that: …, message: …, when: …}]       on every host, with its variables
site:     [{that: …, message: …, when: …}]       once, with preflight_hosts: [{name, group_names, <option>, site_*}]
          [{agree: [geth_history], among: …, message: …}]     these hosts have equal values
          [{unique: [keepalived_address], among: …, message: …}]   no two hosts have the same value

A name may be a path into a dictionary (policy.max_age_slots); a list is checked item by item. A file that is a list
holds checks only.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from .mistake import show
from .spec import Problem

KEYS = ("ranges", "patterns", "ports", "release", "known", "checks", "site")
RELEASES = "_releases"
# What is beside <role>_releases: <role>_version, and of the others those that the role has.
RELEASE_PATTERNS = {
    "version": {"regex": "[0-9A-Za-z][0-9A-Za-z._+-]*", "means": "a version: letters, digits, '.', '_', '+' and '-'"},
    "release_checksum": {
        "regex": "(sha256:[0-9a-f]{64})?",
        "means": "empty, or sha256: and 64 lower-case hexadecimal digits",
    },
    "release_base_url": {
        "regex": r"(https://[^\s?#@]+)?",
        "means": "empty, or the URL of a mirror that begins with https://",
    },
    "release_ca_path": {"regex": r"(/[^\s]+)?", "means": "empty, or an absolute path on the host"},
}
CHECK_KEYS = {"that", "message", "when"}
COMPARISON_KEYS = {"agree", "unique", "among", "message", "when"}
PROTOCOLS = ("tcp", "udp", "tcp+udp")


@dataclass
class Rules:
    """The parsed file; errors is what is wrong with the file itself."""

    ranges: dict[str, list[t.Any]] = field(default_factory=dict)
    patterns: dict[str, dict[str, str]] = field(default_factory=dict)
    ports: dict[str, t.Any] = field(default_factory=dict)
    release: str = ""
    known: list[str] = field(default_factory=list)
    checks: list[dict[str, t.Any]] = field(default_factory=list)
    site: list[dict[str, t.Any]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def parse(data: t.Any) -> Rules:
    """Rules from the content of meta/preflight.yml (None for an absent or empty file)."""
    if data is None:
        return Rules()
    if isinstance(data, list):
        data = {"checks": data}
    if not isinstance(data, dict):
        return Rules(errors=["is neither a dictionary nor a list of checks"])
    rules = Rules(**{key: data[key] for key in KEYS if data.get(key)})
    rules.ports = {name: port if isinstance(port, dict) else {"protocol": port} for name, port in rules.ports.items()}
    rules.errors = [f"has the unknown key {key}: known are {', '.join(KEYS)}" for key in data if key not in KEYS]
    rules.errors += check_form(rules)
    return rules


def check_form(rules: Rules) -> list[str]:
    """What is wrong with the rules themselves; a rule that cannot be read would otherwise never find anything."""
    errors = []
    for name, bounds in rules.ranges.items():
        if (
            not isinstance(bounds, list)
            or len(bounds) != 2
            or not all(bound is None or isinstance(bound, (int, float)) for bound in bounds)
        ):
            errors.append(f"ranges: {name} must be [lowest, highest], got {show(bounds)}")
    for name, pattern in rules.patterns.items():
        try:
            re.compile(pattern["regex"])
            str(pattern["means"])
        except (TypeError, KeyError, re.error) as error:
            errors.append(f"patterns: {name} must be {{regex, means}}: {error!r}")
    for name, port in rules.ports.items():
        if port.get("protocol") not in PROTOCOLS or not set(port) <= {"protocol", "when"}:
            errors.append(
                f"ports: {name} must be one of {', '.join(PROTOCOLS)} or {{protocol, when}}, got {show(port)}"
            )
    if not isinstance(rules.release, str) or (rules.release and not rules.release.endswith(RELEASES)):
        errors.append(f"release must name a variable that ends in {RELEASES}, got {show(rules.release)}")
        rules.release = ""
    for index, item in enumerate(rules.checks):
        if not isinstance(item, dict) or not {"that", "message"} <= set(item) <= CHECK_KEYS:
            errors.append(f"checks[{index}] must be {{that, message, when}}, got {show(item)}")
    for index, item in enumerate(rules.site):
        good = isinstance(item, dict) and (
            {"that", "message"} <= set(item) <= CHECK_KEYS
            or (("agree" in item) != ("unique" in item) and "message" in item and set(item) <= COMPARISON_KEYS)
        )
        if not good:
            errors.append(f"site[{index}] must be {{that, message, when}} or {{agree | unique, among, message, when}}")
    return errors


def release_option(release: str, part: str) -> str:
    """The option beside <role>_releases, as version for geth_version."""
    return f"{release.removesuffix(RELEASES)}_{part}"


def release_patterns(release: str, options: t.Container[str]) -> dict[str, dict[str, str]]:
    """The patterns that come with a release, of the options that the role has."""
    if not release:
        return {}
    patterns = {release_option(release, part): pattern for part, pattern in RELEASE_PATTERNS.items()}
    return {name: pattern for name, pattern in patterns.items() if name in options}


def option_of(name: str) -> str:
    """The option a path such as policy.max_age_slots belongs to."""
    return name.split(".", maxsplit=1)[0]


def leaves(name: str, value: t.Any) -> list[tuple[str, t.Any]]:
    """(path, value) of everything a name stands for: dictionary keys by dots, every item of a list."""
    found = [(option_of(name), value)]
    for key in name.split(".")[1:]:
        found = spread(found)
        if key == "*":
            found = [(f"{at}.{k}", v) for at, item in found if isinstance(item, dict) for k, v in item.items()]
        else:
            found = [(f"{at}.{key}", item[key]) for at, item in found if isinstance(item, dict) and key in item]
    return [(at, item) for at, item in spread(found) if item is not None]


def spread(found: list[tuple[str, t.Any]]) -> list[tuple[str, t.Any]]:
    result: list[tuple[str, t.Any]] = []
    for at, item in found:
        if isinstance(item, (list, tuple)):
            result += [(f"{at}[{index}]", each) for index, each in enumerate(item)]
        else:
            result.append((at, item))
    return result


def check_range(name: str, bounds: list[t.Any], value: t.Any, hidden: bool = False) -> list[Problem]:
    """Numbers outside of [lowest, highest]; what is no number at all is the argument spec's business."""
    lowest, highest = bounds
    problems = []
    for path, item in leaves(name, value):
        try:
            number = float(item)
        except (TypeError, ValueError):
            continue
        if (lowest is not None and number < lowest) or (highest is not None and number > highest):
            problems.append(Problem(path, f"= {show(item, hidden)}: must be {range_words(lowest, highest)}"))
    return problems


def range_words(lowest: t.Any, highest: t.Any) -> str:
    if lowest is None:
        return f"at most {highest}"
    return f"at least {lowest}" if highest is None else f"from {lowest} to {highest}"


def check_pattern(name: str, pattern: dict[str, str], value: t.Any, hidden: bool = False) -> list[Problem]:
    """Values of which the whole text does not match; an empty string is a value like any other."""
    return [
        Problem(path, f"= {show(item, hidden)}: must be {pattern['means']}")
        for path, item in leaves(name, value)
        if not isinstance(item, (dict, list)) and not re.fullmatch(pattern["regex"], str(item))
    ]


def port_numbers(name: str, protocol: str, value: t.Any) -> list[tuple[str, str, int]]:
    """(path, protocol, port) of every port a name stands for; 0 means off."""
    return [
        (path, each, int(item))
        for path, item in leaves(name, value)
        for each in protocol.split("+")
        if isinstance(item, int) and not isinstance(item, bool) and item > 0
    ]
