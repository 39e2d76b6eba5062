"""A full disk: told before the download where the size is known, and survived where it is not.

The disk is a tmpfs of 24 MB in a mount namespace of its own, so nothing has to be unmounted, whatever happens.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.releases import ROOT, Mirror, executable, sha256, tarball

MEGABYTE = 1_000_000

# Mounts the disk, installs every release of the request one after another, tells what came of it.
DRIVER = """
import json, os, subprocess, sys
from pathlib import Path
from ansible_collections.chainops.infra.plugins.module_utils.release import steps
from ansible_collections.chainops.infra.plugins.module_utils.release.errors import ReleaseError
request = json.loads(sys.stdin.read())
root = Path(request["root"])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=755", "tmpfs", str(root)], check=True)
messages = []
for source in request["sources"]:
    wanted = steps.Wanted(root=root, **source)
    wanted.check("present")
    try:
        messages.append(steps.present(wanted, check_mode=False).message)
    except ReleaseError as error:
        messages.append(f"refused: {error}")
files = sorted(str(path.relative_to(root)) for path in root.rglob("*"))
print(json.dumps({"messages": messages, "files": files, "current": os.readlink(root / "geth" / "current")}))
"""


@pytest.fixture(scope="module")
def mirror():
    server = Mirror()
    yield server
    server.close()


def source(mirror: Mirror, version: str, body: bytes, name: str = "geth", **how) -> dict:
    url = mirror.publish(f"/{version}/{name}", body, **how)
    return {
        "name": "geth",
        "version": version,
        "url": url,
        "checksum": sha256(body),
        "binaries": ["geth"],
        "timeout": 60,
    }


def on_a_small_disk(root: Path, *sources: dict) -> dict:
    """Install on a disk of 24 MB; with the rights of a user namespace where the tests do not run as root."""
    root.mkdir()
    namespace = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    done = subprocess.run(
        [*namespace, sys.executable, "-c", DRIVER],
        input=json.dumps({"root": str(root), "sources": sources}),
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT / ".ansible" / "collections"), *filter(None, sys.path)]),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


FILES_OF_1 = [
    "geth",
    "geth/.history.json",
    "geth/.lock",
    "geth/1",
    "geth/1/.release.json",
    "geth/1/geth",
    "geth/current",
]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({}, "not enough room in"),
        ({"chunked": True}, "became full while writing the download"),
    ],
    ids=["size-announced", "size-unknown"],
)
def test_the_download_does_not_fit(tmp_path, mirror, how, expected):
    big = executable("2", size=30 * MEGABYTE)
    found = on_a_small_disk(tmp_path / "opt", source(mirror, "1", executable("1")), source(mirror, "2", big, **how))
    assert found["messages"][1].startswith("refused: ") and expected in found["messages"][1]
    assert found["current"] == "1" and found["files"] == FILES_OF_1


def test_what_is_in_the_archive_does_not_fit(tmp_path, mirror):
    body = tarball({"geth": executable("2") + bytes(30 * MEGABYTE)})
    first, second = source(mirror, "1", executable("1")), source(mirror, "2", body, "geth.tar.gz")
    found = on_a_small_disk(tmp_path / "opt", first, second)
    assert "not enough room in" in found["messages"][1] and "geth needs 30.0 MB" in found["messages"][1]
    assert found["current"] == "1" and found["files"] == FILES_OF_1
