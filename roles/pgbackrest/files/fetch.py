# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""PostgreSQL's restore_command on a standby: bring a WAL file from the repositories that can be reached.

    fetch.py STANZA FILE TARGET

A standby does nothing else while this runs: it follows no other primary and is not promoted. pgBackRest alone was
measured to take 30 s for a repository whose host is dead (3 s with the shortest sensible timeouts), several times in
one failover. So a host that takes no connection is left out. Nor is asked for what no repository had a moment ago, or
what this standby streamed a moment ago; PostgreSQL asks again for what it is not given, or streams it.

And a segment in which its timeline ended, by the history of a newer one that this standby has, is never given. An old
primary may have archived what it wrote after that end. PostgreSQL asks for that segment while the newer timeline's is
not archived yet, replays all of it, and goes on with the newer timeline behind it: a standby that looks well and has
other data than its primary. Seen here after a region had been lost; the primary streams the right bytes.
"""

from __future__ import annotations

# Few modules: it is called several times in every failover, and half of what it takes is the start of Python.
import errno
import os
import select
import socket
import sys
import time

CONFIG = "/etc/pgbackrest/pgbackrest.conf"
# Seconds. For a connection, far above the round trip between two regions.
REACHED_WITHIN = 0.5
# Seconds, for a repository that takes the connection and then says nothing: it costs three times the first.
SILENT = ["--io-timeout=1", "--protocol-timeout=3"]
# What pgBackRest ends with when no repository has the file.
NOT_FOUND = 1
# While nobody leads, each standby asks for the same two files every second, and a promotion asks for them once more.
MISSING = "/var/lib/postgresql/pgbackrest/missing"
# A segment's name is eight characters of its timeline, and of the two halves of its position.
SEGMENT, SIZE = 24, 16 << 20
# Seconds for which that holds, and for which what was just streamed is not asked for either: no repository has it yet.
RECENT = 2.0
# Whoever is promoted takes the first timeline that nobody has; one that another took and gave back is older than this.
RECENT_TIMELINE = 1.0


def repositories(path: str) -> dict[int, tuple[str, int]]:
    """Address and port of each repository's host, by its number. pgBackRest's own form: an option may stand twice."""
    with open(path, encoding="utf-8") as file:
        pairs = (line.strip().partition("=") for line in file)
        found = {name: value for name, equals, value in pairs if equals and name.startswith("repo")}
    return {
        int(name.removeprefix("repo").removesuffix("-host")): (value, int(found[f"{name}-port"]))
        for name, value in found.items()
        if name.endswith("-host")
    }


def reached(peers: dict[int, tuple[str, int]]) -> list[int]:
    """Those that take a connection, all tried at once."""
    waiting, poll, there = {}, select.poll(), []
    for number, (address, port) in peers.items():
        try:
            # as bytes, since text would load the tables of international names
            found = socket.getaddrinfo(address.encode(), port, type=socket.SOCK_STREAM)
            family, kind, protocol, _name, where = found[0]
            peer = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
        except OSError:
            continue
        # what fails at once, such as a network without a route, is not seen by poll
        if peer.connect_ex(where) in (0, errno.EINPROGRESS):
            poll.register(peer, select.POLLOUT)
            waiting[peer.fileno()] = number, peer
    until = time.monotonic() + REACHED_WITHIN
    while waiting and (left := until - time.monotonic()) > 0:
        for descriptor, _event in poll.poll(left * 1000):
            number, peer = waiting.pop(descriptor)
            poll.unregister(descriptor)
            if peer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                there.append(number)
            peer.close()
    return sorted(there)


def record(name: str) -> str:
    return f"{MISSING}.history" if name.endswith(".history") else f"{MISSING}.segment"


def recent(status: os.stat_result, seconds: float) -> bool:
    return 0 <= time.time() - status.st_mtime < seconds


def missed(name: str) -> bool:
    """Whether no repository had this file a moment ago."""
    seconds = RECENT_TIMELINE if name.endswith(".history") else RECENT
    try:
        with open(record(name), encoding="utf-8") as file:
            return recent(os.fstat(file.fileno()), seconds) and file.read() == name
    except OSError:
        return False


def streamed(name: str, directory: str) -> bool:
    """Whether PostgreSQL has received this a moment ago; if another timeline is meant, whether any WAL."""
    try:
        with os.scandir(directory or ".") as files:
            mine = (each for each in files if each.name == name or (name.endswith(".history") and each.is_file()))
            return any(recent(each.stat(), RECENT) for each in mine)
    except OSError:  # it recycles them meanwhile
        return False


def ended(name: str, directory: str) -> bool:
    """Whether this segment holds what comes after its timeline's end, by the newest history that knows of an end."""
    if len(name) != SEGMENT:
        return False
    size, histories = SIZE, []
    with os.scandir(directory or ".") as files:
        for each in files:
            if len(each.name) == SEGMENT:
                size = each.stat().st_size
            elif each.name.endswith(".history") and each.name[:8] > name[:8]:
                histories.append(each.path)
    behind = (int(name[8:16], 16) << 32) + (int(name[16:], 16) + 1) * size
    for history in sorted(histories, reverse=True):
        with open(history, encoding="utf-8") as file:
            for words in map(str.split, file):
                if len(words) > 1 and words[0] == str(int(name[:8], 16)):
                    high, low = words[1].split("/")
                    return behind > (int(high, 16) << 32) + int(low, 16)
    return False


def main() -> int:
    stanza, name, target = sys.argv[1:]
    directory = target.rpartition("/")[0]
    if ended(name, directory) or missed(name) or streamed(name, directory):
        return NOT_FOUND
    peers = repositories(CONFIG)
    there = reached(peers)
    status = os.EX_UNAVAILABLE
    for chosen in [[]] if there == sorted(peers) else [[f"--repo={number}"] for number in there]:
        # not asynchronous: what that fetches ahead costs a failover more than it is worth
        command = [
            "pgbackrest",
            f"--stanza={stanza}",
            *SILENT,
            "--no-archive-async",
            *chosen,
            "archive-get",
            name,
            target,
        ]
        status = os.spawnvp(os.P_WAIT, command[0], command)
        if status == 0:
            return 0
    if status == NOT_FOUND:
        with open(record(name), "w", encoding="utf-8") as file:
            file.write(name)
    # As a shell would say it: PostgreSQL tells a command that was ended by a signal from one that found nothing.
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
