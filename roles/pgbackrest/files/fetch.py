# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""PostgreSQL's restore_command on a standby: bring a WAL file from the repositories that can be reached.

    fetch.py STANZA FILE TARGET

A standby does nothing else while this runs: it follows no other primary and is not promoted. pgBackRest alone was
measured to take 30 s for a repository whose host is dead (3 s with the shortest sensible timeouts), several times in
one failover. So a host that takes no connection is left out. What is not found now is asked for again, or streamed.
"""

from __future__ import annotations

import configparser
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

CONFIG = "/etc/pgbackrest/pgbackrest.conf"
# Seconds. For a connection, far above the round trip between two regions.
REACHED_WITHIN = 0.5
# Seconds, for a repository that takes the connection and then says nothing: it costs three times the first.
SILENT = ["--io-timeout=1", "--protocol-timeout=3"]


def repositories(path: str) -> dict[int, tuple[str, int]]:
    """Address and port of each repository's host, by its number."""
    config = configparser.ConfigParser(interpolation=None)
    config.read(path, encoding="utf-8")
    found = config["global"]
    return {
        number: (found[f"repo{number}-host"], int(found[f"repo{number}-host-port"]))
        for number in range(1, 257)
        if f"repo{number}-host" in found
    }


def reached(peer: tuple[str, int]) -> bool:
    try:
        socket.create_connection(peer, timeout=REACHED_WITHIN).close()
    except OSError:
        return False
    return True


def selections(peers: dict[int, tuple[str, int]]) -> Iterator[list[str]]:
    """What to call pgBackRest with: once for all repositories, or once for each that is there."""
    with ThreadPoolExecutor(max(1, len(peers))) as pool:
        there = [number for number, good in zip(peers, pool.map(reached, peers.values()), strict=True) if good]
    if len(there) == len(peers):
        yield []
    else:
        yield from ([f"--repo={number}"] for number in there)


def main() -> int:
    stanza, name, target = sys.argv[1:]
    status = os.EX_UNAVAILABLE
    for chosen in selections(repositories(CONFIG)):
        command = ["pgbackrest", f"--stanza={stanza}", *SILENT, *chosen, "archive-get", name, target]
        status = subprocess.run(command, check=False).returncode
        if status == 0:
            break
    # As a shell would say it: PostgreSQL tells a command that was ended by a signal from one that found nothing.
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
