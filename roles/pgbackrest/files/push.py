# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""PostgreSQL's archive_command: give a WAL file to the repositories.

    push.py STANZA PATH

Not the segment in which an older timeline ended. Each member has other bytes after that end, so a repository that has
it from one member refuses it from the next for ever (ArchiveDuplicateError), and PostgreSQL archives nothing else
meanwhile. Seen after two switchovers: a member that stopped as primary finds the next timeline in the archive, never
receives this segment, and so has no note that it is not to be archived. What it holds up to the end is in the first
segment of the next timeline too.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

TIMELINE = 8  # characters of a segment's name: eight each of the timeline, and of the two halves of the position
SEGMENT = 24


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
    if len(path.name) != SEGMENT:
        return False
    # a history alone may be of a timeline that another server began: what is written says which one is this server's
    own = max(each.name for each in path.parent.iterdir() if len(each.name) == SEGMENT)[:TIMELINE]
    history = path.with_name(f"{own}.history")
    return path.name[:TIMELINE] < own and history.exists() and path.name in ends(history, path.stat().st_size)


def stopping() -> bool:
    """Whether the server is being stopped, by its own word in the data directory, which is where it runs commands."""
    try:
        lines = Path("postmaster.pid").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return "stopping" in (line.strip() for line in lines)


def main() -> None:
    stanza, path = sys.argv[1:]
    if is_an_end(Path(path)):
        print(f"push: {path} is not archived: its timeline ended in it", file=sys.stderr)
        return
    # What a server that stops still has to send goes alone and at once: a second more makes Patroni wait two more.
    alone = ["--no-archive-async"] if stopping() else []
    os.execvp("pgbackrest", ["pgbackrest", f"--stanza={stanza}", *alone, "archive-push", path])


if __name__ == "__main__":
    main()
