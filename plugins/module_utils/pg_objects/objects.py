# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The whole: what is wanted against what is there, and the statements executed one by one."""

from __future__ import annotations

import typing as t
from pathlib import Path

from . import cluster, functions, inside
from .change import Change, Plan, Refused
from .psql import Psql, PsqlError
from .quoting import BadName, literal
from .state import NEW_DATABASE, read_cluster, read_database

Item = dict[str, t.Any]
# Lists of what is inside of a database
INSIDE = ("schemas", "extensions", "functions", "grants")


class Failed(Exception):
    """A message for whoever reads the task's result; it names the object."""


def read_password(item: Item) -> str:
    """The password in a file of the host that is nobody else's to read."""
    path = Path(item["password_file"])
    try:
        others = path.stat().st_mode & 0o007
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise Refused(f"role {item['name']}: password_file {path} cannot be read ({type(error).__name__})") from None
    if others:
        raise Refused(f"role {item['name']}: password_file {path} can be read by everybody: take that from it first")
    password = text.removesuffix("\n").removesuffix("\r")
    if not password or "\n" in password or "\0" in password:
        raise Refused(f"role {item['name']}: password_file {path} must hold one line, which is not empty")
    return password


def make_plan(psql: Psql, state: Item, given: Item) -> Plan:
    """Roles first, since databases have owners; then what is inside of each database; what is dropped comes last."""
    plan = Plan()
    allowed = given["allow_data_loss"]
    try:
        cluster.plan_roles(plan, state, given["roles"], read_password)
        cluster.plan_memberships(plan, state, given["memberships"])
        cluster.plan_databases(plan, state, given["databases"], allowed)
        for database in databases_of(given):
            _plan_database(plan, psql, state, given, database)
    except (Refused, BadName) as error:
        raise Failed(str(error)) from None
    except PsqlError as error:
        raise Failed(f"what is there could not be read: {error}") from None
    return plan


def databases_of(given: Item) -> list[str]:
    """Databases that something inside of is named for, in the order of their names."""
    return sorted({item["database"] for name in INSIDE for item in given[name]})


def _plan_database(plan: Plan, psql: Psql, state: Item, given: Item, database: str) -> None:
    def mine(name: str) -> list[Item]:
        return [item for item in given[name] if item["database"] == database]

    made = any(change.obj == f"database {database}" and change.before == "absent" for change in plan.changes)
    dropped = any(change.obj == f"database {database}" for change in plan.last)
    if dropped:
        return
    if not made and database not in state["databases"]:
        raise Refused(f"there is no database {database}, and none of that name among databases")
    schemas = sorted({item["schema"] for item in mine("grants") + mine("functions") if item["schema"]})
    there = NEW_DATABASE if made else read_database(psql, database, schemas, literal)
    place = inside.Place(plan, database, state, there, new=made)
    inside.plan_schemas(place, mine("schemas"), given["allow_data_loss"])
    inside.plan_extensions(place, mine("extensions"))
    functions.plan_functions(place, mine("functions"))
    inside.plan_grants(place, mine("grants"))


def execute(psql: Psql, changes: list[Change], done: list[Change]) -> None:
    """One session each, so that a failure names its object. What was done is in done, whatever happens."""
    for change in changes:
        try:
            psql.run(change.database, f"{change.statement};\n", quiet=change.secret)
        except PsqlError as error:
            raise Failed(f"{change.obj}: {error} ({change.words})") from None
        done.append(change)


def read_state(psql: Psql) -> Item:
    try:
        return read_cluster(psql)
    except PsqlError as error:
        raise Failed(
            f"PostgreSQL does not answer on {psql.socket_dir}, port {psql.port}, as postgres: {error}"
        ) from None
