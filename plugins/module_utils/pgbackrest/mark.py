# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which restore in place a data directory comes from, so that a second run of it goes on and throws nothing away.

The mark is in the data directory: it moves with the data, and members that clone it, or are rewound to it, have it too.
A directory that pgBackRest is not done with may hold the mark of an earlier restore, out of the backup. So the journal,
outside of it, names the directory that is being made by its inode, until the mark of this restore is written.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

from .command import PgbackrestError, identity
from .target import Target

MARK = "chainops_restore.json"
JOURNALS = Path("/var/lib/chainops/pgbackrest")
RECOVERED, LED = "recovered", "led"


def wish_of(target: Target) -> str:
    """To which point, in words that compare. From which backup and repository it is reached makes no difference."""
    words = [target.kind, target.value, "exclusive" if target.exclusive else "", f"timeline {target.timeline}"]
    return " ".join(word for word in words if word)


def load(path: Path) -> dict[str, t.Any]:
    """What was noted; nothing where there is no such note."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def save(path: Path, content: dict[str, t.Any], user: str | None = None) -> None:
    """By rename, and on the disk before anything that it speaks of goes on."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with open(beside, "w", encoding="utf-8") as file:
        file.write(json.dumps(content) + "\n")
        file.flush()
        os.fsync(file.fileno())
    who = identity(user)
    if who:
        os.chown(beside, who["user"], who["group"])
    beside.replace(path)


@dataclass(frozen=True)
class Marks:
    """Of one data directory."""

    data_dir: Path
    stanza: str
    user: str | None = None

    @property
    def journal(self) -> Path:
        return JOURNALS / f"restore-{self.stanza}.json"

    @property
    def unfinished(self) -> dict[str, t.Any]:
        """The restore that was begun in the directory as it is now, and has not ended."""
        begun = load(self.journal)
        return begun if begun and begun.get("inode") == self._inode() else {}

    @property
    def mark(self) -> dict[str, t.Any]:
        return {} if self.unfinished else load(self.data_dir / MARK)

    def of(self, wish: str, again: str) -> dict[str, t.Any]:
        """The mark, if it is of this wish and that restore is not to be made once more."""
        found = self.mark
        return found if found.get("wish") == wish and found.get("id") != again else {}

    def begin(self, wish: str, kept: str) -> str:
        """The directory has been made anew, and is empty. The name of this restore is its moment."""
        name = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        save(self.journal, {"id": name, "wish": wish, "kept": kept, "inode": self._inode()})
        return name

    def end(self, recovered: dict[str, t.Any]) -> dict[str, t.Any]:
        """It has reached its target: from now on nothing restores it once more without being told to."""
        begun = load(self.journal)
        found = {name: begun[name] for name in ("id", "wish", "kept")} | {"stage": RECOVERED, "recovered": recovered}
        save(self.data_dir / MARK, found, self.user)
        self.journal.unlink()
        return found

    def lead(self) -> bool:
        """Note that clients write to it; whether that was news."""
        found = self.mark
        if not found or found.get("stage") == LED:
            return False
        save(self.data_dir / MARK, found | {"stage": LED}, self.user)
        return True

    def _inode(self) -> int:
        try:
            return self.data_dir.stat().st_ino
        except OSError:
            return 0

    @contextlib.contextmanager
    def alone(self) -> t.Iterator[None]:
        """While a restore is being made, also by a module whose play has lost it, no other one begins."""
        JOURNALS.mkdir(mode=0o755, parents=True, exist_ok=True)
        with open(self.journal.with_suffix(".lock"), "w", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise PgbackrestError("another restore is being made on this host: wait for its end") from None
            yield
