# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Schemas, extensions and grants inside of one database: what differs from what is wanted."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .change import Change, Plan, Refused
from .quoting import ident, literal, role

Item = dict[str, t.Any]
PRIVILEGES = {
    "database": ("create", "connect", "temporary"),
    "schema": ("usage", "create"),
    "table": ("select", "insert", "update", "delete", "truncate", "references", "trigger", "maintain"),
    "sequence": ("usage", "select", "update"),
    "function": ("execute",),
}
# How a type is written in GRANT, and in pg_default_acl
PLURALS = {"table": ("TABLES", "r"), "sequence": ("SEQUENCES", "S"), "function": ("FUNCTIONS", "f")}


@dataclass(frozen=True)
class Place:
    """A database that is looked at. new: it is only made by this plan, so that what is missing is no mistake."""

    plan: Plan
    database: str
    cluster: Item
    state: Item
    new: bool = False


def plan_schemas(place: Place, wanted: list[Item], allow_data_loss: bool) -> None:
    plan, database, state = place.plan, place.database, place.state
    for item in wanted:
        name, has = item["name"], state["schemas"].get(item["name"])
        obj = f"schema {name} in {database}"
        if item["state"] == "absent":
            if has is None:
                continue
            if not allow_data_loss:
                raise Refused(f"{obj} would be dropped with all that is in it: set allow_data_loss to have it so")
            plan.last.insert(0, Change(obj, f"DROP SCHEMA {ident(name)} CASCADE", "present", "absent", database))
        elif has is None:
            owner = f" AUTHORIZATION {ident(item['owner'])}" if item.get("owner") else ""
            plan.changes.append(Change(obj, f"CREATE SCHEMA {ident(name)}{owner}", "absent", "present", database))
        elif item.get("owner") and item["owner"] != has["owner"]:
            statement = f"ALTER SCHEMA {ident(name)} OWNER TO {ident(item['owner'])}"
            before, after = f"owner: {has['owner']}", f"owner: {item['owner']}"
            plan.changes.append(Change(obj, statement, before, after, database))


def plan_extensions(place: Place, wanted: list[Item]) -> None:
    plan, database, state = place.plan, place.database, place.state
    for item in wanted:
        name, has = item["name"], state["extensions"].get(item["name"])
        obj = f"extension {name} in {database}"
        version, schema = item.get("version"), item.get("schema")
        if item["state"] == "absent":
            if has is not None:
                plan.last.insert(0, Change(obj, f"DROP EXTENSION {ident(name)}", "present", "absent", database))
            continue
        if has is None:
            words = [f"CREATE EXTENSION {ident(name)}"]
            words += [f"SCHEMA {ident(schema)}"] if schema else []
            words += [f"VERSION {literal(version)}"] if version else []
            words += ["CASCADE"] if item.get("cascade") else []
            plan.changes.append(Change(obj, " ".join(words), "absent", "present", database))
            continue
        if version and version != has["version"]:
            statement = f"ALTER EXTENSION {ident(name)} UPDATE TO {literal(version)}"
            plan.changes.append(Change(obj, statement, f"version: {has['version']}", f"version: {version}", database))
        if schema and schema != has["schema"]:
            statement = f"ALTER EXTENSION {ident(name)} SET SCHEMA {ident(schema)}"
            plan.changes.append(Change(obj, statement, f"schema: {has['schema']}", f"schema: {schema}", database))


def privileges_of(item: Item, version: int) -> list[str]:
    known = PRIVILEGES[item["type"]]
    if version < 170000:
        known = tuple(name for name in known if name != "maintain")
    given = [str(name).lower() for name in item["privileges"]]
    given = ["temporary" if name == "temp" else name for name in given]
    wrong = [name for name in given if name != "all" and name not in known]
    if wrong:
        raise Refused(f"a grant on a {item['type']} to {item['role']}: {wrong[0]!r} is none of {', '.join(known)}, all")
    return list(known) if "all" in given else [name for name in known if name in given]


def plan_grants(place: Place, wanted: list[Item]) -> None:
    for item in wanted:
        privileges = privileges_of(item, place.cluster["version"])
        if item["default_for"]:
            _plan_default(place, item, privileges)
            continue
        for target, obj, acl in _targets(place, item):
            _compare(place, item, privileges, Target(f"ON {target}", obj, acl))


class Target(t.NamedTuple):
    """How something is written in GRANT, what it is called, its privileges, and what the statement begins with."""

    written: str
    obj: str
    acl: list[list[t.Any]]
    start: str = ""


