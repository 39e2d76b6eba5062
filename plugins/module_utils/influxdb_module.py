# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the modules for InfluxDB have in common: their options, and how what they do becomes a result.

CONNECTION, USER and COPY are documented in plugins/doc_fragments/influxdb.py, the others in each module.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .influxdb.backups import BackupError
from .influxdb.client import Client, InfluxError, NoAdmin, Unreachable, read_password
from .influxdb.influxql import QueryError, name, string
from .influxdb.objects import State, Step, apply, difference, losses, read

CONNECTION: dict[str, Any] = {
    "url": {"type": "str", "default": "https://127.0.0.1:8086"},
    "user": {"type": "str", "default": "admin"},
    "user_password_file": {"type": "path", "default": "/etc/influxdb/credentials/admin", "no_log": False},
    "ca_path": {"type": "path"},
    "timeout": {"type": "float", "default": 30},
}
STATE: dict[str, Any] = {"state": {"type": "str", "choices": ["present", "absent"], "default": "present"}}
ALLOW_DATA_LOSS: dict[str, Any] = {"allow_data_loss": {"type": "bool", "default": False}}
# A copy in the repository, and the programs that bring it back.
COPY: dict[str, Any] = {
    "copy": {"type": "str", "default": "latest"},
    "env_file": {"type": "path", "default": "/etc/chainops/restic/influxdb.env"},
    "influxd": {"type": "path", "default": "/usr/bin/influxd"},
    "restic": {"type": "path", "default": "/usr/bin/restic"},
    "cache_dir": {"type": "path", "default": "/var/cache/influxdb-drill"},
}
NAME: dict[str, Any] = {"type": "str", "required": True}
POLICY: dict[str, Any] = {
    "name": NAME,
    "duration": {"type": "str"},
    "shard_duration": {"type": "str"},
    "default": {"type": "bool", "default": False},
}
QUERY: dict[str, Any] = {
    "name": NAME,
    "query": {"type": "str"},
    "resample_every": {"type": "str"},
    "resample_for": {"type": "str"},
}
USER: dict[str, Any] = {
    "name": NAME,
    "password_file": {"type": "path", "no_log": False},
    "admin": {"type": "bool", "default": False},
    "grants": {"type": "dict", "default": {}},
    "exclusive": {"type": "bool", "default": True},
}
RIGHTS = {"READ", "WRITE", "ALL"}
Plan = Callable[[State, Client], list[Step]]


class Loss(InfluxError):
    """Steps that delete data, which nobody has allowed."""

    def __init__(self, text: str, steps: list[Step]) -> None:
        super().__init__(text)
        self.steps = steps


class Anonymous(Client):
    """In check mode, a server that does not exist yet: nobody is let in, nothing is there."""

    def query(self, *statements: str, database: str = "", post: bool = False) -> list[list[dict[str, Any]]]:
        raise Unreachable(f"{self.url} does not answer")


def client_of(given: dict[str, Any]) -> Client:
    return Client(
        given["url"], given["user"], given["user_password_file"] if given["user"] else "", given["ca_path"] or "",
        given["timeout"],
    )  # fmt: skip


def ensure_password(path: str, check: bool) -> None:
    """Make a password of 256 random bits, for root alone."""
    file = Path(path)
    if not check:
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Whole or not at all, and never readable by others.
            handle = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as new:
                new.write(secrets.token_urlsafe(32) + "\n")
                new.flush()
                os.fsync(new.fileno())
            Path(f"{path}.new").replace(file)
        except OSError as error:
            raise InfluxError(f"the password file {path} cannot be made: {error.strerror}") from None


def first_admin(given: dict[str, Any], check: bool) -> list[Step]:
    """On a server without an administrator, the only statement that it takes is the one that makes him."""
    step = Step([], after=f"user {given['user']}: administrator, no rights")
    if not check:
        password = string(read_password(given["user_password_file"]))
        statement = f"CREATE USER {name(given['user'])} WITH PASSWORD {password} WITH ALL PRIVILEGES"
        client_of(given | {"user": ""}).query(statement, post=True)
    return [step]


def first_contact(given: dict[str, Any], check: bool) -> list[Step]:
    """Where no password is on the host: a server without an administrator gets one; one that has him is an error."""
    path = given["user_password_file"]
    try:
        read(client_of(given | {"user": ""}))
    except NoAdmin:
        ensure_password(path, check)
        return [Step([], after=f"password file {path}")]
    except Unreachable:
        if not check:
            raise
        return [Step([], after=f"password file {path}")]
    except InfluxError as error:
        if not error.status:
            raise
    raise InfluxError(f"{path} is missing, and the server has an administrator already: bring his password back")


def work(given: dict[str, Any], plan: Plan, check: bool, bootstrap: bool = False) -> tuple[list[Step], list[str]]:
    """The steps that were (or would be) taken, and warnings."""
    done: list[Step] = []
    warnings: list[str] = []
    if bootstrap and not Path(given["user_password_file"]).exists():
        done += first_contact(given, check)
    try:
        client = client_of(given)
        try:
            state = read(client)
        except NoAdmin:
            if not bootstrap:
                raise
            done += first_admin(given, check)
            state = State() if check else read(client)
    except InfluxError as error:
        if not check or not (isinstance(error, Unreachable) or done):
            raise
        warnings.append(f"{error}; taken as a server that is empty")
        client, state = Anonymous(given["url"]), State()
    steps = plan(state, client)
    lost = losses(steps)
    if lost and not given.get("allow_data_loss"):
        raise Loss(f"this would delete {'; '.join(lost)}: set allow_data_loss to true if that is meant", steps)
    if not check:
        apply(client, steps)
    return done + steps, warnings


def user_wanted(user: dict[str, Any], check: bool) -> dict[str, Any]:
    """A user with the password read from its file; in check mode the file may come with an earlier task."""
    path, wrong = user["password_file"], sorted(set(map(str, user["grants"].values())) - RIGHTS)
    if wrong:
        raise InfluxError(f"user {user['name']}: grants must be READ, WRITE or ALL, not {', '.join(wrong)}")
    password = None
    if path:
        password = "" if check and not Path(path).exists() else read_password(path)
    return user | {"password": password}


def finish(module: Any, what: str, act: Callable[[], dict[str, Any]]) -> None:
    """End a module with what act returns, or with why it failed.

    Arguments of modules hold no secret, but what a library says when it fails might: that becomes a fixed message.
    """
    result: dict[str, Any] = {}
    failure: dict[str, Any] = {}
    try:
        result = act()
    except Loss as error:
        failure = {"msg": f"{what}: {error}", "diff": difference(error.steps)}
    except (InfluxError, QueryError, BackupError) as error:
        failure = {"msg": f"{what}: {error}"}
    except Exception as error:
        failure = {"msg": f"{what}: unexpected {type(error).__name__}"}
    # No error is being handled any more: its traceback would show the arguments of calls, among them a password.
    if failure:
        module.fail_json(**failure)
    module.exit_json(**result)


def run(module: Any, plan: Plan, bootstrap: bool = False) -> None:
    """The whole of a module that brings objects into place."""

    def act() -> dict[str, Any]:
        steps, warnings = work(module.params, plan, module.check_mode, bootstrap)
        for warning in warnings:
            module.warn(warning)
        return {
            "changed": bool(steps),
            "diff": difference(steps),
            "changes": [step.after or f"removed: {step.before}" for step in steps],
            "losses": losses(steps),
        }

    finish(module, f"InfluxDB at {module.params['url']}", act)
