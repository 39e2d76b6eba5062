"""Faults of the health daemon itself: what it cannot say must never keep a stale node in service."""

from __future__ import annotations

import time

from .case import Figures, case, fresh_answers
from .world import World

DAEMON = "chain_health"


def without_daemon(world: World, name: str, fault: str, stale: bool) -> Figures:
    """Kill or freeze the daemon, on a healthy or a stale node, and reload the balancers meanwhile."""
    with world.load(name) as load:
        at = time.time()
        if stale:
            world.faults.stop_unit("eth-a", "prysm")
        if fault == "freeze":
            world.faults.freeze_unit("eth-a", DAEMON)
        else:
            world.faults.kill_unit("eth-a", DAEMON, stay_dead=True)
        time.sleep(world.policy_age / 2)
        reload_balancers(world)
        time.sleep(world.hold - world.policy_age / 2)
        reload_balancers(world)
        time.sleep(3)
        healed = time.time()
        world.faults.undo_all()
        world.wait_admitted("eth-a")
    return world.figures(load, at, healed)


def reload_balancers(world: World) -> None:
    for balancer in ("lb-a1", "lb-a2", "lb-b"):
        world.site.run(balancer, "systemctl", "reload", "haproxy")


@case("daemon-frozen-stale", short=True, limits=fresh_answers)
def daemon_frozen_stale(world: World) -> Figures:
    return without_daemon(world, "daemon-frozen-stale", "freeze", stale=True)


@case("daemon-killed-stale", limits=fresh_answers)
def daemon_killed_stale(world: World) -> Figures:
    return without_daemon(world, "daemon-killed-stale", "kill", stale=True)


@case("daemon-frozen-healthy", limits=fresh_answers)
def daemon_frozen_healthy(world: World) -> Figures:
    return without_daemon(world, "daemon-frozen-healthy", "freeze", stale=False)


@case("daemon-killed-healthy", limits=fresh_answers)
def daemon_killed_healthy(world: World) -> Figures:
    return without_daemon(world, "daemon-killed-healthy", "kill", stale=False)
