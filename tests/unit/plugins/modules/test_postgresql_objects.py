"""postgresql_objects with a program in psql's place: what it is told, on which database, and what is told of it."""

from __future__ import annotations

import copy
import json
import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.pg_objects import quoting, scram
from ansible_collections.chainops.infra.plugins.modules import postgresql_objects

from tests.unit.plugins.modules.in_process import run_module

PSQL = """#!/usr/bin/env python3
import json, os, pathlib, sys
here = pathlib.Path(__file__).parent
database, sql = os.environ["PGDATABASE"], sys.stdin.read()
with (here / "calls").open("a") as calls:
    print(json.dumps([database, sql, sys.argv[1:], dict(os.environ)]), file=calls)
if "json_build_object" in sql:
    answers = json.loads((here / "answers").read_text())
    print(json.dumps(answers[""] if "pg_authid" in sql else answers[database]))
elif (here / "fail").exists() and (here / "fail").read_text() in sql:
    sys.exit("psql:<stdin>:1: ERROR:  it does not please me\\nLINE 1: " + sql)
"""
CLUSTER: dict[str, Any] = {
    "standby": False,
    "version": 170012,
    "iterations": 4096,
    "roles": {
        "app": {
            **{"login": True, "superuser": False, "createdb": False, "createrole": False, "replication": False},
            **{"bypassrls": False, "inherit": True, "connection_limit": 50, "valid_until": "2030-01-31T00:00:00Z"},
            **{"verifier": scram.make("pencil"), "settings": ["TimeZone=UTC", 'search_path="$user", app']},
        },
        "reader": {"login": False, "inherit": True, "connection_limit": -1, "verifier": None, "settings": None},
    },
    "memberships": [{"role": "pg_monitor", "member": "reader", "admin": False, "inherit": True, "set": True}],
    "databases": {
        "app": {
            **{"owner": "app", "encoding": "UTF8", "locale": "C.UTF-8", "connection_limit": -1, "settings": None},
            "acl": [["public", "connect", False], ["public", "temporary", False], ["app", "create", False]],
        }
    },
}
APP: dict[str, Any] = {
    "extensions": {"pg_trgm": {"version": "1.6", "schema": "public"}},
    "schemas": {
        "public": {"owner": "pg_database_owner", "acl": [["public", "usage", False]]},
        "app": {"owner": "app", "acl": [["app", "usage", False], ["reader", "usage", False]]},
    },
    "relations": [
        {"schema": "app", "name": "t", "type": "table", "acl": [["reader", "select", False]]},
        {"schema": "app", "name": "u", "type": "table", "acl": None},
        {"schema": "app", "name": "t_id", "type": "sequence", "acl": None},
    ],
    "functions": [
        {
            **{"schema": "app", "name": "app.f(integer)", "type": "function", "acl": [["public", "execute", False]]},
            **{"plain": "f", "arguments": "i integer", "returns": "integer", "body": " SELECT i ", "language": "sql"},
            **{"definer": False, "owner": "app", "settings": None},
        },
    ],
    "defaults": [{"owner": "app", "schema": "app", "type": "r", "acl": [["reader", "select", False]]}],
}  # fmt: skip


