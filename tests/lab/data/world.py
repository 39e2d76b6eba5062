"""What a case of the data layer has at hand: the site, its faults, provers through the balancers, and who leads."""

from __future__ import annotations

from .world_base import KEEP, median, run_name
from .world_postgresql import Postgresql
from .world_stores import Influxdb, Redis

__all__ = ["KEEP", "World", "median", "run_name"]


class World(Postgresql, Redis, Influxdb):
    """All stores of the running lab."""
