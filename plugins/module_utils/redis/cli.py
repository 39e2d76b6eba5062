# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The command chainops-redis: what the units run, and what an operator asks at night."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import agent, start, upkeep
from . import config as configuration
from .resp import Access, Node, RedisError, Unreachable, read_password, tls_context

CONFIG = "/etc/chainops/redis/agent.json"


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="chainops-redis", description=__doc__)
    top.add_argument("--config", default=CONFIG, help=f"configuration (default {CONFIG})")
    commands = top.add_subparsers(dest="command", required=True)
    commands.add_parser("agent", help="the daemon that load balancers ask")
    commands.add_parser("check", help="check the configuration and end")
    commands.add_parser("status", help="who this server is, and who says so; ends with 0 if it answers")
    start = commands.add_parser("start", help="make the file that the server is started with")
    start.add_argument("managed")
    start.add_argument("state")
    apply = commands.add_parser("apply", help="bring the running server to its files without a restart")
    apply.add_argument("managed", nargs="+")
    sentinel = commands.add_parser("start-sentinel", help="make the file that Sentinel is started with")
    for name in ("managed", "state", "watched", "secret"):
        sentinel.add_argument(name)
    period = commands.add_parser(
        "sentinel-period", help="have the Sentinel on this host ask more often than each second"
    )
    for name in ("address", "port", "milliseconds", "secret", "ca", "certificate", "key"):
        period.add_argument(name)
    copy = commands.add_parser("copy", help="send a copy to the repository, if it is this host's turn")
    rehearsal = commands.add_parser("drill", help="restore the newest copy to a server of its own and compare it")
    for each in (copy, rehearsal):
        each.add_argument("--job", required=True)
        each.add_argument("--state", type=Path, required=True)
        each.add_argument("--timeout", type=float, default=7200)
    rehearsal.add_argument("--max-age", type=float, required=True, help="seconds that the newest copy may be old")
    return top


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        return run(options)
    except (OSError, ValueError, RedisError, Unreachable) as error:
        sys.stderr.write(f"<3>chainops-redis {options.command}: {error}\n")
        return 1


def run(options: argparse.Namespace) -> int:
    if options.command.startswith(("start-sentinel", "sentinel-period")):
        return for_sentinel(options)
    config = configuration.load(options.config)
    if options.command == "agent":
        return agent.run(config)
    if options.command == "status":
        return agent.status(config)
    if options.command == "copy":
        return upkeep.copy(config, options.job, options.state, options.timeout)
    if options.command == "drill":
        return upkeep.rehearse(config, options.job, options.state, options.timeout, options.max_age)
    if options.command == "start":
        sys.stdout.write(f"starts as {start.prepare_server(config, options.managed, options.state)}\n")
    elif options.command == "apply":
        start.note_pending(config, start.apply(config, options.managed))
    return 0


def for_sentinel(options: argparse.Namespace) -> int:
    """A host with a Sentinel alone has no configuration of an agent."""
    if options.command == "start-sentinel":
        start.prepare_sentinel(options.managed, options.state, options.watched, options.secret)
    else:
        context = tls_context(options.ca, options.certificate, options.key)
        access = Access("sentinel", read_password(options.secret), context)
        start.set_period(Node(options.address, int(options.port)), access, options.milliseconds)
    return 0
