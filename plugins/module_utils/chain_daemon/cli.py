# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The command chain-health: runs the daemon, and talks to it on its own host."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import time
from typing import Any

from . import config as configuration

CONFIG = "/etc/chain_health/config.json"
# exit codes of status, for scripts
IN_SERVICE, OUT_OF_SERVICE, NO_ANSWER = 0, 1, 2


class Unreachable(Exception):
    pass


def ask(port: int, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(
            f"chain_health does not answer on 127.0.0.1 port {port} ({error}): systemctl status chain_health"
        ) from None
    finally:
        connection.close()


def describe(status: dict[str, Any]) -> str:
    """A status in a few lines."""
    lines = [f"{'in service' if status['in_service'] else 'OUT OF SERVICE'}: {status['reason']}"]
    if status["drain"]:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(status["drain"]["since"]))
        lines.append(f"drained by {status['drain']['who']} since {since}: {status['drain']['reason']}")
    if "execution" not in status:
        return "\n".join(lines)
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(status["since"]))
    lines.append(f"{status['state']}, {'admitted' if status['admitted'] else 'not admitted'} since {since}")
    lines += [f"  {finding['weight']:5} {finding['text']}" for finding in status["reasons"]]
    lines += [f"  seen  {finding['text']}" for finding in status["suspects"]]
    if status["obstacle"]:
        lines.append(f"  stays out: {status['obstacle']}")
    execution, consensus = status["execution"], status["consensus"]
    head = execution["latest"]
    lag = "" if status["lag_blocks"] is None else f", {status['lag_blocks']} blocks behind the references"
    lines.append(
        f"execution {execution['version'] or execution['url']}: "
        + (f"head {head['number']}, {head['age_seconds']:.1f} s old{lag}" if head else execution["error"])
        + (f", {execution['peers']} peers" if execution["peers"] is not None else "")
    )
    lines.append(
        f"consensus {consensus['version'] or consensus['url']}: "
        + (consensus["error"] or f"final block {consensus['finalized_block']}, {consensus['peers']} peers")
    )
    for reference in status["references"]:
        head = reference["latest"]
        lines.append(f"reference {reference['name']}: " + (f"head {head['number']}" if head else reference["error"]))
    for disk in status["disks"]:
        free = "unreadable" if disk["free_bytes"] is None else f"{disk['free_bytes'] / 1e9:.1f} GB free"
        lines.append(f"disk {disk['path']}: {free}, ejected below {disk['min_free_bytes'] / 1e9:.1f} GB")
    return "\n".join(lines)


def say_error(error: object, level: str = "") -> None:
    sys.stderr.write(f"{level}chain-health: {error}\n")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="chain-health", description=__doc__)
    top.add_argument("--config", default=CONFIG, help=f"configuration file (default {CONFIG})")
    commands = top.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="the daemon, in the foreground")
    commands.add_parser("check", help="check the configuration and end")
    status = commands.add_parser("status", help="what the node's state is; ends with 0 in service, 1 out, 2 no answer")
    status.add_argument("--json", action="store_true", help="all of it")
    drain = commands.add_parser("drain", help="take the node out of service until undrain, also over restarts")
    drain.add_argument("--reason", required=True, help="for whoever finds it drained")
    drain.add_argument("--who", default=os.environ.get("SUDO_USER") or os.environ.get("USER") or "root")
    commands.add_parser("undrain", help="put the node back, if it is healthy")
    return top


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        config = configuration.load(options.config)
    except (OSError, ValueError) as error:
        say_error(error)
        return NO_ANSWER
    if options.command == "check":
        return 0
    if options.command == "run":
        from . import daemon  # noqa: PLC0415  (the other commands do without it)

        try:
            return daemon.run(config)
        except OSError as error:
            say_error(error, "<3>")
            return NO_ANSWER
    try:
        return talk(options, config.http_port)
    except Unreachable as error:
        say_error(error)
        return NO_ANSWER


def talk(options: argparse.Namespace, port: int) -> int:
    if options.command == "drain":
        code, body = ask(port, "POST", "/drain", {"reason": options.reason, "who": options.who})
    elif options.command == "undrain":
        code, body = ask(port, "DELETE", "/drain")
    else:
        code, body = ask(port, "GET", "/status")
    if code != 200:
        say_error(f"HTTP status {code}: {body.decode(errors='replace').strip()}")
        return NO_ANSWER
    status = json.loads(body)
    text = json.dumps(status, indent=2) if getattr(options, "json", False) else describe(status)
    sys.stdout.write(f"{text}\n")
    if options.command != "status":
        return 0
    return IN_SERVICE if status["in_service"] else OUT_OF_SERVICE
