# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Variables of one host as one role sees them, and expressions evaluated with them."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial

from ansible import constants as C
from ansible.errors import AnsibleError, AnsibleValueOmittedError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from .mistake import HIDDEN

# Variables whose names begin as those of facts do, and that an inventory gives or leaves out
CONNECTION = {"ansible_become", "ansible_become_method", "ansible_become_user", *C.COMMON_CONNECTION_VARS}
# Not followed in search of facts: what they lead to is named beside them
WHOLE_SITE = {"hostvars", "groups", "vars"}


class NeedsFacts(Exception):
    """What was asked for reads facts, and this host's facts have not been gathered."""


class Unset(Exception):
    """The value is omitted."""


@cache
def words(text: str) -> frozenset[str]:
    """Every word of a text that could be a variable's name."""
    return frozenset(re.findall(r"[A-Za-z_]\w*", text))


def templates(value: t.Any) -> Iterator[str]:
    """Every text in a value that may hold a template; nothing of what is encrypted."""
    if isinstance(value, str):
        if "{" in value:
            yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from templates(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from templates(key)
            yield from templates(item)


def make_templar(loader: DataLoader) -> Templar:
    """A templar that compiles each template once, not once for each host: that halves the time of a check.

    Its environment is not public API. Where it is not found, a check only takes longer.
    """
    templar = Templar(loader=loader)
    environment = getattr(getattr(templar, "_engine", None), "environment", None)
    if environment is not None:
        remembered = vars(environment)
        from_string, compile_expression = environment.from_string, environment.compile_expression
        from_text = cache(from_string)
        remembered["compile_expression"] = cache(compile_expression)
        # An expression arrives here as a syntax tree, which is new each time.
        remembered["from_string"] = lambda source, *args, **kwargs: (
            from_text(source)
            if isinstance(source, str) and not args and not kwargs
            else from_string(source, *args, **kwargs)
        )
    return templar


class Scope:
    """Evaluates with one set of variables.

    templar is shared by all scopes (making one costs milliseconds) and is given this scope's variables at each use.
    before_facts says that facts are read later, so that those of an earlier run count as none.
    """

    def __init__(self, templar: Templar, variables: dict[str, t.Any], before_facts: bool = False) -> None:
        self._templar = templar
        self.variables = variables
        self._before_facts = before_facts

    def template(self, value: t.Any) -> t.Any:
        """A value with all templates in it resolved."""
        if is_plain(value):
            return value
        try:
            return self._with_facts_explained(lambda: self._templar.template(value), list(templates(value)))
        except AnsibleValueOmittedError as error:
            raise Unset from error

    def condition(self, conditions: t.Any) -> bool:
        """Whether an expression, or every expression of a list, holds."""
        items = conditions if isinstance(conditions, list) else [conditions]
        return all(
            self._with_facts_explained(partial(self._templar.evaluate_conditional, item), str(item)) for item in items
        )

    def expression(self, expression: str) -> t.Any:
        return self._with_facts_explained(lambda: self._templar.evaluate_expression(expression), expression)

    @property
    def has_facts(self) -> bool:
        return bool(self.variables.get("ansible_facts")) and not self._before_facts

    def lacks_facts(self, expression: t.Any) -> bool:
        """Whether an expression may read facts, and there are none yet: whatever it gives then is no answer."""
        return not self.has_facts and self.may_read_facts(expression)

    def may_read_facts(self, expression: t.Any) -> bool:
        """Whether facts show in the text of an expression, or in that of a variable it names, and so on.

        One that only looks as if it read facts does no harm: it is worked out when there are some.
        """
        gathered = self.variables.get("ansible_facts") or {}
        found: set[str] = set()
        todo = [str(item) for item in (expression if isinstance(expression, list) else [expression])]
        while todo:
            new = words(todo.pop()) - found
            found |= new
            for name in new:
                if name == "ansible_facts":
                    return True
                known = name in self.variables and name.removeprefix("ansible_") not in gathered
                if name.startswith("ansible_") and not known and name not in CONNECTION:
                    return True
                if name in self.variables and name not in WHOLE_SITE:
                    todo += templates(self.variables[name])
        return False

    def masked(self, names: set[str]) -> Scope:
        """The same variables, with these shown as hidden."""
        return self.with_values(dict.fromkeys(names, HIDDEN))

    def with_values(self, values: dict[str, t.Any]) -> Scope:
        return Scope(self._templar, {**self.variables, **values}, self._before_facts)

    def settled(self, names: Iterable[str]) -> Scope:
        """The same variables, with these worked out now and not at each use; what cannot be is left as it is."""
        values = {}
        for name in names:
            if self.lacks_facts(name):
                continue
            try:
                values[name] = self.template(self.variables[name])
            except (AnsibleError, NeedsFacts, Unset, KeyError):
                continue
        return self.with_values(values)

    def _with_facts_explained(self, evaluate: Callable[[], t.Any], expression: t.Any) -> t.Any:
        """Evaluate; where that fails and may only do so because facts are not gathered yet, say so."""
        self._templar.available_variables = self.variables
        try:
            return evaluate()
        except AnsibleValueOmittedError:
            raise
        except AnsibleError as error:
            if self.lacks_facts(expression):
                raise NeedsFacts from error
            raise


def is_plain(value: t.Any) -> bool:
    """Whether a value surely holds no template and nothing encrypted, so that there is nothing to resolve."""
    if value is None or isinstance(value, (bool, int, float)):
        return True
    if isinstance(value, str):
        return "{" not in value
    if isinstance(value, list):
        return all(is_plain(item) for item in value)
    return isinstance(value, dict) and all(is_plain(key) and is_plain(item) for key, item in value.items())


def reason(error: Exception) -> str:
    """The cause of a templating error in one line, without Ansible's context lines."""
    cause: BaseException = error
    while isinstance(cause, AnsibleError) and cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, RecursionError):
        return "it is worked out from itself"
    text = str(getattr(error, "message", "") or error) if cause is error else str(cause)
    return " ".join(text.split("\n", maxsplit=1)[0].split())
