# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""PostgreSQL's archive_command: give a WAL file to the repositories.

    push.py STANZA PATH

But not these two:

The segment in which an older timeline ended. Each member has other bytes after that end, so a repository that has it
from one member refuses it from the next for ever (ArchiveDuplicateError), and PostgreSQL archives nothing else
meanwhile. Seen after two switchovers: a member that stopped as primary finds the next timeline in the archive, never
receives this segment, and so has no note that it is not to be archived. What it holds up to the end is in the first
segment of the next timeline too.

What a dead primary has written after the next timeline began, which Patroni archives before it rewinds it. Nobody
followed it there, and whoever restores before the next timeline's first segment is archived would take it for the
truth.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

TIMELINE = 8  # characters of a segment's name: eight each of the timeline, and of the two halves of the position
SEGMENT = 24
# Seconds, for a repository that does not answer. PostgreSQL is not running, and waits to be rewound.
SILENT = ["--io-timeout=1", "--protocol-timeout=3"]
STATUS = 7  # line of postmaster.pid


def ends(history: Path, size: int) -> set[str]:
    """The segments in which a timeline's ancestors ended, by its history file: ancestor, position, reason."""
    found = set()
    for line in history.read_text(encoding="utf-8").splitlines():
        words = line.split("#")[0].split()
        if len(words) >= 2:
            high, low = (int(half, 16) for half in words[1].split("/"))
            found.add(f"{int(words[0]):08X}{high:08X}{low // size:08X}")
    return found


def is_an_end(path: Path) -> bool:
    """Whether this server's timeline is a younger one, and an older one ended in this segment."""
    # a history alone may be of a timeline that another server began: what is written says which one is this server's
    own = max(each.name for each in path.parent.iterdir() if len(each.name) == SEGMENT)[:TIMELINE]
    history = path.with_name(f"{own}.history")
    return path.name[:TIMELINE] < own and history.exists() and path.name in ends(history, path.stat().st_size)


def is_behind_the_end(stanza: str, path: Path) -> bool:
    """Whether the repositories know the next timeline, and this segment is where this one ended, or later."""
    following = f"{int(path.name[:TIMELINE], 16) + 1:08X}.history"
    with tempfile.TemporaryDirectory() as directory:
        fetched = Path(directory, following)
        options = [f"--stanza={stanza}", *SILENT, "--no-archive-async"]
        command = ["pgbackrest", *options, "archive-get", following, str(fetched)]
        if subprocess.run(command, check=False, stdout=sys.stderr).returncode != 0:
            return False
        mine = [end for end in ends(fetched, path.stat().st_size) if end[:TIMELINE] == path.name[:TIMELINE]]
    return any(path.name >= end for end in mine)


def status(data_directory: Path) -> str:
    """The server's own word: ready, stopping and so on; nothing where it does not run."""
    try:
        lines = (data_directory / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return ""
    return lines[STATUS].strip() if len(lines) > STATUS else "starting"


def main() -> None:
    stanza, path = sys.argv[1], Path(sys.argv[2])
    state = status(path.parent.parent)
    if len(path.name) == SEGMENT and (is_an_end(path) or (not state and is_behind_the_end(stanza, path))):
        print(f"push: {path} is not archived: its timeline ended in it, or before", file=sys.stderr)
        return
    # What a server that stops still has to send goes alone and at once: a second more makes Patroni wait two more. And
    # what is archived for one that does not run goes alone, as the asynchronous way takes with it all that is waiting.
    alone = ["--no-archive-async"] if state in ("", "stopping") else []
    os.execvp("pgbackrest", ["pgbackrest", f"--stanza={stanza}", *alone, "archive-push", str(path)])


if __name__ == "__main__":
    main()
