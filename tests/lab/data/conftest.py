"""The world that the data layer's cases share; the cluster is back under the inventory's policy when they are done."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.faults.core import Faults

from tests.lab.data import names
from tests.lab.data.world import World
from tests.lab.site import ROOT, Site


@pytest.fixture(scope="session")
def site() -> Site:
    """The lab that is up, as the data layer's inventory describes it."""
    return Site(ROOT / "inventories" / "lab" / "data.yml")


@pytest.fixture(scope="session")
def world(site: Site, full_length: bool) -> Iterator[World]:
    with Faults.load(names.PREFIX) as faults:
        made = World(site, faults, full_length)
        yield made
        if made.policy_changed:
            made.mend()
            made.policy(names.DEFAULT_RPO)
