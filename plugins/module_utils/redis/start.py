# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a server is started with, and what it is told while it runs.

Redis and Sentinel rewrite the file they were started with: who is followed, but also a copy of every setting that is no
default, which would win over the managed file from then on. So that file is the server's own and made anew before each
start: the managed file by an include, and of what was in it only what nobody else knows.
"""

from __future__ import annotations

import functools
import os
import shlex
import sys
from pathlib import Path

from .config import Config
from .resp import Access, Client, Node, RedisError, pairs
from .topology import ask_sentinel, at_once, named_master

# Of a Sentinel's own file: its identity, whom it watches and how, whom it knows, and the epochs of votes it gave.
SENTINEL_KEEPS = (
    "myid", "monitor", "down-after-milliseconds", "failover-timeout", "parallel-syncs", "config-epoch", "leader-epoch",
    "current-epoch", "known-replica", "known-sentinel", "auth-user", "auth-pass",
)  # fmt: skip

ASK_SECONDS = 2.0


def write(path: Path, lines: list[str]) -> None:
    new = path.with_name(f"{path.name}.new")
    new.write_text("\n".join([*lines, ""]))
    new.chmod(0o640)
    with open(new) as handle:
        os.fsync(handle.fileno())
    new.replace(path)


def kept(path: Path, wanted: tuple[str, ...]) -> list[str]:
    """Lines of a file that begin with one of these."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return []
    return [line for line in lines if line.startswith(wanted)]


def prepare_server(config: Config, managed: str, state: str) -> str:
    """Make the server's own file. It starts as a replica of whom the Sentinels name, so that an old master does not
    come back as one; if they cannot be asked, as what it was. Returns what it will be."""
    access = config.access("agent")
    asks = [functools.partial(ask_sentinel, host, access, config.watched, ASK_SECONDS) for host in config.sentinels]
    watches = at_once(asks)
    named = named_master(watches, len(watches))
    path = Path(state)
    if named is None:
        follow = kept(path, ("replicaof ",))[-1:]
    else:
        follow = [] if named == config.node else [f"replicaof {named.address} {named.port}"]
    write(path, [f"include {managed}", *follow])
    source = "the Sentinels" if named else "its own file"
    return f"{follow[0] if follow else 'master'} ({source})"


def prepare_sentinel(managed: str, state: str, watched: str, secret: str) -> None:
    """Make a Sentinel's own file; the password it uses on servers is the current one."""
    path = Path(state)
    lines = kept(path, tuple(f"sentinel {word} " for word in SENTINEL_KEEPS))
    fresh = [line for line in lines if not line.startswith("sentinel auth-pass ")]
    if any(line.startswith(f"sentinel monitor {watched} ") for line in lines):
        fresh.append(f"sentinel auth-pass {watched} {shlex.quote(Path(secret).read_text().strip())}")
    write(path, [f"include {managed}", *fresh])


def set_period(node: Node, access: Access, milliseconds: str) -> None:
    """How often a Sentinel asks servers whether they live, and other Sentinels whether they agree. Its file has no
    setting for that, and its default of a second adds up to two seconds to a failover."""
    with Client(node, access, 5.0) as client:
        client.call("SENTINEL", "DEBUG", "PING-PERIOD", milliseconds, "ASK-PERIOD", milliseconds)


def settings(text: str) -> dict[str, str]:
    """The settings of a configuration file that CONFIG SET knows, with their values as CONFIG GET shows them."""
    found = {}
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, *values = shlex.split(line)
        if name not in ("include", "user"):
            found[name.lower()] = " ".join(values)
    return found


def same(wanted: str, found: str) -> bool:
    """CONFIG GET says slave where a file says replica, and renew_tls() makes another path of the same."""

    def plain(value: str) -> str:
        return value.replace("replica ", "slave ").replace("/./", "/")

    return plain(wanted) == plain(found)


def apply(config: Config, managed: list[str]) -> list[str]:
    """Bring a running server to its files without a restart; returns the settings that need one."""
    wanted: dict[str, str] = {}
    for path in managed:
        wanted |= settings(Path(path).read_text())
    pending = []
    with Client(config.node, config.access("admin"), 10.0) as client:
        client.call("ACL", "LOAD")
        found = pairs(client.call("CONFIG", "GET", "*"))
        for name, value in wanted.items():
            if name in found and same(value, found[name]):
                continue
            try:
                client.call("CONFIG", "SET", name, value)
            except RedisError:
                # not said why: the server's words may repeat the value
                pending.append(name)
        renew_tls(client, found)
    return pending


def renew_tls(client: Client, found: dict[str, str]) -> None:
    """Have the certificate read again: Redis does that only for a path that is another one than before."""
    names = ("tls-cert-file", "tls-key-file", "tls-ca-cert-file")
    words: list[str] = []
    for name in names:
        path = found.get(name, "")
        if path:
            folder, _slash, file = path.rpartition("/")
            words += [name, f"{folder.removesuffix('/.')}{'' if folder.endswith('/.') else '/.'}/{file}"]
    if words:
        client.call("CONFIG", "SET", *words)


def note_pending(config: Config, pending: list[str]) -> None:
    path = Path(config.pending)
    if pending:
        path.write_text("\n".join([*pending, ""]))
        path.chmod(0o644)  # the agent, another user, counts them
        sys.stderr.write(f"<4>these settings wait for a restart: {', '.join(pending)}\n")
    else:
        path.unlink(missing_ok=True)
