"""Negative controls: the same fault with one protection taken away must break the promise."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from . import tricks
from .case import Figures, case, fresh_answers
from .cases_chain import elsewhere, lied_to, never_admitted, served, served_fresh, stalled
from .cases_daemon import DAEMON
from .cases_pair import consensus_fault, cut_off, fill_disk, kill_geth, start_from_empty
from .cases_site import ADDRESS_LIMITS, lose_host, lose_region, owner, watch_address
from .world import EAST, World

BALANCERS = ("lb-a1", "lb-a2", "lb-b")
CONFIG = "/etc/haproxy/conf.d/50-ethereum.cfg"
# HAProxy's plain check of eth_syncing in place of the verdict.
SYNCING_CHECK = (
    "s|http-check send meth GET uri /health|http-check send meth POST uri / ver HTTP/1.1 hdr Host localhost "
    """hdr Content-Type application/json body '{"jsonrpc":"2.0","id":1,"method":"eth_syncing","params":[]}'|""",
    "s|http-check expect status 200|http-check expect rstring result.:false|",
    "/default-server agent-check/d",
    "s/check port 8740/check port 8545/",
)
# A check that only sees whether geth listens; at block 0 geth says that it is syncing, whatever the truth is.
PORT_CHECK = ("/option httpchk|http-check|default-server agent-check/d", "s/check port 8740/check port 8545/")


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


@case("control-syncing-check", short=True, goes_red=["oldest_answer_s"], limits=fresh_answers)
def control_syncing_check(world: World) -> Figures:
    """The stale node goes on serving."""
    with edited_balancers(world, *SYNCING_CHECK):
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


@case("control-no-retries", goes_red=["failed"], limits=fresh_answers)
def control_no_retries(world: World) -> Figures:
    """What geth had in hand when it was killed is lost, where nothing is asked again elsewhere."""
    with edited_balancers(world, "/retry-on|option redispatch|retries|observe layer7/d"):
        return kill_geth(world, "control-no-retries")


@case("control-cut-off", goes_red=["oldest_answer_s"], limits=fresh_answers)
def control_cut_off(world: World) -> Figures:
    with edited_balancers(world, *SYNCING_CHECK):
        return cut_off(world, "control-cut-off", ejected=False)


@case("control-sync-from-empty", goes_red=["oldest_answer_s"], limits=fresh_answers)
def control_sync_from_empty(world: World) -> Figures:
    with edited_balancers(world, *PORT_CHECK):
        return start_from_empty(world, "control-sync-from-empty")


@case("control-disk-full", goes_red=["geth_stopped_first"], limits=lambda _world: {"geth_stopped_first": 0})
def control_disk_full(world: World) -> Figures:
    """Where nobody watches the disk, geth stops by itself while it is in service."""
    with tricks.daemons(world, disks=[]):
        return fill_disk(world, "control-disk-full", leave_mb=40, watched=False)


@case("control-chain-stalled", goes_red=["ejected"], limits=served)
def control_chain_stalled(world: World) -> Figures:
    """With the policy to refuse, all pairs go out."""
    with tricks.daemons(world, policy={"on_stall": "refuse"}):
        return stalled(world, "control-chain-stalled")


@case("control-two-liars", goes_red=["ejected"], limits=served_fresh)
def control_two_liars(world: World) -> Figures:
    """Two references that tell the same lie are believed: it takes two, so that one does no harm."""
    return lied_to(world, "control-two-liars", "fork", "eth-c", "eth-d")


@case("control-other-genesis", goes_red=["foreign_answers"], limits=never_admitted)
def control_other_genesis(world: World) -> Figures:
    with edited_balancers(world, *PORT_CHECK):
        return elsewhere(world, "control-other-genesis", tricks.other_genesis, "forked", world.hold)


@case("control-fork", goes_red=["foreign_answers"], limits=never_admitted)
def control_fork(world: World) -> Figures:
    with edited_balancers(world, *SYNCING_CHECK):
        return elsewhere(world, "control-fork", tricks.own_fork, "", world.hold)


@case("control-no-standby", goes_red=["failed"], limits=fresh_answers)
def control_no_standby(world: World) -> Figures:
    """Balancers that know their own region's pair only."""
    with edited_balancers(world, "/server eth-b /d"):
        return lose_host(world, "control-no-standby", standby=False)


@case("control-one-address", goes_red=["failed"], limits=fresh_answers)
def control_one_address(world: World) -> Figures:
    """A client that knows one region's address only."""
    return lose_region(world, "control-one-address", EAST)


@case("control-no-partner", goes_red=["outage_s"], limits=lambda _world: ADDRESS_LIMITS)
def control_no_partner(world: World) -> Figures:
    """A region whose other balancer does not take the address over."""
    (partner,) = {"lb-a1", "lb-a2"} - {owner()}
    world.faults.stop_unit(partner, "keepalived")
    return watch_address(world, "control-no-partner", "power")


@case("control-no-guard", goes_red=["double_s"], limits=lambda _world: ADDRESS_LIMITS)
def control_no_guard(world: World) -> Figures:
    """Two balancers that cannot hear each other both hold the address, unless something outside VRRP prevents it."""
    for balancer in ("lb-a1", "lb-a2"):
        world.faults.stop_unit(balancer, "vip-guard")
    return watch_address(world, "control-no-guard", "cut")
