# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a server holds, what is wanted of it, and the steps between; nothing here changes anything."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from . import influxql
from .client import Client, InfluxError, Refused

HOUR = influxql.HOUR


@dataclasses.dataclass(frozen=True)
class Policy:
    """A retention policy as the server shows it; nanoseconds, 0 is for ever."""

    duration: int
    shard: int
    default: bool

    def __str__(self) -> str:
        kept = influxql.duration(self.duration) if self.duration else "INF"
        return f"kept {kept}, shards {influxql.duration(self.shard)}" + (", default" if self.default else "")


@dataclasses.dataclass
class Database:
    """Its policies, and its queries as the server shows them."""

    policies: dict[str, Policy] = dataclasses.field(default_factory=dict)
    queries: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class User:
    """Its rights by database: READ, WRITE or ALL PRIVILEGES."""

    admin: bool = False
    grants: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class State:
    """What the server holds."""

    databases: dict[str, Database] = dataclasses.field(default_factory=dict)
    users: dict[str, User] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Step:
    """One change: statements sent together, the object's line before and after, what data it loses, the way back."""

    statements: list[str]
    before: str = ""
    after: str = ""
    loss: str = ""
    back: str = ""


def read(client: Client) -> State:
    """Everything in two requests."""
    databases, queries, users = client.query("SHOW DATABASES", "SHOW CONTINUOUS QUERIES", "SHOW USERS")
    state = State()
    for row in rows(databases):
        state.databases[str(row["name"])] = Database()
    for series in queries:
        database = state.databases.setdefault(str(series.get("name")), Database())
        for row in rows([series]):
            database.queries[str(row["name"])] = str(row["query"])
    for row in rows(users):
        state.users[str(row["user"])] = User(admin=bool(row["admin"]))
    ask = [f"SHOW RETENTION POLICIES ON {influxql.name(name)}" for name in state.databases]
    ask += [f"SHOW GRANTS FOR {influxql.name(name)}" for name in state.users]
    answers = client.query(*ask) if ask else []
    for database, answer in zip(state.databases.values(), answers, strict=False):
        for row in rows(answer):
            database.policies[str(row["name"])] = Policy(
                influxql.parse_duration(row["duration"]),
                influxql.parse_duration(row["shardGroupDuration"]),
                bool(row["default"]),
            )
    for user, answer in zip(state.users.values(), answers[len(state.databases) :], strict=False):
        granted = {str(row["database"]): str(row["privilege"]) for row in rows(answer)}
        user.grants = {name: right for name, right in granted.items() if right != "NO PRIVILEGES"}
    return state


