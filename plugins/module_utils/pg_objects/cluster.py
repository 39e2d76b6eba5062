# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Roles, memberships and databases: what differs from what is wanted."""

from __future__ import annotations

import typing as t

from . import scram
from .change import Change, Plan, Refused
from .quoting import ident, literal, setting_name, setting_value, stored_value

ATTRIBUTES = ("superuser", "createdb", "createrole", "replication", "bypassrls", "inherit", "login")
Item = dict[str, t.Any]


def plan_roles(plan: Plan, state: Item, wanted: list[Item], read_password: t.Callable[[Item], str]) -> None:
    for item in wanted:
        name, has = item["name"], state["roles"].get(item["name"])
        obj = f"role {name}"
        if item["state"] == "absent":
            if has is not None:
                plan.last.append(Change(obj, f"DROP ROLE {ident(name)}", "present", "absent"))
            continue
        if name.startswith("pg_") or name == "public":
            raise Refused(f"{obj} cannot be made: PostgreSQL keeps names that begin with pg_, and public, for itself")
        if has is None:
            plan.changes.append(Change(obj, f"CREATE ROLE {ident(name)}", "absent", "present"))
            has = {"inherit": True, "connection_limit": -1}
        words, before, after = [], [], []
        for attribute in ATTRIBUTES:
            if item.get(attribute) is not None and item[attribute] != has.get(attribute, False):
                words.append(("" if item[attribute] else "NO") + attribute.upper())
                before.append(f"{attribute}: {str(has.get(attribute, False)).lower()}")
                after.append(f"{attribute}: {str(item[attribute]).lower()}")
        if item.get("connection_limit") is not None and item["connection_limit"] != has["connection_limit"]:
            words.append(f"CONNECTION LIMIT {int(item['connection_limit'])}")
            before.append(f"connection_limit: {has['connection_limit']}")
            after.append(f"connection_limit: {item['connection_limit']}")
        if item.get("valid_until") is not None and item["valid_until"] != (has.get("valid_until") or "infinity"):
            words.append(f"VALID UNTIL {literal(item['valid_until'])}")
            before.append(f"valid_until: {has.get('valid_until') or 'infinity'}")
            after.append(f"valid_until: {item['valid_until']}")
        if words:
            statement = f"ALTER ROLE {ident(name)} {' '.join(words)}"
            plan.changes.append(Change(obj, statement, ", ".join(before), ", ".join(after)))
        _plan_password(plan, state, item, has.get("verifier"), read_password)
        plan_settings(plan, obj, f"ROLE {ident(name)}", item.get("settings"), has.get("settings"))


def _plan_password(
    plan: Plan, state: Item, item: Item, existing: str | None, read_password: t.Callable[[Item], str]
) -> None:
    verifier = item.get("password_verifier") or ""
    if verifier:
        if not scram.is_verifier(verifier):
            raise Refused(f"role {item['name']}: password_verifier is no SCRAM-SHA-256 verifier")
        if verifier == existing:
            return
    elif item.get("password_file"):
        password = read_password(item)
        if existing and scram.matches(password, existing):
            return
        verifier = scram.make(password, state["iterations"])
    else:
        return
    start = f"ALTER ROLE {ident(item['name'])} PASSWORD"
    was = "password: set" if existing else "password: none"
    shown = f"{start} '********'"
    plan.changes.append(
        Change(f"role {item['name']}", f"{start} {literal(verifier)}", was, "password: changed", shown=shown)
    )


def plan_settings(plan: Plan, obj: str, target: str, wanted: Item | None, stored: list[str] | None) -> None:
    """Settings that are named; null takes one away. Others are left alone."""
    # PostgreSQL takes names in any case, and keeps its own: TimeZone.
    has = {name.lower(): value for name, value in (entry.split("=", 1) for entry in stored or [])}
    for name, value in (wanted or {}).items():
        there = has.get(name.lower())
        before = f"{name}: {'unset' if there is None else there}"
        if value is None and there is not None:
            plan.changes.append(Change(obj, f"ALTER {target} RESET {setting_name(name)}", before, f"{name}: unset"))
        elif value is not None and there != stored_value(value):
            statement = f"ALTER {target} SET {setting_name(name)} = {setting_value(value)}"
            plan.changes.append(Change(obj, statement, before, f"{name}: {stored_value(value)}"))


