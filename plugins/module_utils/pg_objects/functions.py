# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Functions: what they do and who may execute them, both at once, so that nobody else may for a moment."""

from __future__ import annotations

import re
import typing as t

from .change import Change, Refused
from .inside import Place
from .quoting import ident, literal, role, setting_name, setting_value, stored_value

Item = dict[str, t.Any]
# arguments and returns are written into the statement as they are: they must be types and names, and end nothing.
TYPES = re.compile(r"[A-Za-z0-9_., ()\[\]\"]*")


def plan_functions(place: Place, wanted: list[Item]) -> None:
    for item in wanted:
        for name in ("arguments", "returns"):
            if not TYPES.fullmatch(item[name]):
                raise Refused(
                    f"function {item['schema']}.{item['name']}: {name} = {item[name]!r} must be names and types"
                )
        called = f"{item['schema']}.{item['name']}({item['arguments']})"
        obj, has = f"function {called} in {place.database}", _find(place.state, item)
        target = f"{ident(item['schema'])}.{ident(item['name'])}({item['arguments']})"
        if item["state"] == "absent":
            if has:
                statement = f"DROP FUNCTION {target}"
                place.plan.last.insert(0, Change(obj, statement, "present", "absent", place.database))
            continue
        statements, before, after = [], [], []
        if not has or not _same(has, item):
            statements.append(_definition(target, item))
            before.append("present" if has else "absent")
            after.append("defined anew" if has else "present")
        if item["owner"] and item["owner"] != (has or {}).get("owner"):
            statements.append(f"ALTER FUNCTION {target} OWNER TO {ident(item['owner'])}")
            before.append(f"owner: {has['owner']}" if has else "owner: nobody")
            after.append(f"owner: {item['owner']}")
        # An owner may by being that, whoever is named.
        owner = item["owner"] or (has["owner"] if has else "postgres")
        wants, may = set(item["execute"]) - {owner}, (_may(has) if has else {"public"}) - {owner}
        on = f"EXECUTE ON FUNCTION {target}"
        if may != wants:
            statements += [f"REVOKE {on} FROM {role(name)}" for name in sorted(may - wants)]
            statements += [f"GRANT {on} TO {role(name)}" for name in sorted(wants - may)]
            before.append(f"execute: {', '.join(sorted(may)) or 'its owner'}")
            after.append(f"execute: {', '.join(sorted(wants)) or 'its owner'}")
        if statements:
            whole = "; ".join(["BEGIN", *statements, "COMMIT"])
            place.plan.changes.append(Change(obj, whole, ", ".join(before), ", ".join(after), place.database))


def _find(state: Item, item: Item) -> Item | None:
    """The one with these arguments; others of the name are others."""
    return next(
        (
            entry
            for entry in state["functions"]
            if (entry["schema"], entry["plain"], entry["arguments"])
            == (item["schema"], item["name"], item["arguments"])
        ),
        None,
    )


def _same(has: Item, item: Item) -> bool:
    settings = {name.lower(): stored_value(value) for name, value in item["settings"].items()}
    stored = {name.lower(): value for name, value in (entry.split("=", 1) for entry in has["settings"] or [])}
    return (
        has["body"].strip() == item["body"].strip()
        and has["returns"] == item["returns"]
        and has["language"] == item["language"]
        and has["definer"] == item["security_definer"]
        and stored == settings
    )


def _may(has: Item) -> set[str]:
    return {grantee for grantee, _privilege, _grantable in has["acl"] or [] if grantee != has["owner"]}


def _definition(target: str, item: Item) -> str:
    words = [f"CREATE OR REPLACE FUNCTION {target} RETURNS {item['returns']} LANGUAGE {ident(item['language'])}"]
    words.append("SECURITY DEFINER" if item["security_definer"] else "SECURITY INVOKER")
    words += [f"SET {setting_name(name)} = {setting_value(value)}" for name, value in item["settings"].items()]
    return f"{' '.join(words)} AS {literal(item['body'])}"
