# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""psql on the host's socket. SQL goes in by its standard input, so that nothing of it is in a list of processes."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import typing as t
from dataclasses import dataclass
from pathlib import Path

# Nothing of what is done here ends in a log or in pg_stat_statements, where others than superusers may read.
OPTIONS = {
    "client_min_messages": "error",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_min_duration_sample": "-1",
    "log_min_error_statement": "panic",
    "pg_stat_statements.track_utility": "off",
    "lock_timeout": "20s",
    "standard_conforming_strings": "on",
}


class PsqlError(Exception):
    """What PostgreSQL, or psql, said."""


@dataclass
class Psql:
    """How the server is reached."""

    socket_dir: str = "/var/run/postgresql"
    port: int = 5432
    os_user: str = "postgres"
    program: str = "psql"
    timeout: float = 60

    def run(self, database: str, sql: str, quiet: bool = False) -> str:
        """Execute statements in a session of their own. With quiet, errors are told by their code only."""
        argv = [self.program, "--no-psqlrc", "--no-password", "--quiet", "--tuples-only", "--no-align"]
        argv += ["--set=ON_ERROR_STOP=1", f"--set=VERBOSITY={'sqlstate' if quiet else 'terse'}", "--file=-"]
        try:
            done = subprocess.run(
                argv,
                input=sql,
                env=self._environment(database),
                capture_output=True,
                text=True,
                encoding="utf-8",
                timeout=self.timeout,
                check=False,
                cwd="/",
                **self._identity(),
            )
        except subprocess.TimeoutExpired:
            raise PsqlError(
                f"no answer in {self.timeout:g} s; a commit may be waiting for a synchronous standby"
            ) from None
        except (OSError, KeyError, UnicodeError) as error:
            raise PsqlError(f"{self.program} cannot be run as {self.os_user}: {type(error).__name__}") from None
        if done.returncode != 0:
            raise PsqlError(_said(done.stderr))
        return done.stdout

    def expected(self) -> bool:
        """Whether there is a server to ask: its user, and its socket. Before a first run there is neither."""
        try:
            pwd.getpwnam(self.os_user)
        except KeyError:
            return False
        return (Path(self.socket_dir) / f".s.PGSQL.{self.port}").exists()

    def query(self, database: str, sql: str) -> t.Any:
        """The one JSON value that a query returns."""
        return json.loads(self.run(database, sql))

    def _identity(self) -> dict[str, t.Any]:
        """Peer authentication goes by the process's user."""
        user = pwd.getpwnam(self.os_user)
        if os.geteuid() == user.pw_uid:
            return {}
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def _environment(self, database: str) -> dict[str, str]:
        """PGDATABASE is a name whatever is in it; an argument could be read as a connection string."""
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LC_ALL": "C.UTF-8",
            "PGHOST": self.socket_dir,
            "PGPORT": str(self.port),
            "PGUSER": "postgres",
            "PGDATABASE": database,
            "PGAPPNAME": "ansible",
            "PGCONNECT_TIMEOUT": "10",
            "PGCLIENTENCODING": "UTF8",
            "PGOPTIONS": " ".join(f"-c {name}={value}" for name, value in OPTIONS.items()),
        }


def _said(stderr: str) -> str:
    """The first line that says what is wrong, without where in the input that was."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    wrong = [line for line in lines if "ERROR:" in line or "FATAL:" in line or "error:" in line] or lines
    if not wrong:
        return "psql failed and said nothing"
    for word in ("ERROR:", "FATAL:", "error:"):
        if word in wrong[0]:
            return wrong[0].partition(word)[2].strip()
    return wrong[0].strip()
