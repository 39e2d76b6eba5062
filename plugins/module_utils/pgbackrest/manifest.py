# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a cluster held at a named restore point, so that a restore to it can be compared row by row.

Locks on the tables make it exact: while they are held nobody writes to them, the snapshot is taken and the restore
point is written. Giving them up again needs no end of the transaction, only a return to a savepoint, and the snapshot
stays. So writers wait for milliseconds, however long the counting takes.

Locks that were got are held while the next is waited for, and lock_timeout counts for each table anew. So the whole
statement is bounded; the bound ends with the savepoint, and does not hold for the counting.
"""

from __future__ import annotations

import json
import re
import time
import typing as t
from dataclasses import dataclass

from .command import PgbackrestError
from .psql import Psql, literal, name

FORMAT = 1
SCHEMA = "chainops_drill"
TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,62}(\.[A-Za-z_][A-Za-z0-9_$]{0,62})?")
POINT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
POLL_SECONDS = 0.5
# Of a lock timeout, a statement timeout and a deadlock
AGAIN = ("lock timeout", "55P03", "57014", "40P01")

STATE = """
SELECT json_build_object('standby', pg_is_in_recovery(), 'version', current_setting('server_version_num')::int,
  'system', (SELECT system_identifier::text FROM pg_control_system()), 'checksums', current_setting('data_checksums'),
  'archive_mode', current_setting('archive_mode'));
