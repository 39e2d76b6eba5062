"""Points for InfluxDB, in numbered batches. A batch is acknowledged by 204, and counted again at the end.

Batch n has its own moment of time, BATCH_NS after that of the one before, so that one query counts every batch of every
series: what is lost is known batch by batch, and with it when it had been acknowledged.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from .engine import CannotConnect, Outcome
from .ledger import ACKNOWLEDGED, INDETERMINATE, REFUSED
from .writer import split, words

BATCH_NS = 10_000_000
MEASUREMENT = "prover"


@dataclass
class Options:
    """How to reach InfluxDB, and what a batch is."""

    database: str = "prover"
    policy: str = ""
    """A retention policy; empty for the database's default."""
    user: str = "prover"
    password_file: Path | None = None
    """One line; never given on a command line."""
    tls: bool = True
    ca: str = ""
    timeout: float = 10.0
    series: int = 50
    points: int = 5000
    """Points in a batch; the same number for each series."""
    base_ns: int = 0
    """The moment of batch 0, in nanoseconds since 1970."""

    def __post_init__(self) -> None:
        if self.points % self.series or not 0 < self.points // self.series < BATCH_NS:
            raise ValueError(f"points is {self.points}; a multiple of series, which is {self.series}")


def body(run: str, number: int, options: Options) -> bytes:
    """A batch in line protocol."""
    at = options.base_ns + number * BATCH_NS
    moments = [f" value={number}i {at + place}" for place in range(options.points // options.series)]
    return "\n".join(
        f"{MEASUREMENT},run={run},source={series}{moment}" for series in range(options.series) for moment in moments
    ).encode()


def connect(address: str, options: Options) -> http.client.HTTPConnection:
    host, port = split(address)
    if not options.tls:
        connection = http.client.HTTPConnection(host, port, timeout=options.timeout)
    else:
        context = ssl.create_default_context(cafile=options.ca or None)
        connection = http.client.HTTPSConnection(host, port, timeout=options.timeout, context=context)
    connection.connect()
    return connection


def headers(options: Options) -> dict[str, str]:
    if not options.password_file:
        return {}
    password = options.password_file.read_text(encoding="utf-8").splitlines()[0]
    return {"Authorization": "Basic " + base64.b64encode(f"{options.user}:{password}".encode()).decode()}


class Sink:
    """One kept connection."""

    def __init__(self, connection: http.client.HTTPConnection, address: str, run: str, options: Options) -> None:
        self._connection = connection
        self._address = address
        self._run = run
        self._options = options
        asked = {"db": options.database, "precision": "ns"} | ({"rp": options.policy} if options.policy else {})
        self._path = f"/write?{urlencode(asked)}"
        self._headers = headers(options)

    @classmethod
    def opened(cls, address: str, options: Options, run: str) -> Sink:
        try:
            return cls(connect(address, options), address, run, options)
        except OSError as error:
            raise CannotConnect(f"no connection: {words(error)}") from None

    def write(self, number: int) -> Outcome:
        try:
            self._connection.request("POST", self._path, body(self._run, number, self._options), self._headers)
            answer = self._connection.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Outcome(INDETERMINATE, words(error), server=self._address, broken=True)
        if answer.status == 204:
            return Outcome(ACKNOWLEDGED, server=self._address, written=time.monotonic())
        # 400 may be a partial write and 5xx a timeout behind the answer; 401 to 404 and 413 come before any point
        fate = REFUSED if answer.status in (401, 403, 404, 413) else INDETERMINATE
        return Outcome(fate, f"HTTP {answer.status} {said[:120].decode(errors='replace')}", server=self._address)

    def abort(self) -> None:
        used = self._connection.sock
        if used is not None:
            used.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.close()


def query(address: str, options: Options, text: str, patience: float = 60.0, database: str = "") -> list[Any]:
    """The series of an InfluxQL query's only result."""
    until = time.monotonic() + patience
    asked = urlencode({"db": database or options.database, "epoch": "ns", "q": text})
    while True:
        trouble = ""
        try:
            connection = connect(address, options)
            with contextlib.closing(connection):
                connection.request("GET", f"/query?{asked}", headers=headers(options))
                answer = connection.getresponse()
                document = json.loads(answer.read())
            if answer.status < 500:
                (result,) = document.get("results") or [document]
                if "error" in result:
                    raise RuntimeError(f"{text}: {result['error']}")
                return list(result.get("series", []))
            trouble = f"HTTP {answer.status}"
        except (OSError, http.client.HTTPException, ValueError) as error:
            trouble = words(error)
        if time.monotonic() > until:
            raise CannotConnect(f"{address} did not serve in {patience:g} s: {trouble}")
        time.sleep(0.5)


def counts(address: str, options: Options, run: str, last: int, database: str = "") -> dict[int, dict[str, int]]:
    """By batch and series, the points that are there."""
    start, end = options.base_ns, options.base_ns + (last + 1) * BATCH_NS
    source = f'"{options.policy}"."{MEASUREMENT}"' if options.policy else f'"{MEASUREMENT}"'
    text = (
        f"SELECT count(value) FROM {source} WHERE run = '{run}' AND time >= {start} AND time < {end} "
        f"GROUP BY time({BATCH_NS // 1_000_000}ms), source fill(none)"
    )
    found: dict[int, dict[str, int]] = {}
    for series in query(address, options, text, database=database):
        for at, count in series["values"]:
            # the groups of GROUP BY time() begin at multiples of its length, and so does base_ns
            found.setdefault((at - options.base_ns) // BATCH_NS, {})[series["tags"]["source"]] = count
    return found


def whole(found: dict[int, dict[str, int]], options: Options) -> set[int]:
    """The batches of which every point of every series is there."""
    each = options.points // options.series
    return {
        number
        for number, by_series in found.items()
        if len(by_series) == options.series and all(count == each for count in by_series.values())
    }


def by_series(found: dict[int, dict[str, int]]) -> dict[str, int]:
    """Points of each series, over all batches."""
    total: dict[str, int] = {}
    for batch in found.values():
        for series, count in batch.items():
            total[series] = total.get(series, 0) + count
    return total


def base_now() -> int:
    """A base for batches, far enough back that a run ends before now, and at a multiple of BATCH_NS."""
    return (time.time_ns() - 3600 * 10**9) // BATCH_NS * BATCH_NS
