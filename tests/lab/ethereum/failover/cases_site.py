"""Faults of hosts, regions and balancers."""

from __future__ import annotations

import time

from tests.lab.load import record as records
from tests.lab.load.vip import Watcher

from .case import Figures, case, fresh_answers
from .world import EAST, EAST_HOSTS, WEST, World, who_answers

ADDRESS_LIMITS = {"outage_s": 2, "double_s": 1}


@case("host-off", limits=lambda world: fresh_answers(world) | {"detection_s": 3, "longest_gap_s": 3})
def host_off(world: World) -> Figures:
    """The east pair's host without power: its region's balancers spill over to the other region."""
    return lose_host(world, "host-off")


def lose_host(world: World, name: str, standby: bool = True) -> Figures:
    """``standby``: another pair takes over. Without one the host comes back under load, or no receipt could be had."""
    with world.load(name) as load:
        world.faults.kill_host("eth-a")
        at = time.time()
        time.sleep(world.hold)
        if not standby:
            world.faults.undo_all()
            world.wait_serving(EAST, timeout=180)
    figures = world.figures(load, at)
    world.faults.undo_all()
    return figures | {"resynced": world.recover("eth-a")}


@case("region-off", limits=lambda world: fresh_answers(world) | {"longest_gap_s": 3, "attempts": 2})
def region_off(world: World) -> Figures:
    """Every host of a region without power: a client that knows both addresses loses nothing after one retry."""
    return lose_region(world, "region-off", EAST, WEST)


def lose_region(world: World, name: str, *addresses: str) -> Figures:
    with world.load(name, *addresses) as load:
        at = time.time()
        for host in EAST_HOSTS:
            world.faults.kill_host(host)
        time.sleep(world.hold)
        if len(addresses) == 1:
            # nothing more can be said of transactions while the only address is gone
            world.faults.undo_all()
            world.wait_serving(EAST)
    figures = world.figures(load, at)
    figures["attempts"] = max(record.attempts for record in load.records())
    answered = records.first_answer_from(load.records(), "eth-b", at)
    assert answered or len(addresses) == 1, "nothing was answered by the other region"
    world.faults.undo_all()
    return figures | {"resynced": world.recover("eth-a")}


def owner() -> str:
    """The balancer that holds the east address now."""
    who = who_answers(EAST)
    assert who and who[1], "the east address is not answered"
    return who[1]


def watch_address(world: World, name: str, break_it: str) -> Figures:
    """Break the balancer that holds the address in one way and watch who answers it."""
    holder = owner()
    with Watcher(EAST) as watcher, world.load(name, EAST, WEST) as load:
        if break_it == "power":
            world.faults.kill_host(holder)
        elif break_it == "cut":
            world.faults.partition(["lb-a1"], ["lb-a2"])
        else:
            world.faults.kill_unit(holder, break_it)
        watcher.run_for(world.hold)
        world.faults.undo_all()
        watcher.run_for(5)
    world.wait_serving(EAST, "eth-a")
    return dict(load.figures) | watcher.figures()


@case("balancer-off", short=True, limits=lambda world: fresh_answers(world) | ADDRESS_LIMITS)
def balancer_off(world: World) -> Figures:
    return watch_address(world, "balancer-off", "power")


@case("keepalived-killed", limits=lambda world: fresh_answers(world) | ADDRESS_LIMITS)
def keepalived_killed(world: World) -> Figures:
    return watch_address(world, "keepalived-killed", "keepalived")


@case("haproxy-killed", limits=lambda world: fresh_answers(world) | ADDRESS_LIMITS)
def haproxy_killed(world: World) -> Figures:
    return watch_address(world, "haproxy-killed", "haproxy")


@case("balancers-cut", limits=lambda world: fresh_answers(world) | ADDRESS_LIMITS)
def balancers_cut(world: World) -> Figures:
    return watch_address(world, "balancers-cut", "cut")
