"""Load for JSON-RPC services, and probes that watch them.

python -m tests.lab.load run http://10.87.1.100:8545 --rate 200 --duration 60
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import TextIO

from . import record as records
from .accounts import COUNT, SEED, accounts
from .generator import MIX, Generator, Options
from .receipts import judge
from .subscriber import Subscriber
from .vip import Watcher


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _mix(text: str) -> dict[str, int]:
    mix = {}
    for entry in text.split(","):
        kind, _dummy, share = entry.partition("=")
        if kind not in MIX:
            raise argparse.ArgumentTypeError(f"{kind} is not one of {', '.join(MIX)}")
        mix[kind] = int(share)
    return mix


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.lab.load", description="Load for JSON-RPC services, and probes"
    )
    commands = parser.add_subparsers(dest="command", required=True)

    run = commands.add_parser("run", help="a constant load of mixed requests; prints figures as JSON at its end")
    run.add_argument("urls", nargs="+", metavar="URL", help="addresses, tried in this order by every request")
    run.add_argument("--rate", type=float, default=200.0, help="requests started a second (default %(default)s)")
    run.add_argument("--duration", type=float, help="seconds (default: until SIGTERM or ^C)")
    run.add_argument("--timeout", type=float, default=10.0, help="seconds to wait for an answer (default %(default)s)")
    run.add_argument(
        "--patience",
        type=float,
        default=3.0,
        help="seconds to wait while another address is left to try (default %(default)s)",
    )
    run.add_argument(
        "--fresh",
        type=float,
        default=0.25,
        help="share of requests with a connection of their own (default %(default)s)",
    )
    run.add_argument(
        "--mix", type=_mix, default=dict(MIX), help="as in eth_blockNumber=60,eth_call=40; default: all five kinds"
    )
    run.add_argument("--senders", type=int, default=COUNT, help="accounts that send transactions (default %(default)s)")
    run.add_argument("--seed", default=SEED, help="what the accounts are made from (default %(default)r)")
    run.add_argument(
        "--settle", type=float, default=30.0, help="seconds to wait for receipts after the load (default %(default)s)"
    )
    run.add_argument("--trace", type=Path, help="write every request to this file, one JSON object a line")
    run.add_argument("--insecure", action="store_true", help="take any certificate")

    listed = commands.add_parser("accounts", help="the senders' addresses, for a genesis to fund")
    listed.add_argument("--count", type=int, default=COUNT)
    listed.add_argument("--seed", default=SEED)

    watch = commands.add_parser("watch", help="who answers an address: outages, and two owners at once")
    watch.add_argument("address")
    watch.add_argument("--port", type=int, default=8545)
    watch.add_argument("--interval", type=float, default=0.05, help="seconds between questions (default %(default)s)")
    watch.add_argument("--duration", type=float, default=10.0, help="seconds (default %(default)s)")

    subscribe = commands.add_parser("subscribe", help="new heads by WebSocket: gaps and reconnections")
    subscribe.add_argument("urls", nargs="+", metavar="URL")
    subscribe.add_argument("--duration", type=float, default=30.0, help="seconds (default %(default)s)")
    return parser


async def _run(arguments: argparse.Namespace, trace: TextIO | None) -> dict[str, object]:
    options = Options(
        urls=arguments.urls,
        rate=arguments.rate,
        duration=arguments.duration,
        timeout=arguments.timeout,
        patience=arguments.patience,
        fresh=arguments.fresh,
        senders=arguments.senders,
        seed=arguments.seed,
        mix=arguments.mix,
        settle=arguments.settle,
        verify=not arguments.insecure,
    )
    generator = Generator(options, trace, _say)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, generator.stop)
    await generator.prepare()
    flushing = loop.create_task(_flush(trace)) if trace else None
    await generator.run()
    if flushing:
        flushing.cancel()
    more = {"late_s": round(generator.late, 3)}
    if generator.transactions:
        more |= await judge(generator)
    return records.summary(generator.records, more)


async def _flush(trace: TextIO) -> None:
    while True:
        await asyncio.sleep(0.25)
        trace.flush()


def main() -> int:
    arguments = _parser().parse_args()
    result: object
    if arguments.command == "accounts":
        result = [account.address for account in accounts(arguments.count, arguments.seed)]
    elif arguments.command == "watch":
        with Watcher(arguments.address, arguments.port, arguments.interval) as watcher:
            watcher.run_for(arguments.duration)
        result = watcher.figures()
    elif arguments.command == "subscribe":
        subscriber = Subscriber(arguments.urls)
        asyncio.run(subscriber.run_for(arguments.duration))
        result = subscriber.figures()
    elif arguments.trace:
        with arguments.trace.open("w", encoding="utf-8") as trace:
            result = asyncio.run(_run(arguments, trace))
    else:
        result = asyncio.run(_run(arguments, None))
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
