"""Upgrades of the whole site: to a good version, and to one that is broken."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.lab.site import Run

from .case import Figures, case, fresh_answers
from .world import EAST, PAIRS, WEST, World

PLAYBOOK = "chainops.infra.operations.rolling_upgrade"
FIRST, OTHER = "1.17.6", "1.17.8"
BROKEN = "1.99.0"
MIRROR, PLACE = "mirror-c", "/srv/artifacts/test-broken"

# Accepts its configuration, so that it gets as far as being started, and dies then.
DIES_AT_ONCE = b"""#!/bin/sh
case "$*" in *dumpconfig*) exit 0 ;; esac
echo "Fatal: broken on purpose" >&2
exit 1
"""


class Drains(threading.Thread):
    """Watches how many pairs are drained at the same time."""

    def __init__(self, world: World) -> None:
        super().__init__(daemon=True)
        self.world, self.most, self.seen, self._done = world, 0, set(), threading.Event()

    def run(self) -> None:
        while not self._done.wait(0.5):
            drained = {host for host in PAIRS if self.world.status(host).get("drain")}
            self.most, self.seen = max(self.most, len(drained)), self.seen | drained

    def __enter__(self) -> Drains:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._done.set()
        self.join()


def geth_version(world: World, host: str) -> str:
    """What runs, as geth itself says: "1.17.6"."""
    return world.rpc(host, "web3_clientVersion").split("/v")[1].split("-")[0]


def invocation(world: World, host: str) -> str:
    """Changes with every start of geth's unit."""
    return world.site.run(host, "systemctl", "show", "--property=InvocationID", "--value", "geth").stdout.strip()


def upgrade(world: World, *arguments: str) -> Run:
    return world.site.play(PLAYBOOK, "-e", "upgrade_timeout=240", *arguments, timeout=2400)


@case("upgrade", limits=lambda world: fresh_answers(world) | {"most_drained": 1, "left_behind": 0})
def rolling_upgrade(world: World) -> Figures:
    """To the other version under load, and back without."""
    try:
        with world.load("upgrade", EAST, WEST) as load, Drains(world) as drains:
            upgrade(world, "-e", f"geth_version={OTHER}").check()
        left_behind = sum(geth_version(world, host) != OTHER for host in PAIRS)
        assert drains.seen == set(PAIRS), f"only {sorted(drains.seen)} were drained"
        again = upgrade(world, "-e", f"geth_version={OTHER}").check()
        assert not again.changed, f"a second run changed {again.changed}"
    finally:
        upgrade(world).check()
    assert all(geth_version(world, host) == FIRST for host in PAIRS)
    return dict(load.figures) | {"most_drained": drains.most, "left_behind": left_behind}


@contextmanager
def broken_release(world: World) -> Iterator[Path]:
    """A version of geth on the site's mirror that dies when it is started; yields a file of variables that has it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("geth")
        member.size, member.mode = len(DIES_AT_ONCE), 0o755
        archive.addfile(member, io.BytesIO(DIES_AT_ONCE))
    data = packed.getvalue()
    text = base64.b64encode(data).decode()
    world.site.run(MIRROR, "sh", "-c", f"mkdir -p {PLACE} && echo {text} | base64 -d > {PLACE}/geth.tar.gz")
    entry: dict[str, Any] = {
        "url": "test-broken/geth.tar.gz",
        "checksum": f"sha256:{hashlib.sha256(data).hexdigest()}",
        "archive": "tar",
        "binaries": ["geth"],
        "rollback_to": [FIRST],
    }
    releases = "{{ lab_releases.geth | combine(test_broken_release) }}"
    variables = {"geth_version": BROKEN, "geth_releases": releases, "test_broken_release": {BROKEN: entry}}
    try:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "broken.json"
            path.write_text(json.dumps(variables))
            yield path
    finally:
        world.site.run(MIRROR, "rm", "-r", PLACE)


@case(
    "upgrade-broken",
    short=True,
    limits=lambda world: fresh_answers(world) | {"most_drained": 1, "others_restarted": 0},
)
def upgrade_to_a_broken_binary(world: World) -> Figures:
    """Both serving pairs are to get it: the standby comes first, is rolled back, and the primary is never touched."""
    before = {host: invocation(world, host) for host in PAIRS}
    with broken_release(world) as variables, world.load("upgrade-broken", EAST, WEST) as load, Drains(world) as drains:
        run = upgrade(world, "--limit", "ethereum_serving", "-e", f"@{variables}")
    assert run.returncode, f"an upgrade to a broken binary succeeded:\n{run.output[-3000:]}"
    assert "eth-b was rolled back" in run.output, run.output[-3000:]
    assert "broken on purpose" in run.output, run.output[-3000:]
    assert drains.seen == {"eth-b"}, f"{sorted(drains.seen)} were drained"
    assert world.admitted("eth-b"), world.pairs_say()
    assert geth_version(world, "eth-b") == FIRST
    assert invocation(world, "eth-b") != before["eth-b"], (
        "the broken version was never started: the case proves nothing"
    )
    restarted = [host for host in PAIRS if host != "eth-b" and invocation(world, host) != before[host]]
    return dict(load.figures) | {"most_drained": drains.most, "others_restarted": len(restarted)}
