# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""SQL through psql: statements on its standard input, answers as lines of JSON."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass

from .command import Done, PgbackrestError, run

# A value's text must not depend on who asks, since checksums are made of it.
SETTINGS = (
    "SET datestyle = 'ISO, YMD'; SET timezone = 'UTC'; SET intervalstyle = 'postgres'; SET bytea_output = 'hex'; "
    "SET extra_float_digits = 3; SET standard_conforming_strings = on; SET search_path = pg_catalog;"
)


def literal(text: str) -> str:
    """A text as an SQL literal; standard_conforming_strings is on."""
    if "\0" in text:
        raise ValueError("a text with a NUL is no SQL literal")
    return "'" + text.replace("'", "''") + "'"


def name(text: str) -> str:
    """One identifier."""
    if not text or "\0" in text:
        raise ValueError("an empty name is no identifier")
    return '"' + text.replace('"', '""') + '"'


@dataclass(frozen=True)
class Psql:
    """Where a server listens, and who asks."""

    socket_dir: str
    port: int
    database: str = "postgres"
    user: str | None = None
    role: str = "postgres"
    program: str = "psql"

    def run(self, sql: str, timeout: float | None = None) -> Done:
        """Run a script; it ends at the first error."""
        words = [self.program, "-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1", "-h", self.socket_dir]
        words += ["-p", str(self.port), "-U", self.role, "-d", self.database, "-f", "-"]
        return run(words, self.user, f"{SETTINGS}\n{sql}\n", timeout)

    def rows(self, sql: str, timeout: float | None = None) -> list[t.Any]:
        """The answers of a script in which every statement that answers gives one JSON value a row."""
        done = self.run(sql, timeout)
        if done.code:
            raise PgbackrestError(f"PostgreSQL refused: {done.reason}")
        try:
            return [json.loads(line) for line in done.out.splitlines() if line.strip()]
        except ValueError:
            raise PgbackrestError(f"PostgreSQL's answer is no JSON: {done.out[:200]}") from None

    def row(self, sql: str, timeout: float | None = None) -> t.Any:
        found = self.rows(sql, timeout)
        if len(found) != 1:
            raise PgbackrestError(f"PostgreSQL gave {len(found)} answers where one was asked for")
        return found[0]
