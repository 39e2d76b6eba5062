"""Keys for Redis: SET, then WAIT for so many replicas. Acknowledged means that WAIT counted at least as many.

The library's connections are used without its clients, which ask again by themselves what may have been done already.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from redis.backoff import NoBackoff
from redis.connection import AbstractConnection, Connection, SSLConnection
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from .engine import CannotConnect, Outcome
from .ledger import ACKNOWLEDGED, INDETERMINATE, REFUSED
from .writer import split, words

Found = TypeVar("Found")

AT_ONCE = 500
"""Keys asked for by one request at the end."""


@dataclass
class Options:
    """How to reach Redis."""

    user: str = "prover"
    password_file: Path | None = None
    """One line; never given on a command line."""
    tls: bool = True
    ca: str = ""
    server_name: str = ""
    """The name that certificates must bear, where it is not the address: a balancer passes TLS through."""
    replicas: int = 2
    """How many must have a write for it to be acknowledged."""
    wait_ms: int = 1000
    timeout: float = 2.0


class NamedConnection(SSLConnection):
    """TLS whose certificate must bear a name other than the address that is connected to."""

    def __init__(self, server_name: str = "", **given: Any) -> None:
        super().__init__(**given)
        self._server_name = server_name

    def _wrap_socket_with_ssl(self, sock: socket.socket) -> Any:
        address, self.host = self.host, self._server_name or self.host
        try:
            return super()._wrap_socket_with_ssl(sock)
        finally:
            self.host = address


def connect(address: str, options: Options) -> AbstractConnection:
    """A connection that is authenticated; whatever fails on it is told, and nothing repeated."""
    host, port = split(address)
    given: dict[str, Any] = {
        "host": host,
        "port": port,
        "username": options.user,
        "socket_timeout": options.timeout + options.wait_ms / 1000,
        "socket_connect_timeout": options.timeout,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_timeout": False,
        "client_name": "prover",
    }
    if options.password_file:
        given["password"] = options.password_file.read_text(encoding="utf-8").splitlines()[0]
    if not options.tls:
        connection: AbstractConnection = Connection(**given)
    else:
        connection = NamedConnection(
            server_name=options.server_name, ssl_ca_certs=options.ca or None, ssl_check_hostname=True, **given
        )
    connection.connect()
    return connection


def ask(connection: AbstractConnection, *command: Any) -> Any:
    """One command's answer."""
    connection.send_command(*command, check_health=False)
    return connection.read_response()


def key(run: str, number: int) -> str:
    return f"prover:{run}:{number}"


class Sink:
    """One connection, to one server for as long as it lives."""

    def __init__(self, connection: AbstractConnection, run: str, options: Options) -> None:
        self._connection = connection
        self._run = run
        self._options = options
        facts = dict(
            line.split(":", 1) for line in text(ask(connection, "INFO", "everything")).splitlines() if ":" in line
        )
        if facts.get("role") != "master":
            raise RedisError(f"the server says role:{facts.get('role')}")
        self._server, self._generation = facts["run_id"], facts["master_replid"]

    @classmethod
    def opened(cls, address: str, options: Options, run: str) -> Sink:
        connection = None
        try:
            connection = connect(address, options)
            return cls(connection, run, options)
        except (RedisError, OSError) as error:
            if connection:
                connection.disconnect()
            raise CannotConnect(f"no connection: {words(error)}") from None

    def write(self, number: int) -> Outcome:
        who = {"server": self._server, "generation": self._generation}
        try:
            ask(self._connection, "SET", key(self._run, number), number)
        except ResponseError as error:
            # READONLY, NOREPLICAS, OOM, MASTERDOWN: nothing was written; perhaps there is another master by now
            return Outcome(REFUSED, f"SET: {words(error)}", broken=True, **who)
        except (RedisError, OSError, ValueError) as error:
            return Outcome(INDETERMINATE, f"SET: {words(error)}", broken=True, **who)
        written = time.monotonic()
        try:
            replicas = int(ask(self._connection, "WAIT", self._options.replicas, self._options.wait_ms))
        except (RedisError, OSError, ValueError) as error:
            return Outcome(INDETERMINATE, f"WAIT: {words(error)}", written, broken=True, **who)
        if replicas < self._options.replicas:
            return Outcome(INDETERMINATE, f"WAIT: {replicas} of {self._options.replicas} replicas", written, **who)
        return Outcome(ACKNOWLEDGED, "", written, **who)

    def abort(self) -> None:
        used = getattr(self._connection, "_sock", None)
        if used is not None:
            used.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(RedisError, OSError):
            self._connection.disconnect()


def text(answer: Any) -> str:
    return answer.decode() if isinstance(answer, bytes) else str(answer)


def insist(
    addresses: list[str], options: Options, use: Callable[[AbstractConnection], Found], patience: float
) -> Found:
    """What ``use`` makes of a connection to a server that answers, tried again until patience ends."""
    until = time.monotonic() + patience
    trouble = ""
    while time.monotonic() < until:
        for address in addresses:
            connection = None
            try:
                connection = connect(address, options)
                return use(connection)
            except (RedisError, OSError) as error:
                trouble = words(error)
            finally:
                if connection:
                    connection.disconnect()
        time.sleep(0.3)
    raise CannotConnect(f"{', '.join(addresses)} did not serve in {patience:g} s: {trouble}")


def prepare(addresses: list[str], options: Options, patience: float = 60.0) -> None:
    """A master answers when this returns."""
    insist(addresses, options, lambda connection: ask(connection, "PING"), patience)


def find(addresses: list[str], options: Options, run: str, offered: Iterable[int], patience: float = 120.0) -> set[int]:
    """Which of the offered numbers the master has. Nothing is searched for: KEYS would stop a large server."""
    numbers = list(offered)

    def look(connection: AbstractConnection) -> set[int]:
        found = set()
        for start in range(0, len(numbers), AT_ONCE):
            part = numbers[start : start + AT_ONCE]
            values = ask(connection, "MGET", *(key(run, number) for number in part))
            found |= {number for number, value in zip(part, values, strict=True) if value is not None}
        return found

    return insist(addresses, options, look, patience)


def remove(addresses: list[str], options: Options, run: str, offered: Iterable[int], patience: float = 60.0) -> None:
    """Take the run's keys out again."""
    numbers = list(offered)

    def unlink(connection: AbstractConnection) -> None:
        for start in range(0, len(numbers), AT_ONCE):
            ask(connection, "UNLINK", *(key(run, number) for number in numbers[start : start + AT_ONCE]))

    insist(addresses, options, unlink, patience)