"""
ALL_TABLES = f"""
SELECT json_build_array(n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname NOT IN ('pg_catalog', 'information_schema', '{SCHEMA}')
AND n.nspname NOT LIKE 'pg\\_t%' ORDER BY 1::text;
"""
MARKER_TABLE = f"""
SET client_min_messages = warning;
CREATE SCHEMA IF NOT EXISTS {SCHEMA};
CREATE TABLE IF NOT EXISTS {SCHEMA}.marker (
  point text NOT NULL, side text NOT NULL,
  written timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (point, side));
"""


@dataclass(frozen=True)
class Wish:
    """What a manifest is made of."""

    point: str
    stanza: str
    tables: tuple[str, ...] = ()
    checksums: tuple[str, ...] = ()
    lock_timeout_ms: int = 2000
    attempts: int = 5
    archive_timeout: float = 120
    wait: bool = True

    def check(self) -> None:
        if not POINT.fullmatch(self.point):
            raise ValueError(f"name = {self.point}: must be letters, digits, '.', '_' and '-', at most 63")
        for table in (*self.tables, *self.checksums):
            if not TABLE.fullmatch(table):
                raise ValueError(f"table {table}: must be schema.table of plain names")


def split(table: str) -> tuple[str, str]:
    schema, _dot, relation = table.rpartition(".")
    return schema or "public", relation


def quoted(table: tuple[str, str]) -> str:
    return f"{name(table[0])}.{name(table[1])}"


def count(table: tuple[str, str], checksum: bool) -> str:
    """One line of JSON about a table. The sum of the rows' hashes does not depend on their order."""
    total = "coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text" if checksum else "NULL"
    return f"SELECT json_build_array({literal('.'.join(table))}, count(*), {total}) FROM ONLY {quoted(table)} AS t;"


def bound_script(wish: Wish, tables: list[tuple[str, str]], summed: set[tuple[str, str]]) -> str:
    """Snapshot and restore point at one moment, then the counting."""
    listed = ", ".join(f"ONLY {quoted(table)}" for table in tables)
    point = f"""SELECT json_build_object('lsn', lsn::text, 'file', pg_walfile_name(lsn), 'time', clock_timestamp())
FROM pg_create_restore_point({literal(wish.point)}) AS lsn;"""
    counts = "\n".join(count(table, table in summed) for table in tables)
    return f"""\\set VERBOSITY verbose
BEGIN ISOLATION LEVEL REPEATABLE READ;
SET LOCAL lock_timeout = {int(wish.lock_timeout_ms)};
LOCK TABLE {listed} IN ACCESS SHARE MODE;
SAVEPOINT held;
SET LOCAL statement_timeout = {int(wish.lock_timeout_ms)};
LOCK TABLE {listed} IN SHARE MODE;
{point}
ROLLBACK TO SAVEPOINT held;
{counts}
COMMIT;"""


def state(psql: Psql) -> dict[str, t.Any]:
    found = psql.row(STATE, 30)
    if not isinstance(found, dict):
        raise PgbackrestError("PostgreSQL did not say whether it is a standby")
    return found


def make(psql: Psql, wish: Wish, system: dict[str, t.Any]) -> dict[str, t.Any]:
    """Write marker and restore point, count, and wait until the WAL that holds the point is in the archive."""
    if system["archive_mode"] == "off":
        raise PgbackrestError("archive_mode is off: no restore point would ever reach a repository")
    summed = {split(table) for table in wish.checksums}
    tables = [split(table) for table in wish.tables] or [tuple(row) for row in psql.rows(ALL_TABLES, 60)]
    tables = sorted({*tables, *summed})
    if not tables:
        raise PgbackrestError(f"the database {psql.database} has no table: a manifest of nothing proves nothing")
    marker = f"INSERT INTO {SCHEMA}.marker (point, side) VALUES ({literal(wish.point)}, "
    psql.rows(f"{MARKER_TABLE}{marker}'before');", 60)
    answers = attempt(psql, wish, bound_script(wish, tables, summed))
    point, counts = answers[0], answers[1:]
    psql.rows(f"{marker}'after'); SELECT to_json(pg_switch_wal()::text);", 60)
    if wish.wait:
        wait_archived(psql, point["file"], wish.archive_timeout)
    return {
        "format": FORMAT,
        "stanza": wish.stanza,
        "name": wish.point,
        "created": point["time"],
        "lsn": point["lsn"],
        "wal_file": point["file"],
        "system_identifier": system["system"],
        "server_version": system["version"],
        "database": psql.database,
        "tables": {table: {"rows": rows, "checksum": checksum} for table, rows, checksum in counts},
    }


def attempt(psql: Psql, wish: Wish, script: str) -> list[t.Any]:
    """Writers of long transactions may hold the tables; give way to others and try again."""
    for left in range(wish.attempts - 1, -1, -1):
        done = psql.run(script)
        if done.code == 0:
            break
        # Once the point is made nothing is tried again: there must be one of its name.
        if not left or done.out.strip() or not any(words in done.err for words in AGAIN):
            raise PgbackrestError(f"PostgreSQL refused: {done.reason}")
        time.sleep(1)
    return [json.loads(line) for line in done.out.splitlines() if line.strip()]


def wait_archived(psql: Psql, wal_file: str, timeout: float) -> None:
    """Until this segment is in every repository: archive-push succeeds only when all of them have it."""
    sql = (
        "SELECT json_build_array(coalesce(last_archived_wal, ''), coalesce(last_failed_wal, '')) FROM pg_stat_archiver;"
    )
    end = time.monotonic() + timeout
    while True:
        archived, failed = psql.row(sql, 30)
        if archived[:24] >= wal_file:
            return
        if time.monotonic() >= end:
            why = f"; the last that failed is {failed}" if failed else ""
            raise PgbackrestError(
                f"{wal_file}, which holds the restore point, is not archived after {timeout:g} s{why}"
            )
        time.sleep(POLL_SECONDS)


def compare(psql: Psql, manifest: dict[str, t.Any]) -> list[str]:
    """What differs between a restored server and the manifest; nothing is good."""
    problems = []
    system = state(psql)
    if system["system"] != manifest["system_identifier"]:
        return [f"this is the cluster {system['system']}, the manifest is of {manifest['system_identifier']}"]
    sides = psql.rows(f"SELECT to_json(side) FROM {SCHEMA}.marker WHERE point = {literal(manifest['name'])};", 60)
    if "before" not in sides:
        problems.append("the marker row written before the restore point is missing")
    if "after" in sides:
        problems.append("the marker row written after the restore point is there: the restore went too far")
    for table, known in sorted(manifest["tables"].items()):
        schema, _dot, relation = table.partition(".")
        try:
            _name, rows, checksum = psql.row(count((schema, relation), known["checksum"] is not None))
        except PgbackrestError as error:
            problems.append(f"{table}: {str(error)[:200]}")
            continue
        if rows != known["rows"]:
            problems.append(f"{table} has {rows} rows, not {known['rows']}")
        elif checksum != known["checksum"]:
            problems.append(f"{table} has as many rows as it should, with another content")
    return problems
