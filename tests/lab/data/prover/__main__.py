"""Numbered rows from outside a cluster: what was acknowledged is kept, and compared with what is there at the end.

  tools/prover write postgresql 10.0.1.31:5000 10.0.2.31:5000 --ca ca.pem --password-file secret --trace rows.jsonl
  ... break something; ^C ...
  tools/prover verify rows.jsonl

``verify`` ends with 1 when an acknowledged row is lost, a refused one is there, or an old primary acknowledged one
after the new primary's first. Give ``write`` a database of its own: it makes a table (prover_rows) or keys (prover:*).
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import sys
import threading
import time
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from . import influx_writer
from .engine import CannotConnect, Engine, Pace
from .ledger import compare
from .stores import KINDS, Store
from .trace import Trace, read

HELP = {
    "ca": "the CA's certificate (PEM)",
    "server_name": "the name that certificates must bear, where it is not the address (behind a balancer)",
    "password_file": "a file with the password in its first line",
    "pooled": "through PgBouncer, which takes no settings of a session",
    "replicas": "replicas that must have a write for it to count as acknowledged",
    "statement_timeout": "seconds; a COMMIT that waits for a standby is ended by --timeout",
    "points": "points in a batch, a multiple of --series",
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="prover", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    write = commands.add_parser("write", help="write until ^C or for --duration, then say what is there")
    kinds = write.add_subparsers(dest="kind", required=True)
    for kind, made in KINDS.items():
        store = kinds.add_parser(kind)
        store.add_argument("addresses", nargs="+", metavar="HOST:PORT", help="balancers or servers, used by turns")
        store.add_argument("--trace", type=Path, required=True, help="where every row is put on record")
        for name, default in vars(Pace()).items():
            store.add_argument(f"--{name}", type=type(default or 0.0), default=default, help="default %(default)s")
        for field in fields(made):
            if field.name in ("tls", "base_ns", "timeout"):
                continue
            default = None if field.default is MISSING else field.default
            if isinstance(default, bool):
                store.add_argument(f"--{field.name}", action="store_true", help=HELP[field.name])
                continue
            convert = Path if field.name == "password_file" else type(default)
            flag = "--" + field.name.replace("_", "-")
            about = HELP.get(field.name, "") + (f" (default {default})" if default not in (None, "") else "")
            store.add_argument(flag, type=convert, default=default, help=about.strip())
        if kind != "postgresql":
            store.add_argument("--no-tls", dest="tls", action="store_false")
    verify = commands.add_parser("verify", help="compare a trace with what is there now")
    verify.add_argument("trace", type=Path)
    verify.add_argument("--patience", type=float, default=60.0, help="seconds to wait for the store to serve")
    run = commands.add_parser("run", help="write as the JSON on standard input says, until SIGTERM (for tests)")
    run.add_argument("trace", type=Path)
    return parser


def stop_without_parent(engine: Engine) -> None:
    """A run whose test was killed ends by itself."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        engine.stop()

    threading.Thread(target=watch, daemon=True).start()


def write(store: Store, pace: Pace, trace: Path, child: bool = False) -> None:
    """The run itself."""
    store.prepare()
    record = Trace(trace, store.head(), time.monotonic())
    engine = Engine(store.addresses, store.opener(), record, pace)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_received: engine.stop())
    if child:
        stop_without_parent(engine)
    engine.run()


def verify(trace: Path, patience: float) -> int:
    """Print figures and what is wrong."""
    head, ledger = read(trace)
    store = Store.from_head(head)
    verdict = compare(ledger, store.find(ledger, patience), ordered=store.kind == "postgresql")
    red = verdict.red()
    print(json.dumps({"figures": verdict.figures, "reasons": ledger.reasons(), "red": red}, indent=2))
    return 1 if red else 0


def main() -> int:
    given = _parser().parse_args()
    try:
        if given.command == "verify":
            return verify(given.trace, given.patience)
        if given.command == "run":
            asked: dict[str, Any] = json.load(sys.stdin)
            write(Store.from_head(asked["store"]), Pace(**asked["pace"]), given.trace, child=True)
            return 0
        made = KINDS[given.kind]
        options = made(
            **{field.name: getattr(given, field.name) for field in fields(made) if hasattr(given, field.name)}
        )
        if given.kind == "influxdb":
            options.base_ns = influx_writer.base_now()
        pace = Pace(**{name: getattr(given, name) for name in vars(Pace())})
        store = Store(given.kind, given.addresses, secrets.token_hex(6), options)
        write(store, pace, given.trace)
        return verify(given.trace, 60.0)
    except (CannotConnect, ValueError, OSError) as error:
        print(f"prover: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
