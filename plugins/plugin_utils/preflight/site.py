# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The whole site: every role of the given layers on every host it is for, then what only shows between hosts."""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass, field
from functools import cache

from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play import Play
from ansible.template import Templar
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from .collection import Applied, Collection, LayerPlay, Role
from .host import RoleOnHost, check_role, expressions, message
from .mistake import HIDDEN, Mistake, origin, show
from .names import owner, unknown
from .places import SITE_OPTIONS, check_addresses, check_place
from .rules import option_of
from .scope import NeedsFacts, Scope, Unset, make_templar, reason
from .spec import Problem

EVERYTHING = "all roles"


@dataclass
class Outcome:
    """Every mistake, what waits for facts (host, what), and how much was looked at.

    waiting names the roles that facts may say more about, or EVERYTHING; True where that is no matter of single options
    and checks, so that all of it has to be looked at again.
    """

    mistakes: list[Mistake] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    waiting: dict[str, bool] = field(default_factory=dict)
    roles: set[str] = field(default_factory=set)
    options: int = 0

    def add(self, result: RoleOnHost) -> None:
        self.mistakes += [mistake for mistake in result.mistakes if mistake not in self.mistakes]
        self.notes += [(result.host, f"role {result.role.name}: {note}") for note in result.notes]
        if result.notes:
            self.waiting.setdefault(result.role.name, False)
        # A port is compared with those of all other roles on its host.
        ports = result.role.rules.ports
        whens = [port["when"] for port in ports.values() if port.get("when")]
        if result.waiting & {option_of(name) for name in ports} or any(map(result.scope.lacks_facts, whens)):
            self.waiting[EVERYTHING] = True
        self.hosts.add(result.host)
        self.roles.add(result.role.name)
        self.options += len(result.role.options)