def rows(answer: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of all series, each by its columns."""
    return [dict(zip(s["columns"], row, strict=False)) for s in answer for row in s.get("values") or []]


def database_steps(state: State, name: str, present: bool, first: dict[str, Any] | None = None) -> list[Step]:
    """first is the default policy of a new database; without one the server makes autogen, which keeps for ever."""
    if present == (name in state.databases):
        return []
    if present and first:
        policy = policy_of(None, first | {"default": True})
        state.databases[name] = Database({first["name"]: policy})
        text = (
            f"CREATE DATABASE {influxql.name(name)} WITH DURATION "
            f"{influxql.duration(policy.duration) if policy.duration else 'INF'} REPLICATION 1 "
            f"SHARD DURATION {influxql.duration(policy.shard)} NAME {influxql.name(first['name'])}"
        )
        return [Step([text], after=f"database {name}\npolicy {name}.{first['name']}: {policy}")]
    if present:
        state.databases[name] = Database({"autogen": Policy(0, 7 * influxql.DAY, True)})
        return [Step([f"CREATE DATABASE {influxql.name(name)}"], after=f"database {name}")]
    state.databases.pop(name)
    return [
        Step([f"DROP DATABASE {influxql.name(name)}"], before=f"database {name}", loss=f"everything in database {name}")
    ]


def policy_steps(state: State, database: str, name: str, wanted: dict[str, Any] | None) -> list[Step]:
    """wanted has duration, and optionally shard_duration and default; None is no policy."""
    have = existing(state, database)
    found = have.policies.get(name)
    on = f"{influxql.name(name)} ON {influxql.name(database)}"
    line = f"policy {database}.{name}: "
    if wanted is None:
        if found is None:
            return []
        if found.default and len(have.policies) > 1:
            raise InfluxError(f"{database}.{name} is the default policy: make another one the default first")
        have.policies.pop(name)
        return [
            Step([f"DROP RETENTION POLICY {on}"], before=line + str(found), loss=f"all points in {database}.{name}")
        ]
    policy = policy_of(found, wanted)
    if policy == found:
        return []
    text = (
        f"RETENTION POLICY {on} DURATION {influxql.duration(policy.duration) if policy.duration else 'INF'} "
        f"REPLICATION 1 SHARD DURATION {influxql.duration(policy.shard)}" + (" DEFAULT" if policy.default else "")
    )
    loss = ""
    if found and policy.duration and (not found.duration or policy.duration < found.duration):
        loss = f"points in {database}.{name} that are older than {influxql.duration(policy.duration)}"
    if policy.default:
        for other, value in have.policies.items():
            have.policies[other] = dataclasses.replace(value, default=False)
    have.policies[name] = policy
    before = line + str(found) if found else ""
    return [Step([("ALTER " if found else "CREATE ") + text], before, line + str(policy), loss)]


def policy_of(found: Policy | None, wanted: dict[str, Any]) -> Policy:
    """What is not wanted explicitly stays as it is, or is what the server would choose."""
    duration = influxql.parse_duration(wanted["duration"])
    if 0 < duration < HOUR:
        raise InfluxError(f"duration {wanted['duration']} is less than the 1h that the server takes")
    if wanted.get("shard_duration"):
        shard = influxql.parse_duration(wanted["shard_duration"])
    elif found and (not duration or found.shard <= duration):
        shard = found.shard
    else:
        shard = influxql.default_shard_duration(duration)
    if shard < HOUR or (duration and shard > duration):
        raise InfluxError(
            f"shard_duration {influxql.duration(shard)} must be from 1h to the duration {wanted['duration']}"
        )
    default = bool(wanted.get("default")) or bool(found and found.default)
    return Policy(duration, shard, default)


def query_text(database: str, name: str, wanted: dict[str, Any]) -> str:
    """The statement that makes a continuous query."""
    resample = ""
    for word, key in (("EVERY", "resample_every"), ("FOR", "resample_for")):
        if wanted.get(key):
            resample += f" {word} {influxql.duration(influxql.parse_duration(wanted[key]))}"
    resample = f" RESAMPLE{resample}" if resample else ""
    body = " ".join(str(wanted["query"]).split("\n")).strip().rstrip(";")
    return f"CREATE CONTINUOUS QUERY {influxql.name(name)} ON {influxql.name(database)}{resample} BEGIN {body} END"


def query_steps(state: State, database: str, name: str, wanted: dict[str, Any] | None) -> list[Step]:
    have = existing(state, database)
    found = have.queries.get(name)
    drop = f"DROP CONTINUOUS QUERY {influxql.name(name)} ON {influxql.name(database)}"
    if wanted is None:
        if found is None:
            return []
        have.queries.pop(name)
        return [Step([drop], before=found)]
    text = query_text(database, name, wanted)
    default = next((name for name, policy in have.policies.items() if policy.default), "")
    if found is not None and influxql.same_query(found, text, database, default):
        return []
    have.queries[name] = text
    # The server cannot alter a query. Both statements go in one request, which it parses whole before it does anything.
    return [Step([drop, text] if found is not None else [text], found or "", text, back=found or "")]


def user_steps(state: State, client: Client, name: str, wanted: dict[str, Any] | None) -> list[Step]:
    """wanted has password (None: as it is), admin, grants {database: READ|WRITE|ALL}, and exclusive."""
    quoted, found = influxql.name(name), state.users.get(name)
    if wanted is None:
        if found is None:
            return []
        state.users.pop(name)
        return [Step([f"DROP USER {quoted}"], before=user_line(name, found))]
    steps: list[Step] = []
    rights = {db: "ALL PRIVILEGES" if right == "ALL" else right for db, right in wanted["grants"].items()}
    target = User(bool(wanted["admin"]), rights if wanted["exclusive"] or not found else {**found.grants, **rights})
    statements: list[str] = []
    if found is None:
        if wanted["password"] is None:
            raise InfluxError(f"user {name} is new and needs a password_file")
        statements.append(f"CREATE USER {quoted} WITH PASSWORD {influxql.string(wanted['password'])}")
        found = User()
        before = ""
    else:
        before = user_line(name, found)
        if wanted["password"] is not None and not client_takes(client, name, wanted["password"]):
            secret = influxql.string(wanted["password"])
            steps.append(
                Step([f"SET PASSWORD FOR {quoted} = {secret}"], f"password of {name}", f"new password of {name}")
            )
    if target.admin != found.admin:
        statements.append(
            f"{'GRANT' if target.admin else 'REVOKE'} ALL PRIVILEGES {'TO' if target.admin else 'FROM'} {quoted}"
        )
    for db, right in target.grants.items():
        if found.grants.get(db) != right:
            statements.append(f"GRANT {right.split()[0]} ON {influxql.name(db)} TO {quoted}")
    for db in found.grants:
        if db not in target.grants:
            statements.append(f"REVOKE ALL ON {influxql.name(db)} FROM {quoted}")
    state.users[name] = target
    return steps + ([Step(statements, before, user_line(name, target))] if statements else [])


def client_takes(client: Client, name: str, password: str) -> bool:
    """Whether the server lets the user in: the only way to compare a password, as it keeps a hash."""
    try:
        client.as_user(name, password).query("SHOW DATABASES")
    except Refused:
        return False
    return True


def user_line(name: str, user: User) -> str:
    rights = ", ".join(f"{right.split()[0]} on {db}" for db, right in sorted(user.grants.items())) or "no rights"
    return f"user {name}: " + ("administrator, " if user.admin else "") + rights


def existing(state: State, database: str) -> Database:
    if database not in state.databases:
        raise InfluxError(f"there is no database {database}")
    return state.databases[database]


def apply(client: Client, steps: list[Step]) -> None:
    """Send the steps in order. A query that was dropped for a new one that fails is made again."""
    for step in steps:
        try:
            client.query(*step.statements, post=True)
        except InfluxError as error:
            after = put_back(client, step) if step.back else ""
            raise InfluxError(without_password(f"{error}{after}: {shown(step)}")) from None


def put_back(client: Client, step: Step) -> str:
    """Make what the step dropped again; it is still there if the server refused the whole request."""
    try:
        client.query(step.back, post=True)
    except InfluxError as error:
        return "" if "already exists" in str(error) else f"; the old one is gone too ({error}): {step.back}"
    return ""


def shown(step: Step) -> str:
    return step.after or step.before


def without_password(text: str) -> str:
    return re.sub(r"(?i)(password[^']*)'.*", r"\1'…'", text)


def losses(steps: list[Step]) -> list[str]:
    return [step.loss for step in steps if step.loss]


def difference(steps: list[Step]) -> dict[str, str]:
    return {side: "".join(f"{getattr(s, side)}\n" for s in steps if getattr(s, side)) for side in ("before", "after")}
