# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An HTTP server that answers the statements of the modules as InfluxDB 1.6.7 was seen to answer them."""

from __future__ import annotations

import base64
import json
import re
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.unit.plugins.modules.in_process import run_module

NAME = r'"((?:[^"\\]|\\.)*)"'
PASSWORD = r"'((?:[^'\\]|\\.)*)'"


def plain(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name)


def table(columns: list[str], values: list[list[Any]], name: str = "") -> dict[str, Any]:
    series: dict[str, Any] = {"columns": columns} | ({"name": name} if name else {})
    return series | ({"values": values} if values else {})


class FakeInfluxDB:
    """Databases {name: {policies, queries}}, users {name: [password, admin, grants]}; answers overrides SELECTs."""

    def __init__(self, auth: bool = True) -> None:
        self.auth = auth
        self.databases: dict[str, dict[str, Any]] = {}
        self.users: dict[str, list[Any]] = {}
        self.shards: list[list[Any]] = []
        self.statements: list[str] = []
        self.selects: Any = lambda statement: []
        self.written: list[tuple[str, bytes]] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(204, b"")

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = fake.post(self.path, self.headers.get("Authorization", ""), body)
                self.answer(status, json.dumps(answer).encode() + b"\n" if answer is not None else b"")

            def answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("X-Influxdb-Version", "1.6.7~rc0")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def add_admin(self, name: str = "admin", password: str = "secret") -> None:
        self.users[name] = [password, True, {}]

    def add_database(self, name: str, **policies: tuple[str, str, bool]) -> None:
        found = policies or {"autogen": ("0s", "168h0m0s", True)}
        self.databases[name] = {"policies": {key: list(value) for key, value in found.items()}, "queries": {}}

    def post(self, path: str, authorization: str, body: bytes) -> tuple[int, Any]:
        if path.startswith("/write"):
            self.written.append((path, body))
            return 204, None
        form = dict(urllib.parse.parse_qsl(body.decode()))
        text = form["q"]
        bootstrap = text.startswith("CREATE USER") and not self.users
        if self.auth and not bootstrap:
            if not any(user[1] for user in self.users.values()):
                return 403, {"error": "error authorizing query: create admin user first or disable authentication"}
            if not self.known(authorization):
                return 401, {"error": "authorization failed"}
        if "BROKEN" in text:
            return 400, {"error": "error parsing query: found BROKEN, expected FROM at line 1, char 9"}
        results = []
        for number, statement in enumerate(re.split(r"; (?=[A-Z]+ )", text)):
            self.statements.append(statement)
            answer = self.execute(statement)
            results.append({"statement_id": number} | answer)
            if "error" in answer:
                break
        return 200, {"results": results}

    def known(self, authorization: str) -> bool:
        pair = base64.b64decode(authorization.removeprefix("Basic ")).decode() if authorization else ":"
        name, _colon, password = pair.partition(":")
        return name in self.users and self.users[name][0] == password

    def execute(self, statement: str) -> dict[str, Any]:
        for pattern, method in self.STATEMENTS:
            match = re.fullmatch(pattern, statement, re.DOTALL)
            if match:
                answer = method(self, *[plain(group) if group else "" for group in match.groups()])
                return {"error": answer} if isinstance(answer, str) else {"series": answer} if answer else {}
        if statement.startswith("SELECT"):
            found = self.selects(statement)
            return {"series": found} if found else {}
        return {"error": f"the fake does not know {statement}"}

    def show_databases(self) -> Any:
        return [table(["name"], [[name] for name in self.databases], "databases")]

    def show_queries(self) -> Any:
        return [
            table(["name", "query"], [[key, text] for key, text in database["queries"].items()], name)
            for name, database in self.databases.items()
        ]

    def show_users(self) -> Any:
        return [table(["user", "admin"], [[name, user[1]] for name, user in self.users.items()])]

    def show_policies(self, database: str) -> Any:
        columns = ["name", "duration", "shardGroupDuration", "replicaN", "default"]
        policies = self.databases[database]["policies"]
        return [table(columns, [[name, kept, shard, 1, default] for name, (kept, shard, default) in policies.items()])]

    def show_grants(self, user: str) -> Any:
        return [table(["database", "privilege"], [list(item) for item in self.users[user][2].items()])]

    def show_shards(self) -> Any:
        columns = [
            "id",
            "database",
            "retention_policy",
            "shard_group",
            "start_time",
            "end_time",
            "expiry_time",
            "owners",
        ]
        return [table(columns, self.shards, "shards")]

    def create_database(self, name: str, kept: str = "", shard: str = "", policy: str = "") -> Any:
        self.add_database(name, **({policy: (kept, shard, True)} if policy else {}))
        return []

    def drop_database(self, name: str) -> Any:
        self.databases.pop(name, None)
        return []

    def set_policy(self, name: str, database: str, kept: str, shard: str, default: str) -> Any:
        policies = self.databases[database]["policies"]
        if default:
            for other in policies.values():
                other[2] = False
        was_default = bool(policies.get(name, ["", "", False])[2])
        policies[name] = ["0s" if kept == "INF" else kept, shard, bool(default) or was_default]
        return []

    def drop_policy(self, name: str, database: str) -> Any:
        self.databases[database]["policies"].pop(name, None)
        return []

    def create_query(self, name: str, database: str, rest: str) -> Any:
        if name in self.databases[database]["queries"]:
            return "continuous query already exists"
        if "refused" in rest:
            return "this one fails when it is executed"
        # As the server shows it: without quotes, in units of its own.
        shown = re.sub(r'"(\w+)"', r"\1", rest).replace("60m", "1h")
        self.databases[database]["queries"][name] = f"CREATE CONTINUOUS QUERY {name} ON {database}{shown}"
        return []

    def drop_query(self, name: str, database: str) -> Any:
        self.databases[database]["queries"].pop(name, None)
        return []

    def create_user(self, name: str, password: str, admin: str) -> Any:
        self.users[name] = [password, bool(admin), {}]
        return []

    def drop_user(self, name: str) -> Any:
        self.users.pop(name, None)
        return []

    def set_password(self, name: str, password: str) -> Any:
        self.users[name][0] = password
        return []

    def set_admin(self, verb: str, word: str, name: str) -> Any:
        self.users[name][1] = verb == "GRANT"
        return []

    def grant(self, right: str, database: str, name: str) -> Any:
        self.users[name][2][database] = "ALL PRIVILEGES" if right == "ALL" else right
        return []

    def revoke(self, database: str, name: str) -> Any:
        # The server was seen to keep the line.
        self.users[name][2][database] = "NO PRIVILEGES"
        return []

    STATEMENTS: Any = [
        (r"SHOW DATABASES", show_databases),
        (r"SHOW CONTINUOUS QUERIES", show_queries),
        (r"SHOW USERS", show_users),
        (r"SHOW SHARDS", show_shards),
        (rf"SHOW RETENTION POLICIES ON {NAME}", show_policies),
        (rf"SHOW GRANTS FOR {NAME}", show_grants),
        (rf"CREATE DATABASE {NAME}", create_database),
        (
            rf"CREATE DATABASE {NAME} WITH DURATION (\S+) REPLICATION 1 SHARD DURATION (\S+) NAME {NAME}",
            create_database,
        ),
        (rf"DROP DATABASE {NAME}", drop_database),
        (
            rf"(?:CREATE|ALTER) RETENTION POLICY {NAME} ON {NAME} DURATION (\S+) REPLICATION 1 "
            r"SHARD DURATION (\S+)( DEFAULT)?",
            set_policy,
        ),
        (rf"DROP RETENTION POLICY {NAME} ON {NAME}", drop_policy),
        (rf"CREATE CONTINUOUS QUERY {NAME} ON {NAME}(.*)", create_query),
        (r"CREATE CONTINUOUS QUERY (\w+) ON (\w+)(.*)", create_query),
        (rf"DROP CONTINUOUS QUERY {NAME} ON {NAME}", drop_query),
        (rf"CREATE USER {NAME} WITH PASSWORD {PASSWORD}( WITH ALL PRIVILEGES)?", create_user),
        (rf"DROP USER {NAME}", drop_user),
        (rf"SET PASSWORD FOR {NAME} = {PASSWORD}", set_password),
        (rf"(GRANT|REVOKE) ALL PRIVILEGES (TO|FROM) {NAME}", set_admin),
        (rf"GRANT (\w+) ON {NAME} TO {NAME}", grant),
        (rf"REVOKE ALL ON {NAME} FROM {NAME}", revoke),
    ]


class Asked:
    """Runs a module against a fake server, as its administrator."""

    def __init__(self, folder: Path, auth: bool = True) -> None:
        self.fake = FakeInfluxDB(auth)
        self.fake.add_admin()
        self.folder = folder
        self.password_file = self.file("admin", "secret")

    def file(self, name: str, content: str) -> str:
        path = self.folder / name
        path.write_text(content + "\n", encoding="utf-8")
        return str(path)

    def run(self, module: ModuleType, check: bool = False, **options: Any) -> dict[str, Any]:
        self.fake.statements.clear()
        connection = {"url": self.fake.url, "user_password_file": self.password_file}
        return run_module(module, check, **(connection | options))

    @property
    def changes(self) -> list[str]:
        """What was sent that changes something."""
        return [text for text in self.fake.statements if not text.startswith(("SHOW", "SELECT")) or " INTO " in text]