class Server:
    """What stands in for PostgreSQL."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.cluster, self.inside = copy.deepcopy(CLUSTER), {"app": copy.deepcopy(APP)}
        program = directory / "psql"
        program.write_text(PSQL)
        program.chmod(0o755)

        (directory / ".s.PGSQL.5432").touch()

    def call(self, check: bool = False, **options: Any) -> dict[str, Any]:
        options.setdefault("socket_dir", str(self.directory))
        options.setdefault("os_user", pwd.getpwuid(os.getuid()).pw_name)
        (self.directory / "answers").write_text(json.dumps({"": self.cluster, **self.inside}))
        (self.directory / "calls").unlink(missing_ok=True)
        return run_module(postgresql_objects, check=check, **options)

    def calls(self) -> list[tuple[str, str, list[str], dict[str, str]]]:
        path = self.directory / "calls"
        return [tuple(json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []

    def executed(self) -> list[tuple[str, str]]:
        return [(database, sql.strip()) for database, sql, _argv, _env in self.calls() if "json_build" not in sql]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return Server(tmp_path)


def password_file(directory: Path, text: str = "pencil\n", mode: int = 0o600) -> str:
    path = directory / "password"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_what_is_there_is_left_alone(server: Server, tmp_path: Path) -> None:
    wanted = {
        "roles": [
            {
                **{"name": "app", "login": True, "connection_limit": 50, "password_file": password_file(tmp_path)},
                **{"valid_until": "2030-01-31T00:00:00Z"},
                "settings": {"timezone": "UTC", "search_path": ["$user", "app"], "work_mem": None},
            },
            {"name": "reader", "state": "present"},
            {"name": "gone", "state": "absent"},
        ],
        "memberships": [{"role": "pg_monitor", "member": "reader", "inherit": True}],
        "databases": [{"name": "app", "owner": "app", "encoding": "UTF8", "locale": "C.UTF-8"}],
        "schemas": [{"database": "app", "name": "app", "owner": "app"}],
        "extensions": [{"database": "app", "name": "pg_trgm", "version": "1.6", "schema": "public"}],
        "grants": [
            {"database": "app", "role": "reader", "type": "schema", "schema": "app", "privileges": ["usage"]},
            {"database": "app", "role": "public", "type": "database", "privileges": ["TEMP", "Connect"]},
            {
                **{"database": "app", "role": "reader", "type": "table", "schema": "app", "privileges": ["select"]},
                "objects": ["t"],
            },
            {
                **{"database": "app", "role": "reader", "type": "table", "schema": "app", "privileges": ["select"]},
                "default_for": "app",
            },
        ],
    }
    result = server.call(**wanted)
    assert (result["changed"], result["primary"], result["statements"]) == (False, True, [])
    assert len(server.calls()) == 2, "one query for the cluster and one for the database"


def test_everything_new_is_made_in_an_order_that_works(server: Server, tmp_path: Path) -> None:
    wanted = {
        "grants": [{"database": "new", "role": "boss", "type": "schema", "schema": "s", "privileges": ["all"]}],
        "schemas": [{"database": "new", "name": "s", "owner": "boss"}],
        "extensions": [{"database": "new", "name": "earthdistance", "cascade": True}],
        "databases": [{"name": "new", "owner": "boss", "encoding": "UTF8", "locale": "C.UTF-8"}],
        "memberships": [{"role": "reader", "member": "boss", "admin": True}],
        "roles": [{"name": "boss", "login": True, "password_file": password_file(tmp_path)}],
    }
    planned = server.call(check=True, **wanted)
    assert planned["changed"]
    assert server.executed() == []
    result = server.call(**wanted)
    assert result["statements"] == planned["statements"]
    executed = server.executed()
    password = executed.pop(2)
    assert password[1].startswith('ALTER ROLE "boss" PASSWORD \'SCRAM-SHA-256$4096:')
    assert executed == [
        ("postgres", 'CREATE ROLE "boss";'),
        ("postgres", 'ALTER ROLE "boss" LOGIN;'),
        ("postgres", 'GRANT "reader" TO "boss" WITH ADMIN TRUE;'),
        ("postgres", 'CREATE DATABASE "new" TEMPLATE "template0" OWNER "boss" ENCODING \'UTF8\' LOCALE \'C.UTF-8\';'),
        ("new", 'CREATE SCHEMA "s" AUTHORIZATION "boss";'),
        ("new", 'CREATE EXTENSION "earthdistance" CASCADE;'),
        ("new", 'GRANT USAGE, CREATE ON SCHEMA "s" TO "boss";'),
    ]
    assert result["objects"][0] == "role boss"
    assert "database new: present\n" in result["diff"]["after"]


def test_what_differs_is_changed_and_shown(server: Server) -> None:
    result = server.call(
        roles=[
            {"name": "app", "createdb": True, "login": False, "connection_limit": -1, "settings": {"timezone": None}},
        ],
        memberships=[{"role": "pg_monitor", "member": "reader", "state": "absent"}],
        databases=[{"name": "app", "owner": "reader", "connection_limit": 9, "settings": {"jit": False}}],
        schemas=[{"database": "app", "name": "app", "owner": "reader"}],
        extensions=[{"database": "app", "name": "pg_trgm", "version": "1.7", "schema": "app"}],
    )  # fmt: skip
    assert result["statements"] == [
        'ALTER ROLE "app" CREATEDB NOLOGIN CONNECTION LIMIT -1',
        'ALTER ROLE "app" RESET "timezone"',
        'REVOKE "pg_monitor" FROM "reader"',
        'ALTER DATABASE "app" OWNER TO "reader"',
        'ALTER DATABASE "app" CONNECTION LIMIT 9',
        'ALTER DATABASE "app" SET "jit" = \'off\'',
        'ALTER SCHEMA "app" OWNER TO "reader"',
        "ALTER EXTENSION \"pg_trgm\" UPDATE TO '1.7'",
        'ALTER EXTENSION "pg_trgm" SET SCHEMA "app"',
    ]
    assert "role app: createdb: false, login: true, connection_limit: 50\n" in result["diff"]["before"]
    assert "database app: owner: reader\n" in result["diff"]["after"]


def grant(**changed: Any) -> dict[str, Any]:
    base = {"database": "app", "role": "reader", "type": "table", "schema": "app", "privileges": ["select"]}
    return base | changed


@pytest.mark.parametrize(
    ("item", "statements"),
    [
        (grant(), ['GRANT SELECT ON TABLE "app"."u" TO "reader"']),
        (grant(objects=["t"], privileges=["insert", "select"]), ['GRANT INSERT ON TABLE "app"."t" TO "reader"']),
        (grant(objects=["t"], grant_option=True), ['GRANT SELECT ON TABLE "app"."t" TO "reader" WITH GRANT OPTION']),
        (grant(objects=["t"], privileges=["all"], state="absent"), ['REVOKE SELECT ON TABLE "app"."t" FROM "reader"']),
        (grant(type="sequence"), ['GRANT SELECT ON SEQUENCE "app"."t_id" TO "reader"']),
        (
            grant(type="function", role="public", privileges=["execute"], objects=["f(integer)"], state="absent"),
            ["REVOKE EXECUTE ON ROUTINE app.f(integer) FROM PUBLIC"],
        ),
        (
            grant(type="database", schema=None, role="public", privileges=["temp", "connect"], state="absent"),
            ['REVOKE CONNECT, TEMPORARY ON DATABASE "app" FROM PUBLIC'],
        ),
        (
            grant(type="function", schema=None, role="public", privileges=["all"], default_for="app", state="absent"),
            ['ALTER DEFAULT PRIVILEGES FOR ROLE "app" REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC'],
        ),
        (
            grant(default_for="app", privileges=["select", "maintain"]),
            ['ALTER DEFAULT PRIVILEGES FOR ROLE "app" IN SCHEMA "app" GRANT MAINTAIN ON TABLES TO "reader"'],
        ),
    ],
)
def test_grants(server: Server, item: dict[str, Any], statements: list[str]) -> None:
    assert server.call(grants=[item])["statements"] == statements


def function(**changed: Any) -> dict[str, Any]:
    base = {"database": "app", "schema": "app", "name": "f", "arguments": "i integer", "returns": "integer"}
    return base | {"body": "SELECT i\n", "execute": ["public"]} | changed


F = '"app"."f"(i integer)'
G = '"app"."g"()'
TABLE = "TABLE(a name, b text)"
BODY = "SELECT 'it''s' || $1 || E'\\\\'"


@pytest.mark.parametrize(
    ("item", "statement"),
    [
        (function(), None),
        (function(execute=["public", "app"]), None),
        (function(owner="app", execute=[]), f"BEGIN; REVOKE EXECUTE ON FUNCTION {F} FROM PUBLIC; COMMIT"),
        (
            function(body=BODY, security_definer=True, settings={"search_path": "pg_catalog"}),
            f'BEGIN; CREATE OR REPLACE FUNCTION {F} RETURNS integer LANGUAGE "sql" SECURITY DEFINER '
            f"SET \"search_path\" = 'pg_catalog' AS {quoting.literal(BODY)}; COMMIT",
        ),
        (
            function(name="g", arguments="", returns=TABLE, owner="app", execute=["reader"]),
            f"BEGIN; CREATE OR REPLACE FUNCTION {G} RETURNS {TABLE} LANGUAGE \"sql\" SECURITY INVOKER AS 'SELECT i\n'; "
            f'ALTER FUNCTION {G} OWNER TO "app"; REVOKE EXECUTE ON FUNCTION {G} FROM PUBLIC; '
            f'GRANT EXECUTE ON FUNCTION {G} TO "reader"; COMMIT',
        ),
        (function(state="absent"), f"DROP FUNCTION {F}"),
        (function(name="g", state="absent"), None),
    ],
)
def test_functions(server: Server, item: dict[str, Any], statement: str | None) -> None:
    assert server.call(functions=[item])["statements"] == ([statement] if statement else [])


def test_a_standby_is_left_to_whoever_leads(server: Server) -> None:
    server.cluster["standby"] = True
    result = server.call(roles=[{"name": "new"}])
    assert (result["changed"], result["primary"]) == (False, False)
    assert server.executed() == []
    assert "is a standby here" in server.call(roles=[{"name": "new"}], on_standby="fail")["msg"]


def test_a_verifier_is_taken_as_it_is(server: Server) -> None:
    there = server.cluster["roles"]["app"]["verifier"]
    assert not server.call(roles=[{"name": "app", "password_verifier": there}])["changed"]
    other = scram.make("other")
    result = server.call(roles=[{"name": "app", "password_verifier": other}])
    assert server.executed() == [("postgres", f"ALTER ROLE \"app\" PASSWORD '{other}';")]
    assert result["statements"] == ["ALTER ROLE \"app\" PASSWORD '********'"]
    assert (result["diff"]["before"], result["diff"]["after"]) == (
        "role app: password: set\n",
        "role app: password: changed\n",
    )


def test_another_password_gets_a_verifier_of_its_own(server: Server, tmp_path: Path) -> None:
    server.call(roles=[{"name": "app", "password_file": password_file(tmp_path, "correct horse\r\n")}])
    ((_database, sql),) = server.executed()
    assert scram.matches("correct horse", sql.split("'")[1])


@pytest.mark.parametrize("failing", [False, True])
def test_no_secret_is_told_by_anything(server: Server, tmp_path: Path, *, failing: bool) -> None:
    canary = "canary-of-a-password"
    if failing:
        (tmp_path / "fail").write_text("PASSWORD")
    result = server.call(roles=[{"name": "reader", "password_file": password_file(tmp_path, canary)}])
    assert result.get("failed", False) is failing
    assert canary not in str(result)
    assert "SCRAM" not in str(result)
    for _database, sql, argv, environment in server.calls():
        assert canary not in sql
        assert "SCRAM" not in str(argv) + str(environment)
        assert "log_statement=none" in environment["PGOPTIONS"]
        if "PASSWORD" in sql:
            assert "--set=VERBOSITY=sqlstate" in argv, "an error would show the statement"


def test_an_error_names_the_object_and_what_was_done(server: Server, tmp_path: Path) -> None:
    (tmp_path / "fail").write_text("CREATE DATABASE")
    result = server.call(roles=[{"name": "one"}], databases=[{"name": "two"}])
    assert result["msg"] == 'database two: it does not please me (CREATE DATABASE "two" TEMPLATE "template0")'
    assert (result["changed"], result["statements"]) == (True, ['CREATE ROLE "one"'])


EVIL = "we\"ird'; DROP DATABASE app; -- \\! id \\ :app $$\n host=/tmp"


def test_names_never_become_statements_or_connection_strings(server: Server) -> None:
    server.call(
        roles=[{"name": EVIL, "settings": {"application_name": EVIL}}],
        databases=[{"name": EVIL, "owner": EVIL}],
        schemas=[{"database": EVIL, "name": EVIL}],
    )
    inner = EVIL.replace('"', '""')
    value = EVIL.replace("'", "''").replace("\\", "\\\\")
    assert server.executed() == [
        ("postgres", f'CREATE ROLE "{inner}";'),
        ("postgres", f'ALTER ROLE "{inner}" SET "application_name" =  E\'{value}\';'),
        ("postgres", f'CREATE DATABASE "{inner}" TEMPLATE "template0" OWNER "{inner}";'),
        (EVIL, f'CREATE SCHEMA "{inner}";'),
    ]
    assert not [argv for _database, _sql, argv, _env in server.calls() if EVIL in str(argv)]


def test_what_a_function_is_called_is_only_looked_up(server: Server) -> None:
    result = server.call(grants=[grant(type="function", privileges=["execute"], objects=["f(integer) TO x; --"])])
    assert "there is no function app.f(integer) TO x; -- in app" in result["msg"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"databases": [{"name": "app", "state": "absent"}]}, "database app would be dropped with all that is in it"),
        ({"schemas": [{"database": "app", "name": "app", "state": "absent"}]}, "schema app in app would be dropped"),
        ({"databases": [{"name": "app", "encoding": "LATIN1"}]}, "database app has encoding UTF8, not LATIN1"),
        ({"roles": [{"name": "pg_mine"}]}, "role pg_mine cannot be made"),
        ({"roles": [{"name": "x" * 64}]}, "must have from 1 to 63 bytes"),
        ({"roles": [{"name": "a"}, {"name": "a"}]}, "roles: a is given more than once"),
        ({"roles": [{"name": "a", "valid_until": "tomorrow"}]}, "role a: valid_until = 'tomorrow'"),
        ({"roles": [{"name": "a", "password_verifier": "geheim"}]}, "role a: password_verifier is no SCRAM-SHA-256"),
        ({"roles": [{"name": "a", "password_file": "/nowhere"}]}, "role a: password_file /nowhere cannot be read"),
        ({"grants": [grant(objects=["x"])]}, "there is no table app.x in app"),
        ({"grants": [grant(schema="x")]}, "there is no schema x in app"),
        ({"grants": [grant(schema=None)]}, "needs its schema"),
        ({"grants": [grant(privileges=["execute"])]}, "'execute' is none of select, insert"),
        ({"grants": [grant(type="schema", default_for="app", privileges=["usage"])]}, "default_for does not fit type"),
        ({"functions": [function(arguments="i int); DROP DATABASE app; --")]}, "must be names and types"),
        ({"functions": [function(returns="int AS 'x'")]}, "must be names and types"),
        ({"extensions": [{"database": "x", "name": "y"}]}, "there is no database x"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_changed(
    server: Server, options: dict[str, Any], words: str
) -> None:
    result = server.call(**({"roles": [{"name": "first"}]} | options))
    assert words in result["msg"]
    assert server.executed() == []


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [("pencil\n", 0o644, "can be read by everybody"), ("\n", 0o600, "one line"), ("a\nb\n", 0o600, "one line")],
)
def test_a_password_file_must_be_fit(server: Server, tmp_path: Path, text: str, mode: int, words: str) -> None:
    result = server.call(roles=[{"name": "app", "password_file": password_file(tmp_path, text, mode)}])
    assert words in result["msg"]
    assert server.executed() == []


def test_with_leave_to_lose_data_what_is_dropped_comes_last(server: Server) -> None:
    result = server.call(
        roles=[{"name": "app", "state": "absent"}, {"name": "new"}],
        databases=[{"name": "app", "state": "absent"}],
        allow_data_loss=True,
    )
    assert result["statements"] == ['CREATE ROLE "new"', 'DROP DATABASE "app"', 'DROP ROLE "app"']


def test_a_server_that_does_not_answer_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "psql").write_text(
        "#!/bin/sh\necho 'psql: error: connection to server failed: no such file' >&2\nexit 2\n"
    )
    result = server.call(port=5499)
    assert result["msg"].startswith(f"PostgreSQL does not answer on {tmp_path}, port 5499")
    assert result["msg"].endswith("connection to server failed: no such file")


@pytest.mark.parametrize("options", [{"port": 5499}, {"os_user": "nobody-of-this-name"}], ids=["socket", "user"])
def test_check_mode_before_the_first_run_has_no_server_to_ask(server: Server, options: dict[str, Any]) -> None:
    result = server.call(check=True, roles=[{"name": "app"}], **options)
    assert result["changed"] and server.calls() == []
    assert "yet; it would be looked at after the tasks before it" in result["warnings"][0]


def test_without_check_mode_a_missing_user_is_an_error(server: Server) -> None:
    assert "psql cannot be run as nobody-of-this-name" in server.call(os_user="nobody-of-this-name")["msg"]


def test_what_was_not_foreseen_is_not_shown(server: Server) -> None:
    server.cluster = {"standby": False}
    result = server.call(roles=[{"name": "x", "password_verifier": scram.make("geheim")}])
    assert result["msg"] == "unforeseen KeyError; its text is not shown, as it may hold a secret"
