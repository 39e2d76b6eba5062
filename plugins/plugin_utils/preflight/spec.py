# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One value against one option of an argument spec.

Ansible's own validation converts a value for itself, but the role then reads the variable as it was written: the
string "no" is true in a template, and a string where a list belongs is read letter by letter. So this is stricter
where conversion would hide a mistake: booleans, lists and dictionaries have to be what they are.
"""

from __future__ import annotations

import typing as t
from collections.abc import Callable

from ansible.module_utils.common.validation import (
    check_mutually_exclusive,
    check_required_by,
    check_required_if,
    check_required_one_of,
    check_required_together,
    check_type_bits,
    check_type_bytes,
    check_type_float,
    check_type_int,
    check_type_jsonarg,
)

from .mistake import did_you_mean, show

TYPES = {
    "str": "a string",
    "path": "a path",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "dict": "a dictionary",
    "bytes": "a size such as 512M or 4G",
    "bits": "a size in bits such as 10Mb",
    "json": "JSON",
    "jsonarg": "JSON",
    "raw": "any value",
}
CONVERTERS: dict[str, Callable[[t.Any], t.Any]] = {
    "int": check_type_int,
    "float": check_type_float,
    "bytes": check_type_bytes,
    "bits": check_type_bits,
    "json": check_type_jsonarg,
    "jsonarg": check_type_jsonarg,
}
CONSTRAINTS: dict[str, Callable[[t.Any, dict[str, t.Any]], t.Any]] = {
    "mutually_exclusive": check_mutually_exclusive,
    "required_by": check_required_by,
    "required_if": check_required_if,
    "required_one_of": check_required_one_of,
    "required_together": check_required_together,
}


class Problem(t.NamedTuple):
    """What is wrong with a value: the path of the value ("geth_peers[0].port"), what was given, what is allowed."""

    path: str
    text: str


def check_value(path: str, spec: dict[str, t.Any], value: t.Any, hidden: bool = False) -> tuple[t.Any, list[Problem]]:
    """The value as the option's type, and what is wrong with it.

    spec is one option of an argument spec (type, elements, choices, options, required, no_log …). The returned value
    is only good if there is no problem.
    """
    hidden = hidden or bool(spec.get("no_log"))
    kind = spec.get("type", "str")
    if value is None:
        wrong = spec.get("required") or spec.get("default") is not None
        return None, [Problem(path, f"= null: {allowed(spec)}")] if wrong else []
    try:
        value = convert(kind, value)
    except (TypeError, ValueError):
        return value, [
            Problem(path, f"= {show(value, hidden or holds_secret(spec))}: {allowed(spec)}{hint(kind, value)}")
        ]

    if kind == "list":
        return check_list(path, spec, value, hidden)
    if kind == "dict" and spec.get("options") is not None:
        return check_dict(path, spec, value, hidden)
    choices = spec.get("choices")
    if choices and value not in choices:
        near = did_you_mean(str(value), (str(item) for item in choices))
        return value, [Problem(path, f"= {show(value, hidden)}: {allowed(spec)}{near}")]
    return value, []


def holds_secret(spec: dict[str, t.Any]) -> bool:
    """Whether an option, or one of its suboptions, is marked no_log: its value is not shown then."""
    return bool(spec.get("no_log")) or any(
        holds_secret(option or {}) for option in (spec.get("options") or {}).values()
    )


def convert(kind: str, value: t.Any) -> t.Any:
    """The value as this type of an argument spec; TypeError or ValueError if it is of another."""
    if kind in ("str", "path"):
        if isinstance(value, (dict, list, tuple, set)):
            raise TypeError(kind)
        return value if isinstance(value, str) else str(value)
    if kind == "bool" and not isinstance(value, bool):
        raise TypeError(kind)
    if kind == "dict" and not isinstance(value, dict):
        raise TypeError(kind)
    if kind == "list" and not isinstance(value, (list, tuple)):
        raise TypeError(kind)
    if kind in ("int", "float", "bytes", "bits") and isinstance(value, (bool, dict, list)):
        raise TypeError(kind)
    return CONVERTERS[kind](value) if kind in CONVERTERS else value


def allowed(spec: dict[str, t.Any]) -> str:
    """What an option accepts, in words."""
    if spec.get("choices"):
        words = "one of " + ", ".join(show_choice(item) for item in spec["choices"])
        return f"every item must be {words}" if spec.get("type") == "list" else f"must be {words}"
    words = TYPES.get(spec.get("type", "str"), spec.get("type", "str"))
    if spec.get("type") == "list" and spec.get("elements"):
        words += f" of {spec['elements']}"
    return f"must be {words}"


def show_choice(value: t.Any) -> str:
    return value if isinstance(value, str) else show(value)


def hint(kind: str, value: t.Any) -> str:
    """What to do about a value whose type is nearly right."""
    if kind == "bool" and isinstance(value, str) and value.lower() in ("true", "false", "yes", "no", "on", "off"):
        return " without quotes (on the command line: -e '{\"name\": true}', since -e name=true is a string)"
    return ""


def check_list(path: str, spec: dict[str, t.Any], value: t.Any, hidden: bool) -> tuple[t.Any, list[Problem]]:
    element: dict[str, t.Any] = {key: spec[key] for key in ("choices", "options", *CONSTRAINTS) if key in spec}
    element["type"] = spec.get("elements", "raw")
    items: list[t.Any] = []
    problems: list[Problem] = []
    for index, item in enumerate(value):
        at = f"{path}[{index}]"
        if item is None and element["type"] != "raw":
            problems.append(Problem(at, f"= null: {allowed(element)}"))
            continue
        converted, found = check_value(at, element, item, hidden)
        items.append(converted)
        problems += found
    return items, problems


def check_dict(path: str, spec: dict[str, t.Any], value: dict[str, t.Any], hidden: bool) -> tuple[t.Any, list[Problem]]:
    options = spec["options"]
    known = {alias: name for name, option in options.items() for alias in [name, *(option or {}).get("aliases", [])]}
    result = {name: option.get("default") for name, option in options.items()}
    problems: list[Problem] = []
    for key, item in value.items():
        if key not in known:
            near = did_you_mean(str(key), known)
            problems.append(Problem(f"{path}.{key}", f"is unknown: {path} takes {', '.join(sorted(options))}{near}"))
            continue
        result[known[key]], found = check_value(f"{path}.{key}", options[known[key]] or {}, item, hidden)
        problems += found
    given = {known[key] for key in value if key in known}
    for name, option in options.items():
        if option.get("required") and name not in given:
            problems.append(Problem(f"{path}.{name}", f"is missing: {allowed(option)}"))
    for name, check in CONSTRAINTS.items():
        try:
            check(spec.get(name), {key: item for key, item in result.items() if key in given})
        except TypeError as error:
            problems.append(Problem(path, f"= {show(value, hidden or holds_secret(spec))}: {error}"))
    return result, problems