def _targets(place: Place, item: Item) -> t.Iterator[tuple[str, str, list[list[t.Any]]]]:
    """(how it is written in GRANT, what it is called, its privileges) of what a grant is on."""
    database, state = place.database, place.state
    kind, schema = item["type"], item.get("schema") or ""
    if kind == "database":
        owner = [["public", "connect", False], ["public", "temporary", False]]
        acl = place.cluster["databases"].get(database, {}).get("acl", owner)
        yield f"DATABASE {ident(database)}", f"database {database}", acl or []
        return
    made = place.new or any(change.obj == f"schema {schema} in {database}" for change in place.plan.changes)
    if not schema:
        raise Refused(f"a grant on a {kind} in {database} to {item['role']} needs its schema")
    if schema not in state["schemas"] and not made:
        raise Refused(f"a grant to {item['role']}: there is no schema {schema} in {database}")
    if kind == "schema":
        yield f"SCHEMA {ident(schema)}", f"schema {schema} in {database}", _acl(state["schemas"].get(schema))
        return
    found = {
        entry["name"]: entry
        for entry in state["relations"] + state["functions"]
        if entry["type"] == kind and entry["schema"] == schema
    }
    for name in item["objects"] or found:
        # A function is named with its argument types, and its schema where the catalog writes it.
        key = f"{schema}.{name}" if kind == "function" and name not in found else name
        if key in found:
            called = key if kind == "function" else f"{schema}.{name}"
            yield _written(kind, schema, key), f"{kind} {called} in {database}", _acl(found[key])
        elif not made:
            raise Refused(f"a grant to {item['role']}: there is no {kind} {schema}.{name} in {database}")


def _written(kind: str, schema: str, name: str) -> str:
    # A signature is the catalog's own words, which has quoted it; what a person wrote was only looked up.
    return f"ROUTINE {name}" if kind == "function" else f"{kind.upper()} {ident(schema)}.{ident(name)}"


def _acl(entry: Item | None) -> list[list[t.Any]]:
    return (entry or {}).get("acl") or []


def _plan_default(place: Place, item: Item, privileges: list[str]) -> None:
    """Privileges on what a role will make."""
    database, state = place.database, place.state
    kind, owner, schema = item["type"], item["default_for"], item.get("schema") or ""
    if kind not in PLURALS:
        raise Refused(f"a grant to {item['role']}: default_for does not fit type {kind}; only {', '.join(PLURALS)}")
    plural, letter = PLURALS[kind]
    found = [
        entry
        for entry in state["defaults"]
        if (entry["owner"], entry["schema"], entry["type"]) == (owner, schema, letter)
    ]
    acl = _acl(found[0]) if found else [["public", "execute", False]] if kind == "function" and not schema else []
    start = f"ALTER DEFAULT PRIVILEGES FOR ROLE {ident(owner)}" + (f" IN SCHEMA {ident(schema)}" if schema else "")
    obj = f"default privileges of {owner} on {plural.lower()}" + (f" of {schema}" if schema else "") + f" in {database}"
    _compare(place, item, privileges, Target(f"ON {plural}", obj, acl, f"{start} "))


def _compare(place: Place, item: Item, privileges: list[str], target: Target) -> None:
    has = {privilege: grantable for grantee, privilege, grantable in target.acl if grantee == item["role"]}
    if item["state"] == "absent":
        differ = [name for name in privileges if name in has]
        if not differ:
            return
        statement = f"{target.start}REVOKE {_listed(differ)} {target.written} FROM {role(item['role'])}"
    else:
        differ = [name for name in privileges if name not in has or (item["grant_option"] and not has[name])]
        if not differ:
            return
        option = " WITH GRANT OPTION" if item["grant_option"] else ""
        statement = f"{target.start}GRANT {_listed(differ)} {target.written} TO {role(item['role'])}{option}"
    before = f"{item['role']}: {', '.join(name for name in PRIVILEGES[item['type']] if name in has) or 'nothing'}"
    left = set(has) - set(differ) if item["state"] == "absent" else set(has) | set(differ)
    after = f"{item['role']}: {', '.join(name for name in PRIVILEGES[item['type']] if name in left) or 'nothing'}"
    after += " with grant option" if item["grant_option"] and item["state"] == "present" else ""
    place.plan.changes.append(Change(target.obj, statement, before, after, place.database))


def _listed(privileges: list[str]) -> str:
    return ", ".join(name.upper() for name in privileges)
