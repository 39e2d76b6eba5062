"""Negative controls: the same fault with one protection taken away must break the promise."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from .case import Figures, case, fresh_answers
from .cases_daemon import DAEMON
from .cases_pair import consensus_fault
from .world import World

BALANCERS = ("lb-a1", "lb-a2", "lb-b")
CONFIG = "/etc/haproxy/conf.d/50-ethereum.cfg"


@contextmanager
def edited_balancers(world: World, *edits: str) -> Iterator[None]:
    """The balancers with their configuration edited by sed, and put back at the end."""
    for balancer in BALANCERS:
        world.site.run(balancer, "cp", "-a", CONFIG, f"{CONFIG}.kept")
        arguments = [argument for edit in edits for argument in ("-e", edit)]
        world.site.run(balancer, "sed", "-i", "-E", *arguments, CONFIG)
        different = world.site.run(balancer, "cmp", "-s", CONFIG, f"{CONFIG}.kept", check=False).returncode
        assert different == 1, f"{edits} changed nothing on {balancer}"
    try:
        reload(world)
        yield
    finally:
        for balancer in BALANCERS:
            world.site.run(balancer, "mv", f"{CONFIG}.kept", CONFIG)
        reload(world)


def reload(world: World) -> None:
    for balancer in BALANCERS:
        world.site.run(balancer, "systemctl", "reload", "haproxy")
    time.sleep(2)


@case(
    "control-syncing-check",
    short=True,
    goes_red=["oldest_answer_s"],
    limits=fresh_answers,
)
def control_syncing_check(world: World) -> Figures:
    """With HAProxy's plain check of eth_syncing instead of the verdict, the stale node goes on serving."""
    send = (
        "s|http-check send meth GET uri /health|http-check send meth POST uri / ver HTTP/1.1 hdr Host localhost "
        """hdr Content-Type application/json body '{"jsonrpc":"2.0","id":1,"method":"eth_syncing","params":[]}'|"""
    )
    expect = "s|http-check expect status 200|http-check expect rstring result.:false|"
    with edited_balancers(world, send, expect, "/default-server agent-check/d", "s/check port 8740/check port 8545/"):
        return consensus_fault(world, "control-syncing-check", wait_back=False)


@case("control-agent-only", short=True, goes_red=["oldest_answer_s"], limits=fresh_answers)
def control_agent_only(world: World) -> Figures:
    """Without the HTTP check, a frozen daemon keeps its stale node in service: HAProxy ignores silence.

    systemd's watchdog would start the daemon anew after a while, so it is off as well.
    """
    with edited_balancers(world, "/option httpchk|http-check|timeout check|default-server check/d"):
        world.site.run("eth-a", "systemctl", "service-watchdogs", "no")
        try:
            world.faults.freeze_unit("eth-a", DAEMON)
            return consensus_fault(world, "control-agent-only", wait_back=False)
        finally:
            world.site.run("eth-a", "systemctl", "service-watchdogs", "yes")
