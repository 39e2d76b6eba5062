# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What `pgbackrest info --output=json` says of one repository."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass

from .command import Pgbackrest, PgbackrestError

# Codes of status: 0 good, 1 no stanza, 2 no backup, 3 a part of the stanza is missing, 5 another cluster, 99 unreadable
NO_STANZA = 1
NO_BACKUP = 2
TYPES = ("full", "diff", "incr")
# Every type of backup holds what a smaller one would: after a full one no differential is missing.
COVERED_BY = {"full": ("full",), "diff": ("full", "diff"), "incr": ("full", "diff", "incr")}


def position(lsn: str) -> int:
    """An LSN as a number."""
    high, low = lsn.split("/")
    return int(high, 16) << 32 | int(low, 16)


@dataclass(frozen=True)
class Backup:
    """One backup in a repository."""

    label: str
    kind: str
    started: int
    stopped: int
    size: int
    stored: int
    archive_start: str
    archive_stop: str
    lsn_stop: str
    error: bool

    @classmethod
    def of(cls, entry: dict[str, t.Any]) -> Backup:
        info, archive = entry["info"], entry.get("archive") or {}
        return cls(
            entry["label"],
            entry["type"],
            int(entry["timestamp"]["start"]),
            int(entry["timestamp"]["stop"]),
            int(info["size"]),
            int(info["repository"].get("delta") or 0),
            archive.get("start") or "",
            archive.get("stop") or "",
            (entry.get("lsn") or {}).get("stop") or "",
            bool(entry.get("error")),
        )


@dataclass(frozen=True)
class Repository:
    """A repository as far as it concerns one cluster."""

    number: int
    code: int
    message: str
    backups: tuple[Backup, ...]
    archive_min: str
    archive_max: str
    running: bool

    @property
    def has_stanza(self) -> bool:
        return self.code != NO_STANZA

    def must_be_good(self) -> None:
        """pgBackRest ends well although a repository is silent or refuses: only the status in its answer tells."""
        if self.code:
            raise PgbackrestError(f"repository {self.number}: {self.message}")

    def before(self, lsn: str) -> Backup | None:
        """The last good backup that ended before this place in the WAL, from which it can be reached."""
        usable = [
            each
            for each in self.backups
            if each.lsn_stop and not each.error and position(each.lsn_stop) <= position(lsn)
        ]
        return max(usable, key=lambda backup: position(backup.lsn_stop), default=None)

    def last(self, kind: str) -> Backup | None:
        """The last backup that covers this type."""
        covering = [backup for backup in self.backups if backup.kind in COVERED_BY[kind]]
        return max(covering, key=lambda backup: backup.stopped, default=None)


def parse(text: str, number: int) -> Repository:
    """The repository of this number; PgbackrestError where the answer is not what pgBackRest 2.4x and 2.5x give."""
    try:
        stanzas = json.loads(text)
        if not isinstance(stanzas, list):
            raise ValueError("no list")
        if not stanzas:
            return Repository(number, NO_STANZA, "no stanza", (), "", "", False)
        [stanza] = stanzas
        status = next((repo["status"] for repo in stanza.get("repo") or [] if repo["key"] == number), stanza["status"])
        archives = [each for each in stanza.get("archive") or [] if each["database"]["repo-key"] == number]
        backups = tuple(
            Backup.of(entry) for entry in stanza.get("backup") or [] if entry["database"]["repo-key"] == number
        )
        running = bool(((stanza["status"].get("lock") or {}).get("backup") or {}).get("held"))
        # The last is that of the cluster's present version.
        newest: dict[str, t.Any] = archives[-1] if archives else {}
        return Repository(
            number,
            int(status["code"]),
            str(status["message"]),
            backups,
            newest.get("min") or "",
            newest.get("max") or "",
            running,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PgbackrestError(f"pgbackrest info gave no usable answer for repository {number}: {error!r}") from None


def read(pgbackrest: Pgbackrest, number: int, timeout: float = 120) -> Repository:
    """Ask for one repository at a time: 2.55 asks a member that knows no passphrase in vain when it asks for all."""
    done = pgbackrest.must("info", "--output=json", f"--repo={number}", timeout=timeout)
    return parse(done.out, number)
