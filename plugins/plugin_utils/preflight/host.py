# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One role on one host: every option's value worked out and checked, then the role's cross-checks."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible.errors import AnsibleError

from .collection import Role
from .mistake import Mistake, from_vault, origin
from .rules import check_pattern, check_range, option_of, port_numbers
from .scope import NeedsFacts, Scope, Unset, reason
from .spec import Problem, allowed, check_value, holds_secret

PORT_RANGE = [0, 65535]


@dataclass
class RoleOnHost:
    """The outcome for one role on one host.

    scope is what expressions are evaluated with, shown what messages are, without secrets.
    raw holds the variables as they were found, values the options that are good, as their types; bad the names of those
    that are not; waiting and notes what could not be looked at yet because it needs facts; hidden the names of options
    that hold secrets: marked no_log, or encrypted in the inventory.
    """

    host: str
    role: Role
    scope: Scope
    shown: Scope
    raw: dict[str, t.Any] = field(default_factory=dict)
    values: dict[str, t.Any] = field(default_factory=dict)
    bad: set[str] = field(default_factory=set)
    waiting: set[str] = field(default_factory=set)
    mistakes: list[Mistake] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    ports: list[tuple[str, str, int]] = field(default_factory=list)
    hidden: set[str] = field(default_factory=set)

    def mistake(self, variable: str, text: str, where: tuple[str, ...] = ()) -> None:
        self.mistakes.append(Mistake(self.host, self.role.name, variable, text, where))

    def mentions(self, expression: t.Any, names: set[str]) -> bool:
        """Whether an expression, or what the role works out for it, reads one of these variables."""
        return bool(names) and not names.isdisjoint(self.role.reads(expression))

    def why(self, error: Exception, expression: t.Any) -> str:
        """The cause of an error, as the end of a sentence; nothing where it could hold a secret."""
        return "" if self.mentions(expression, self.hidden) else f": {reason(error)}"

    def lacks_facts(self, expression: t.Any) -> bool:
        """Whether an expression reads facts, and this host has none yet: whatever it gives then is no answer."""
        return not self.raw.get("ansible_facts") and "ansible_facts" in self.role.reads(expression)

    def where(self, name: str) -> tuple[str, ...]:
        """Where the inventory set an option; nowhere for a role's default."""
        place = origin(self.raw.get(name), outside=self.role.path)
        return (place,) if place else ()


def check_role(host: str, role: Role, scope: Scope) -> RoleOnHost:
    """Check one role on one host."""
    result = RoleOnHost(host, role, scope, scope, raw=scope.variables)
    result.hidden = {name for name, option in role.options.items() if holds_secret(option)}
    for error in role.errors:
        result.mistake("", error)
    for name, option in role.options.items():
        check_option(result, name, option)
    with_values = scope.with_values(result.values)
    result.shown = with_values.masked(result.hidden)
    # Variables of the role's own that several checks read are worked out once.
    read = role.reads([role.rules.checks, role.rules.site])
    result.scope = with_values.settled(name for name in role.variables if name in read)
    check_rules(result)
    for check in role.rules.checks:
        run_check(result, check)
    return result


def check_option(result: RoleOnHost, name: str, option: dict[str, t.Any]) -> None:
    names = [key for key in [name, *(option.get("aliases") or [])] if key in result.scope.variables]
    try:
        if not names:
            raise Unset
        if result.lacks_facts(result.raw[names[0]]):
            raise NeedsFacts
        value = result.scope.template(result.scope.variables[names[0]])
    except Unset:
        if option.get("required"):
            result.bad.add(name)
            result.mistake(name, f"is not set: {allowed(option)}")
        return
    except NeedsFacts:
        result.waiting.add(name)
        result.notes.append(f"{name} needs facts")
        return
    except AnsibleError as error:
        result.bad.add(name)
        result.mistake(name, f"cannot be worked out{result.why(error, name)}", result.where(name))
        return
    if from_vault(value):
        result.hidden.add(name)
    # A suboption that is no secret is shown even if one beside it is.
    hidden = bool(option.get("no_log")) or from_vault(value)
    value, problems = check_value(name, option, value, hidden)
    record(result, name, problems)
    if not problems:
        result.values[name] = value


def record(result: RoleOnHost, name: str, problems: list[Problem]) -> None:
    option = option_of(name)
    for problem in problems:
        result.bad.add(option)
        result.values.pop(option, None)
        result.mistake(problem.path, problem.text, result.where(option))


def check_rules(result: RoleOnHost) -> None:
    """Ranges, patterns and ports of meta/preflight.yml."""
    rules, values, hidden = result.role.rules, result.values, result.hidden
    for name in [*rules.ranges, *rules.patterns, *rules.ports]:
        if option_of(name) not in result.role.options:
            result.mistake(name, f"stands in roles/{result.role.name}/meta/preflight.yml but is no option of the role")
    for name, bounds in rules.ranges.items():
        if option_of(name) in values:
            record(result, name, check_range(name, bounds, values[option_of(name)], option_of(name) in hidden))
    for name, pattern in rules.patterns.items():
        if option_of(name) in values:
            record(result, name, check_pattern(name, pattern, values[option_of(name)], option_of(name) in hidden))
    for name, port in rules.ports.items():
        if option_of(name) not in values:
            continue
        value = values[option_of(name)]
        record(result, name, check_range(name, PORT_RANGE, value))
        if option_of(name) in values and applies(result, port.get("when"), f"the port {name}"):
            result.ports += port_numbers(name, port["protocol"], value)


def applies(result: RoleOnHost, when: t.Any, what: str) -> bool:
    """Whether a rule's condition holds; a condition that cannot be evaluated is a mistake of its own."""
    if when is None:
        return True
    if result.mentions(when, result.bad):
        return False
    if result.mentions(when, result.waiting) or result.lacks_facts(when):
        result.notes.append(f"{what} needs facts")
        return False
    try:
        return result.scope.condition(when)
    except NeedsFacts:
        result.notes.append(f"{what} needs facts")
    except AnsibleError as error:
        result.mistake("", f"{what} of role {result.role.name}: cannot evaluate {when!s}{result.why(error, when)}")
    return False


def run_check(result: RoleOnHost, check: dict[str, t.Any]) -> None:
    """One cross-check. It is left out while an option it reads is wrong by itself: that one is reported already."""
    that, when = check["that"], check.get("when")
    what = f"the check {that!s}"
    if result.mentions([that, when], result.bad) or not applies(result, when, what):
        return
    try:
        if result.mentions(that, result.waiting) or result.lacks_facts(that):
            raise NeedsFacts
        if result.scope.condition(that):
            return
    except NeedsFacts:
        result.notes.append(f"{what} needs facts")
        return
    except AnsibleError as error:
        result.mistake("", f"{what} of role {result.role.name} cannot be evaluated{result.why(error, that)}")
        return
    named = result.role.reads([that, check["message"]])
    read = [name for name in result.role.options if name in named]
    places = tuple(place for name in read for place in result.where(name))
    result.mistake("", message(result.shown, check["message"]), places)


def message(scope: Scope, text: str) -> str:
    """A rule's message with its variables; as written where they cannot be shown."""
    try:
        return " ".join(str(scope.template(text)).split())
    except (AnsibleError, NeedsFacts, Unset):
        return " ".join(str(text).split())
