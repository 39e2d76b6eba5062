# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The drill: the newest copy is restored, loaded by a server of its own and compared with what it should hold."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .config import Config
from .copies import MARKER, CopyError, Manifest, Repository, check_rdb, digest, master_of
from .resp import Access, Client, Node, RedisError, Unreachable, info

START_SECONDS = 3600.0


@contextmanager
def scratch(directory: Path) -> Iterator[Client]:
    """A server that loads a copy; it listens on a unix socket in a directory of its own and on no port."""
    socket = directory / "redis.sock"
    words = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--dir", str(directory)]
    words += ["--dbfilename", "dump.rdb", "--save", "", "--appendonly", "no", "--daemonize", "no"]
    with open(directory / "server.log", "wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, env={"PATH": "/usr/bin:/bin"})
    try:
        with Client(Node("", 0), Access(), 10.0, path=str(socket)) as client:
            wait_loaded(process, client)
            yield client
    finally:
        process.kill()
        process.wait()


def wait_loaded(process: subprocess.Popen[bytes], client: Client) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise CopyError("the server that should load the copy has ended: it does not take the file")
        try:
            if info(client.call("INFO", "persistence")).get("loading") == "0":
                return
        except (RedisError, Unreachable):
            pass
        time.sleep(0.2)
    raise CopyError(f"the copy was not loaded within {START_SECONDS:g} s")


def compare(client: Client, manifest: Manifest) -> dict[str, Any]:
    """What was loaded. Keys that have expired since the copy are not loaded, and are counted by the server."""
    loaded = info(client.call("INFO", "persistence"))
    keys, expired = (int(loaded.get(f"rdb_last_load_keys_{name}", 0)) for name in ("loaded", "expired"))
    if keys + expired != manifest.keys:
        raise CopyError(f"{keys} keys were loaded and {expired} had expired; the manifest says {manifest.keys}")
    if manifest.marker and client.call("GET", MARKER) != manifest.marker:
        raise CopyError("the marker that was written before the copy is not in it")
    return {"keys": keys, "expired": expired}


def newest_marker(config: Config) -> str:
    """The marker that the live master has now; nothing where it does not answer, which is no fault of a copy."""
    try:
        with Client(master_of(config), config.access("admin"), 5.0) as client:
            return str(client.call("GET", MARKER) or "")
    except (RedisError, Unreachable):
        return ""


def drill(config: Config, repository: Repository, source: Path, directory: Path, max_age: float) -> dict[str, Any]:
    """The report of a drill that went well; CopyError says what is wrong with the copy."""
    begun = time.time()
    shutil.rmtree(directory, ignore_errors=True)  # what an earlier drill that was killed has left, if it did
    directory.mkdir(mode=0o700, parents=True)
    try:
        name = repository.restore(source, directory)
        manifest = Manifest.read(directory / "manifest.json")
        if digest(directory / "dump.rdb") != manifest.sha256:
            raise CopyError("the copy is not the file that was sent: its SHA-256 differs from the manifest's")
        keys = check_rdb(directory / "dump.rdb")
        if keys != manifest.keys:
            raise CopyError(f"the file holds {keys} keys; the manifest says {manifest.keys}")
        with scratch(directory) as client:
            loaded = compare(client, manifest)
        age = begun - manifest.taken
        if age > max_age:
            raise CopyError(f"the newest copy is {age / 3600:.1f} hours old, more than {max_age / 3600:.1f}")
        live = newest_marker(config)
        if live and manifest.marker and live != manifest.marker:
            raise CopyError("a later copy was begun and did not arrive: the live data has a newer marker than the copy")
        return {
            "good": True,
            "copy": name,
            "source": manifest.source,
            "age_seconds": round(age),
            "bytes": manifest.bytes,
            "seconds": round(time.time() - begun, 1),
            **loaded,
        }
    finally:
        shutil.rmtree(directory, ignore_errors=True)  # as above; a report must not be lost for want of a removal
