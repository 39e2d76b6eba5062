"""The three stores behind one face: what a command line or a trace's head says is turned into writers and finders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from . import influx_writer, redis_writer, writer
from .engine import Sink
from .ledger import Ledger, Verdict, compare

KINDS: dict[str, Any] = {
    "postgresql": writer.Options,
    "redis": redis_writer.Options,
    "influxdb": influx_writer.Options,
}


@dataclass
class Store:
    """A store as one run sees it."""

    kind: str
    addresses: list[str]
    run: str
    options: Any

    @classmethod
    def from_head(cls, head: dict[str, Any]) -> Store:
        """As written in a trace."""
        made = KINDS[head["kind"]]
        given = {
            field.name: Path(value) if field.name == "password_file" and value else value
            for field in fields(made)
            if (value := head["options"].get(field.name)) is not None
        }
        return cls(head["kind"], head["addresses"], head["run"], made(**given))

    def head(self) -> dict[str, Any]:
        """For a trace; a password is a path in it."""
        options = {
            name: str(value) if isinstance(value, Path) else value for name, value in asdict(self.options).items()
        }
        return {"kind": self.kind, "addresses": self.addresses, "run": self.run, "options": options}

    def opener(self) -> Callable[[str], Sink]:
        """Opens a connection to one of the addresses."""
        made = {"postgresql": writer.Sink, "redis": redis_writer.Sink, "influxdb": influx_writer.Sink}[self.kind]
        return lambda address: made.opened(address, self.options, self.run)

    def prepare(self, patience: float = 60.0) -> None:
        """Whatever must be there before the first row."""
        if self.kind == "postgresql":
            writer.prepare(self.addresses, self.options, patience)
        elif self.kind == "redis":
            redis_writer.prepare(self.addresses, self.options, patience)
        else:
            influx_writer.query(self.addresses[0], self.options, "SHOW MEASUREMENTS LIMIT 1", patience)

    def find(self, ledger: Ledger, patience: float = 120.0) -> set[int]:
        """The numbers that the store has."""
        if self.kind == "postgresql":
            return writer.find(self.addresses, self.options, self.run, patience)
        if self.kind == "redis":
            return redis_writer.find(self.addresses, self.options, self.run, ledger.rows, patience)
        found = influx_writer.counts(self.addresses[0], self.options, self.run, max(ledger.rows, default=0))
        return influx_writer.whole(found, self.options)

    def judge(self, ledger: Ledger, patience: float = 120.0) -> Verdict:
        """The ledger against what is there now."""
        return compare(ledger, self.find(ledger, patience), ordered=self.kind == "postgresql")
