# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Variables of one host as one role sees them, and expressions evaluated with them."""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Iterable
from functools import cache, partial

from ansible.errors import AnsibleError, AnsibleUndefinedVariable, AnsibleValueOmittedError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from .mistake import HIDDEN

WITHOUT_FACTS = "'ansible_facts' is undefined"


class NeedsFacts(Exception):
    """What was asked for reads facts, and this host's facts have not been gathered."""


class Unset(Exception):
    """The value is omitted."""


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
    """

    def __init__(self, templar: Templar, variables: dict[str, t.Any]) -> None:
        self._templar = templar
        self.variables = variables

    def template(self, value: t.Any) -> t.Any:
        """A value with all templates in it resolved."""
        if is_plain(value):
            return value
        try:
            return self._with_facts_explained(lambda: self._templar.template(value))
        except AnsibleValueOmittedError as error:
            raise Unset from error

    def condition(self, conditions: t.Any) -> bool:
        """Whether an expression, or every expression of a list, holds."""
        items = conditions if isinstance(conditions, list) else [conditions]
        return all(self._with_facts_explained(partial(self._templar.evaluate_conditional, item)) for item in items)

    def expression(self, expression: str) -> t.Any:
        return self._with_facts_explained(lambda: self._templar.evaluate_expression(expression))

    def masked(self, names: set[str]) -> Scope:
        """The same variables, with these shown as hidden."""
        return Scope(self._templar, {**self.variables, **dict.fromkeys(names, HIDDEN)})

    def with_values(self, values: dict[str, t.Any]) -> Scope:
        return Scope(self._templar, {**self.variables, **values})

    def settled(self, names: Iterable[str]) -> Scope:
        """The same variables, with these worked out now and not at each use; what cannot be is left as it is."""
        values = {}
        for name in names:
            try:
                values[name] = self.template(self.variables[name])
            except (AnsibleError, NeedsFacts, Unset, KeyError):
                continue
        return self.with_values(values)

    def _with_facts_explained(self, evaluate: Callable[[], t.Any]) -> t.Any:
        """Evaluate; where that fails only because facts are not gathered yet, say so.

        A missing fact cannot be told from any other missing key, so the same is tried without the variable that holds
        facts: the error then names it if it is at fault.
        """
        self._templar.available_variables = self.variables
        try:
            return evaluate()
        except AnsibleUndefinedVariable:
            if self.variables.get("ansible_facts"):
                raise
            self._templar.available_variables = {k: v for k, v in self.variables.items() if k != "ansible_facts"}
            try:
                evaluate()
            except AnsibleUndefinedVariable as error:
                if WITHOUT_FACTS in str(error):
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