class Site:
    """Checks layers against the inventory that the running ansible-playbook has loaded."""

    def __init__(
        self,
        collection: Collection,
        inventory: InventoryManager,
        manager: VariableManager,
        loader: DataLoader,
        templar: Templar | None = None,
        *,
        before_facts: bool = False,
    ) -> None:
        self._collection = collection
        self._inventory = inventory
        self._manager = manager
        self._loader = loader
        self._templar = templar or make_templar(loader)
        self._before_facts = before_facts
        self.outcome = Outcome()
        # hostvars[…] works out all variables of a host at each use; during one check they do not change.
        self._hostvars = HostVars(inventory, manager, loader)
        vars(self._hostvars)["raw_get"] = cache(self._hostvars.raw_get)

    def check(self, layers: list[str], only: dict[str, bool] | None = None) -> Outcome:
        """Check these layers and return everything found; a --limit narrows what is reported, not what is compared.

        only is what waited for facts (Outcome.waiting) when all of it was checked without them.
        """
        if only is not None and EVERYTHING in only:
            only = None
        results: list[RoleOnHost] = []
        wanted = {host.name for host in self._inventory.get_hosts("all")}
        for layer in layers:
            for play in self._collection.layer(layer):
                results += self._check_play(play, only)
        for result in results:
            if result.host in wanted:
                self.outcome.add(result)
        reported = [result for result in results if result.host in wanted]
        self._check_ports(reported)
        for role in {result.role.name: result.role for result in reported}.values():
            if only is not None and not only[role.name]:
                continue
            self._check_site_rules(role, [result for result in results if result.role is role], wanted)
        if only is None:
            self._check_names(sorted(self.outcome.hosts))
        return self.outcome

    def _check_play(self, play: LayerPlay, only: dict[str, bool] | None) -> list[RoleOnHost]:
        applied_here = [applied for applied in play.roles if only is None or applied.short_name in only]
        again = {name for name, whole in (only or {}).items() if not whole}
        if not applied_here:
            return []
        public = sorted(name for name in play.variables if not name.startswith("__"))
        if public:
            text = (
                f"of playbooks/layers/{play.layer}.yml set {', '.join(public)}: a layer only sets __layer_* variables"
            )
            self.outcome.mistakes.append(Mistake("", "", f"the vars of play {play.name}", text))
        pattern = self._scope({}).template(play.hosts) if isinstance(play.hosts, str) else play.hosts
        data = {"name": play.name, "hosts": pattern, "gather_facts": False, "vars": play.variables}
        ansible_play = Play.load(data, variable_manager=self._manager, loader=self._loader)
        # As in a run, a role sees the defaults and the vars of every role of its play.
        roles = [self._collection.role(applied.name) for applied in play.roles]
        defaults = {name: value for role in roles for name, value in role.defaults.items()}
        exported = {name: value for role in roles for name, value in role.variables.items()}
        read = {word for value in defaults.values() for word in re.findall(r"__\w+", str(value))}
        play_variables = [name for name in play.variables if name in read]
        results = []
        for host in self._inventory.get_hosts(pattern, ignore_limits=True):
            given = self._manager.get_vars(play=ansible_play, host=host)
            given = {**defaults, **given, **exported, **self._manager.extra_vars}
            scope = self._scope(given)
            # Of one that may read facts, this must still show to whoever looks at what it is used in.
            given = scope.settled(name for name in play_variables if not scope.may_read_facts(name)).variables
            results += [
                result
                for applied in applied_here
                if (result := self._check_applied(host.name, applied, given, applied.short_name in again))
            ]
        return results

    def _check_applied(self, host: str, applied: Applied, given: dict[str, t.Any], again: bool) -> RoleOnHost | None:
        """A role on a host, or None where the role's when says that it is not for this host."""
        role = self._collection.role(applied.name)
        variables = {**role.defaults, **given, **role.variables, **applied.variables, **self._manager.extra_vars}
        variables |= {"role_name": role.name, "role_path": role.path}
        variables["ansible_search_path"] = [role.path, str(self._collection.root / "playbooks" / "layers")]
        scope = self._scope(variables)
        try:
            if applied.when and not scope.condition(applied.when):
                return None
        except NeedsFacts:
            self.outcome.notes.append((host, f"role {role.name}: whether it applies needs facts; checked as if it did"))
            self.outcome.waiting[EVERYTHING] = True
        return check_role(host, role, scope, again)

    def _scope(self, variables: dict[str, t.Any]) -> Scope:
        return Scope(self._templar, variables, self._before_facts)

    def _check_ports(self, results: list[RoleOnHost]) -> None:
        """Two services of one host on one port: whichever starts second fails, and maybe only after a reboot."""
        taken: dict[tuple[str, str, int], str] = {}
        for result in results:
            for path, protocol, port in result.ports:
                other = taken.setdefault((result.host, protocol, port), path)
                if other != path:
                    text = f"= {port}: {other} has the same {protocol} port on this host; every service needs its own"
                    mistake = Mistake(
                        result.host, result.role.name, path, text, result.where(path.split(".")[0].split("[")[0])
                    )
                    if mistake not in self.outcome.mistakes:
                        self.outcome.mistakes.append(mistake)

    def _check_site_rules(self, role: Role, results: list[RoleOnHost], wanted: set[str]) -> None:
        bad = {name for result in results for name in result.bad}
        waiting = {name for result in results for name in result.waiting}
        hosts = [summary(result, result.scope) for result in results] if role.rules.site else []
        masked = [{**host, **dict.fromkeys(r.hidden, HIDDEN)} for host, r in zip(hosts, results, strict=False)]
        for rule in role.rules.site:
            if any(result.may_read_facts(rule, result.waiting) for result in results if not result.scope.has_facts):
                self.outcome.waiting[role.name] = True
            read = role.reads([rule.get(key) for key in ("that", "among", "when")])
            if bad & read:
                continue
            scope = results[0].scope.with_values({"preflight_hosts": hosts})
            shown = results[0].shown.with_values({"preflight_hosts": masked})
            try:
                if waiting & read or scope.lacks_facts(expressions(rule)):
                    raise NeedsFacts
                if rule.get("when") is not None and not scope.condition(rule["when"]):
                    continue
                if "that" in rule:
                    if not scope.condition(rule["that"]):
                        self.outcome.mistakes.append(Mistake("", role.name, "", message(shown, rule["message"])))
                    continue
                among = scope.expression(rule["among"]) if rule.get("among") else [result.host for result in results]
                chosen = [result for result in results if result.host in among]
                self._compare(rule, chosen, message(shown, rule["message"]), wanted)
            except NeedsFacts:
                self.outcome.notes.append(("site", f"role {role.name}: the check {rule.get('that', rule)} needs facts"))
            except AnsibleError as error:
                text = (
                    f"the site check {rule.get('that', rule)} of role {role.name} cannot be evaluated: {reason(error)}"
                )
                self.outcome.mistakes.append(Mistake("", role.name, "", text))

    def _compare(self, rule: dict[str, t.Any], results: list[RoleOnHost], text: str, wanted: set[str]) -> None:
        """Options that have to be equal on these hosts, or different on each."""
        for name in rule.get("agree") or rule["unique"]:
            having = [result for result in results if name in result.values]
            by_value: dict[str, list[RoleOnHost]] = {}
            for result in having:
                by_value.setdefault(show_full(result.values[name]), []).append(result)
            if "agree" in rule:
                wrong = having if len(by_value) > 1 else []
            else:
                empty = {"null", '""', "[]", "{}"}
                wrong = [
                    each for value, same in by_value.items() if len(same) > 1 and value not in empty for each in same
                ]
            if not wanted & {result.host for result in wrong}:
                continue
            differ = ", ".join(f"{each.host} {show(each.values[name], name in each.hidden)}" for each in wrong)
            for each in wrong:
                self.outcome.mistakes.append(
                    Mistake(each.host, each.role.name, name, f"({differ}): {text}", each.where(name))
                )

    def _check_names(self, hosts: list[str]) -> None:
        options = {name: self._collection.role(name).names for name in self._collection.role_names}
        places = {}
        for name in hosts:
            given = self._manager.get_vars(host=self._inventory.get_host(name), include_hostvars=False)
            self.outcome.mistakes += unknown_names(name, given, options)
            places[name] = self._check_place(name, given)
        self.outcome.mistakes += check_addresses(places)

    def _check_place(self, host: str, given: dict[str, t.Any]) -> dict[str, t.Any]:
        """Check the site_* variables of a host; those that are good, and its address."""
        scope = self._scope({**given, "hostvars": self._hostvars})
        good = {}
        for name in [*SITE_OPTIONS, "ansible_host", "ansible_connection"]:
            if name not in given:
                continue
            try:
                if scope.lacks_facts(name):
                    raise NeedsFacts
                good[name] = scope.template(given[name])
                problems = check_place(name, good[name]) if name in SITE_OPTIONS else []
            except NeedsFacts:
                self.outcome.notes.append((host, f"{name} needs facts"))
                self.outcome.waiting[EVERYTHING] = True
                continue
            except (AnsibleError, Unset) as error:
                problems = [Problem(name, f"cannot be worked out: {reason(error)}")]
            where = tuple(filter(None, [origin(given[name])]))
            self.outcome.mistakes += [Mistake(host, "", problem.path, problem.text, where) for problem in problems]
            if problems:
                good.pop(name, None)
        return good


def unknown_names(host: str, given: dict[str, t.Any], options: dict[str, set[str]], only: str = "") -> list[Mistake]:
    """Variables of a host that look like a role's options and are none; only names one role."""
    names = [name for name in given if not only or owner(name, options) == only]
    places = {name: origin(name) or origin(value) for name, value in given.items()}
    mistakes = []
    for name, (role, nearest) in unknown(names, options).items():
        text = f"is not a variable of {'role ' + role if role else 'any role'}"
        text += f"; did you mean {nearest}?" if nearest else ""
        mistakes.append(Mistake(host, role or owner(nearest, options), name, text, tuple(filter(None, [places[name]]))))
    return mistakes


def summary(result: RoleOnHost, scope: Scope) -> dict[str, t.Any]:
    """A host as site checks see it."""
    names = [name for name in scope.variables if name.startswith("site_")]
    known = scope.settled(names).variables
    values = {name: known[name] for name in [*names, *result.values]}
    return {**values, "name": result.host, "group_names": known.get("group_names", [])}


def show_full(value: t.Any) -> str:
    """A value as a key that equal values share."""
    return json.dumps(value, sort_keys=True, default=str)
