"""Rows for PostgreSQL: one INSERT a transaction, with the server that took it in the row itself.

The INSERT and its COMMIT are two requests, so that a connection that ends before COMMIT was sent is a refusal and one
that ends after it is not. statement_timeout does not end a COMMIT that waits for a standby; the engine's timeout does.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from .engine import CannotConnect, Outcome
from .ledger import ACKNOWLEDGED, INDETERMINATE, REFUSED

CREATE = """\
CREATE TABLE IF NOT EXISTS prover_rows (
  run text NOT NULL, number bigint NOT NULL, server inet, timeline text NOT NULL, started timestamptz NOT NULL,
  written timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (run, number))"""
# The timeline is that of the WAL now written; pg_control names it only after the first checkpoint of a new one.
INSERT = """\
INSERT INTO prover_rows (run, number, server, timeline, started)
VALUES (%s, %s, inet_server_addr(), left(pg_walfile_name(pg_current_wal_lsn()), 8), pg_postmaster_start_time())
RETURNING host(server), timeline, started"""
FIND = "SELECT number FROM prover_rows WHERE run = %s"


@dataclass
class Options:
    """How to reach the database."""

    database: str = "prover"
    user: str = "prover"
    password_file: Path | None = None
    """One line; never given on a command line."""
    sslmode: str = "verify-full"
    ca: str = ""
    server_name: str = ""
    """The name that certificates must bear, where it is not the address: a balancer passes TLS through."""
    connect_timeout: int = 2
    statement_timeout: float = 4.0
    synchronous_commit: str = "on"
    pooled: bool = False
    """Through a pooler, which lends connections for one transaction: a session has no settings of its own there. What a
    statement may take is then the engine's timeout, and synchronous_commit the server's."""


def split(address: str) -> tuple[str, int]:
    """host:port"""
    host, _dummy, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"{address} is not HOST:PORT")
    return host, int(port)


def connect(address: str, options: Options, **more: Any) -> psycopg.Connection[Any]:
    """A connection with bounded patience."""
    host, port = split(address)
    milliseconds = int(options.statement_timeout * 1000)
    settings = {
        "statement_timeout": milliseconds,
        "lock_timeout": milliseconds,
        "idle_in_transaction_session_timeout": 2 * milliseconds,
        "synchronous_commit": options.synchronous_commit,
    }
    parameters: dict[str, Any] = {
        "host": options.server_name or host,
        "port": port,
        "dbname": options.database,
        "user": options.user,
        "sslmode": options.sslmode,
        "connect_timeout": options.connect_timeout,
        "application_name": "prover",
        "tcp_user_timeout": milliseconds,
        "keepalives_idle": 2,
        "keepalives_interval": 1,
        "keepalives_count": 3,
    }
    if not options.pooled:
        parameters["options"] = " ".join(f"-c {name}={value}" for name, value in settings.items())
    if options.server_name:
        parameters["hostaddr"] = socket.gethostbyname(host)
    if options.ca:
        parameters["sslrootcert"] = options.ca
    if options.password_file:
        parameters["password"] = options.password_file.read_text(encoding="utf-8").splitlines()[0]
    return psycopg.connect(**parameters, prepare_threshold=None, **more)


class Sink:
    """One connection, one transaction at a time."""

    def __init__(self, connection: psycopg.Connection[Any], run: str) -> None:
        self._connection = connection
        self._run = run
        self._warnings: list[str] = []
        connection.add_notice_handler(self._notice)

    @classmethod
    def opened(cls, address: str, options: Options, run: str) -> Sink:
        try:
            return cls(connect(address, options), run)
        except (psycopg.Error, OSError) as error:
            raise CannotConnect(f"no connection: {words(error)}") from None

    def _notice(self, notice: psycopg.errors.Diagnostic) -> None:
        # by severity and not by text, which is the server's language: any warning to a COMMIT takes its promise back
        if notice.severity_nonlocalized == "WARNING":
            self._warnings.append(notice.message_primary or "warning")

    def write(self, number: int) -> Outcome:
        try:
            row = self._connection.execute(INSERT, (self._run, number)).fetchone()
        except (psycopg.Error, OSError) as error:
            # a server that only reads is no primary (any more): the next row tries another address
            reads_only = isinstance(error, psycopg.errors.ReadOnlySqlTransaction)
            return Outcome(REFUSED, f"INSERT: {words(error)}", broken=reads_only or not self._rolled_back())
        if row is None:
            return Outcome(REFUSED, "INSERT: nothing returned", broken=True)
        server, timeline, started = row
        return self._commit({"server": f"{server} since {started:%H:%M:%S.%f}", "generation": timeline})

    def _commit(self, who: dict[str, str]) -> Outcome:
        """What the answer to COMMIT is worth."""
        self._warnings.clear()
        try:
            tag = self._connection.execute("COMMIT").statusmessage
        except (psycopg.Error, OSError) as error:
            if self._idle():
                return Outcome(REFUSED, f"COMMIT: {words(error)}", **who)
            return Outcome(INDETERMINATE, f"COMMIT: {words(error)}", broken=True, **who)
        if tag != "COMMIT":
            return Outcome(REFUSED, f"COMMIT was answered with {tag}", broken=not self._rolled_back(), **who)
        if self._warnings:
            return Outcome(INDETERMINATE, f"COMMIT warned: {self._warnings[0]}", **who)
        return Outcome(ACKNOWLEDGED, written=time.monotonic(), **who)

    def _idle(self) -> bool:
        """Whether the server has answered and has no transaction open: an error to COMMIT that undid it."""
        if self._connection.closed:
            return False
        return self._connection.info.transaction_status == TransactionStatus.IDLE

    def _rolled_back(self) -> bool:
        """Whether the connection is fit for the next row."""
        if self._connection.closed:
            return False
        try:
            self._connection.rollback()
        except (psycopg.Error, OSError):
            return False
        return True

    def abort(self) -> None:
        with contextlib.suppress(psycopg.Error):
            twin = socket.socket(fileno=os.dup(self._connection.fileno()))
            with twin:
                twin.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(psycopg.Error, OSError):
            self._connection.close()


def words(error: BaseException) -> str:
    """An error in one line that is the same for every row."""
    state = getattr(error, "sqlstate", None)
    text = str(error).strip().splitlines()
    return f"{state or type(error).__name__} {text[0][:160] if text else ''}".strip()


def _insistent(addresses: list[str], options: Options, patience: float) -> Iterator[psycopg.Connection[Any]]:
    """Connections to one address after the other until patience ends."""
    until = time.monotonic() + patience
    trouble = ""
    while time.monotonic() < until:
        for address in addresses:
            try:
                with connect(address, options) as connection:
                    yield connection
            except (psycopg.Error, OSError) as error:
                trouble = words(error)
        time.sleep(0.5)
    raise CannotConnect(f"{', '.join(addresses)} did not serve in {patience:g} s: {trouble}")


def prepare(addresses: list[str], options: Options, patience: float = 60.0) -> None:
    """The table is there when this returns."""
    for connection in _insistent(addresses, options, patience):
        with contextlib.suppress(psycopg.Error):
            connection.execute(CREATE)
            connection.commit()
            return


def find(addresses: list[str], options: Options, run: str, patience: float = 120.0) -> set[int]:
    """The numbers of a run that the primary has."""
    for connection in _insistent(addresses, options, patience):
        with contextlib.suppress(psycopg.Error):
            if connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,):
                return {number for (number,) in connection.execute(FIND, (run,))}
    raise AssertionError
