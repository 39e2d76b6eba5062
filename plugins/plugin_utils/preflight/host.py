# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One role on one host: every option's value worked out and checked, then the role's cross-checks."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible.errors import AnsibleError

from .collection import Role
from .mistake import Mistake, from_vault, origin
from .releases import check_release
from .rules import check_pattern, check_range, option_of, port_numbers, release_option, release_patterns
from .scope import NeedsFacts, Scope, Unset, reason, templates
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

    def option_may_read_facts(self, name: str) -> bool:
        """Whether an option's value, as it was found, may read facts."""
        given = [self.raw[key] for key in self.keys_of(name)]
        return bool(given) and self.scope.may_read_facts(list(templates(given[0])))

    def may_read_facts(self, rule: dict[str, t.Any], options: set[str]) -> bool:
        """Whether a rule may read facts, where these options do."""
        read = expressions(rule)
        return self.mentions(read, options) or self.scope.may_read_facts(read)

    def keys_of(self, name: str) -> list[str]:
        """The variables that are set for an option: of its own name, or of an alias."""
        return [key for key in [name, *(self.role.options[name].get("aliases") or [])] if key in self.raw]

    def where(self, name: str) -> tuple[str, ...]:
        """Where the inventory set an option; nowhere for a role's default."""
        place = origin(self.raw.get(name), outside=self.role.path)
        return (place,) if place else ()


def check_role(host: str, role: Role, scope: Scope, again: bool = False) -> RoleOnHost:
    """Check one role on one host; again, where only facts are new since it was found good: only what may read them."""
    result = RoleOnHost(host, role, scope, scope, raw=scope.variables)
    result.hidden = {name for name, option in role.options.items() if holds_secret(option)}
    checks, site = role.rules.checks, role.rules.site
    options = set(role.options)
    if again:
        options = {name for name in options if result.option_may_read_facts(name)}
        checks = [check for check in checks if result.may_read_facts(check, options)]
        site = []
        beside = {role.rules.release, *release_patterns(role.rules.release, role.options)}
        options |= beside & set(role.options) if beside & options else set()
        options |= set(role.options) & role.reads([checks, site])
    for error in role.errors:
        result.mistake("", error)
    for name, option in role.options.items():
        if name in options:
            check_option(result, name, option)
    with_values = scope.with_values(result.values)
    result.shown = with_values.masked(result.hidden)
    # Variables of the role's own that several checks read are worked out once.
    read = role.reads([checks, site])
    result.scope = with_values.settled(name for name in role.variables if name in read)
    check_rules(result)
    for problem, about in check_release(role.rules.release, role.options, result.values, result.hidden):
        result.mistake(problem.path, problem.text, tuple(place for name in about for place in result.where(name)))
    for check in checks:
        run_check(result, check)
    return result


def expressions(rule: dict[str, t.Any]) -> list[t.Any]:
    """What a check reads, or a rule of the site, apart from its message."""
    return [rule[key] for key in ("that", "among", "when", "agree", "unique") if rule.get(key) is not None]


def check_option(result: RoleOnHost, name: str, option: dict[str, t.Any]) -> None:
    names = result.keys_of(name)
    try:
        if not names:
            raise Unset
        if result.scope.lacks_facts(list(templates(result.raw[names[0]]))):
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
    release = [rules.release, release_option(rules.release, "version")] if rules.release else []
    for name in [*rules.ranges, *rules.patterns, *rules.ports, *release]:
        if option_of(name) not in result.role.options:
            result.mistake(name, f"stands in roles/{result.role.name}/meta/preflight.yml but is no option of the role")
    for name, bounds in rules.ranges.items():
        if option_of(name) in values:
            record(result, name, check_range(name, bounds, values[option_of(name)], option_of(name) in hidden))
    for name, pattern in {**rules.patterns, **release_patterns(rules.release, result.role.options)}.items():
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
    if result.mentions(when, result.waiting) or result.scope.lacks_facts(when):
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
        if result.mentions(that, result.waiting) or result.scope.lacks_facts(that):
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