def plan_memberships(plan: Plan, state: Item, wanted: list[Item]) -> None:
    has = {(entry["role"], entry["member"]): entry for entry in state["memberships"]}
    gone = {change.obj.removeprefix("role ") for change in plan.last if change.obj.startswith("role ")}
    for item in wanted:
        role, member = item["role"], item["member"]
        entry, obj = has.get((role, member)), f"membership of {member} in {role}"
        if item["state"] == "absent":
            if entry and not gone & {role, member}:
                statement = f"REVOKE {ident(role)} FROM {ident(member)}"
                plan.changes.append(Change(obj, statement, "present", "absent"))
            continue
        options = {name: item[name] for name in ("admin", "inherit", "set") if item.get(name) is not None}
        differ = {name: value for name, value in options.items() if entry is None or entry[name] != value}
        if entry is None or differ:
            given = ", ".join(f"{name.upper()} {'TRUE' if value else 'FALSE'}" for name, value in options.items())
            statement = f"GRANT {ident(role)} TO {ident(member)}" + (f" WITH {given}" if given else "")
            before = ", ".join(f"{name}: {str(entry[name]).lower()}" for name in differ) if entry else "absent"
            after = ", ".join(f"{name}: {str(value).lower()}" for name, value in differ.items())
            plan.changes.append(Change(obj, statement, before, after if entry else "present"))


def plan_databases(plan: Plan, state: Item, wanted: list[Item], allow_data_loss: bool) -> None:
    for item in wanted:
        name, has = item["name"], state["databases"].get(item["name"])
        obj = f"database {name}"
        if item["state"] == "absent":
            if has is None:
                continue
            if not allow_data_loss:
                raise Refused(f"{obj} would be dropped with all that is in it: set allow_data_loss to have it so")
            if name in ("postgres", "template0", "template1"):
                raise Refused(f"{obj} belongs to PostgreSQL and is not dropped")
            plan.last.insert(0, Change(obj, f"DROP DATABASE {ident(name)}", "present", "absent"))
            continue
        if has is None:
            has = _create_database(plan, obj, item)
        for attribute in ("encoding", "locale"):
            if item.get(attribute) and item[attribute] != has[attribute]:
                raise Refused(
                    f"{obj} has {attribute} {has[attribute]}, not {item[attribute]}, which cannot be changed: "
                    "dump it and restore it into a new one"
                )
        if item.get("owner") and item["owner"] != has["owner"]:
            statement = f"ALTER DATABASE {ident(name)} OWNER TO {ident(item['owner'])}"
            plan.changes.append(Change(obj, statement, f"owner: {has['owner']}", f"owner: {item['owner']}"))
        if item.get("connection_limit") is not None and item["connection_limit"] != has["connection_limit"]:
            statement = f"ALTER DATABASE {ident(name)} CONNECTION LIMIT {int(item['connection_limit'])}"
            before = f"connection_limit: {has['connection_limit']}"
            plan.changes.append(Change(obj, statement, before, f"connection_limit: {item['connection_limit']}"))
        plan_settings(plan, obj, f"DATABASE {ident(name)}", item.get("settings"), has.get("settings"))


def _create_database(plan: Plan, obj: str, item: Item) -> Item:
    """From template0, so that it is the same wherever it is made."""
    words = [f"CREATE DATABASE {ident(item['name'])} TEMPLATE {ident(item.get('template') or 'template0')}"]
    if item.get("owner"):
        words.append(f"OWNER {ident(item['owner'])}")
    if item.get("encoding"):
        words.append(f"ENCODING {literal(item['encoding'])}")
    if item.get("locale"):
        words.append(f"LOCALE {literal(item['locale'])}")
    plan.changes.append(Change(obj, " ".join(words), "absent", "present"))
    return {"connection_limit": -1, **{name: item.get(name) for name in ("owner", "encoding", "locale")}}
