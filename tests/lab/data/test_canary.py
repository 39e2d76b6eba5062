"""No password, key or token is printed: by the run that writes them all, nor by what an operator runs later."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.lab.data import names
from tests.lab.data.canary import FIRST_RUN, loud, printed
from tests.lab.data.world import KEEP, World
from tests.lab.site import Site

RESTORE = {"postgresql_restore_to": "scratch", "postgresql_restore_type": "latest"}
OPERATIONS = {
    "data_status": {"data_status_page": str(KEEP / "canary-status.html")},
    "influxdb_drill": {},
    "postgresql_drill": {},
    "postgresql_restart": {},
    "postgresql_restore": RESTORE,
    "redis_drill": {},
    "redis_failover": {},
    "redis_restart": {},
}


def clear(keep: Path) -> None:
    """What an earlier run has left would be searched too."""
    if keep.exists():
        shutil.rmtree(keep)


@pytest.mark.full
def test_the_first_run_prints_no_secret(world: World) -> None:
    assert printed(world, FIRST_RUN) == []


@pytest.mark.full
def test_a_run_that_changes_a_host_prints_no_secret(site: Site, world: World) -> None:
    """Keys and passwords are written anew on a site that serves."""
    keep = KEEP / "canary-again"
    clear(keep)
    world.sh(names.WITNESS, "rm -f /etc/chainops/tls/host.pem")
    world.sh(names.POSTGRESQL[-1], "rm -rf /etc/chainops/postgresql")
    run = loud(site, names.LAYER, keep).check()
    assert {names.WITNESS, names.POSTGRESQL[-1]} <= set(run.changed), run.changed
    assert printed(world, keep) == []


@pytest.fixture(scope="module")
def copies(world: World) -> None:
    """What drills and restores take; on a young site no timer was due yet."""
    world.sh(names.REPOSITORY, "systemctl start pgbackrest-backup@full.service", timeout=600)
    world.sh(names.INFLUXDB, "systemctl start influxdb-backup.service", timeout=300)
    for host in world.site.hosts("redis"):
        world.sh(host, "systemctl start redis-copy.service", timeout=300)


@pytest.mark.full
@pytest.mark.usefixtures("copies")
@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_prints_no_secret(site: Site, world: World, operation: str) -> None:
    world.settle()
    world.settle_redis()
    keep = KEEP / f"canary-{operation}"
    clear(keep)
    loud(site, names.playbook(operation), keep, "-e", json.dumps(OPERATIONS[operation])).check()
    assert printed(world, keep) == []
