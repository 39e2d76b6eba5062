# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A stanza of one repository: there, fitting the cluster, and checked since anything changed."""

from __future__ import annotations

import hashlib
import json
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from . import info
from .command import LOCKED, Done, Pgbackrest, PgbackrestError, run

# pgBackRest's FileInvalidError: the stanza is another cluster's, or one of another major version
MISMATCH = 28
RECORDS = Path("/var/lib/chainops/pgbackrest")
# Seconds to wait for a lock that WAL on its way, or the other repository's host, has on the primary for a moment
LOCK_PATIENCE = 60.0
LOCK_INTERVAL = 0.5


@dataclass
class Stanza:
    """Run on the repository host."""

    pgbackrest: Pgbackrest
    number: int
    check_on: list[str]
    upgrade: bool = False
    first_backup_unit: str = ""
    timeout: float = 300
    done: list[str] = field(default_factory=list)
    check_also: dict[str, str] = field(default_factory=dict)
    """What other hosts have, by host; one that is not named, as in a run with --limit, counts as unchanged."""

    @property
    def record(self) -> Path:
        return RECORDS / f"{self.pgbackrest.stanza}-{self.number}.json"

    def digest(self) -> str:
        """Of everything that a check depends on; a file that is missing counts as such."""
        sum_ = hashlib.sha256()
        for name in sorted(self.check_on):
            path = Path(name)
            content = path.read_bytes() if path.is_file() else b""
            sum_.update(f"{name}\0{len(content)}\0".encode() + content)
        return sum_.hexdigest()

    def checked(self) -> bool:
        """Whether the last check that went well saw what is on disk now."""
        seen = self.recorded()
        known = seen.get("also", {})
        same = all(known.get(host) == text for host, text in self.check_also.items())
        return bool(seen.get("digest") == self.digest() and same)

    def recorded(self) -> dict[str, t.Any]:
        try:
            found = json.loads(self.record.read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def run(self, check_mode: bool) -> info.Repository:
        """Create, upgrade and check as far as needed; what was done is in .done."""
        repository = info.read(self.pgbackrest, self.number, self.timeout)
        if repository.has_stanza and repository.code not in (0, info.NO_BACKUP):
            repository.must_be_good()
        created = not repository.has_stanza
        if created:
            self.done.append("create")
        if created or not self.checked():
            self.done.append("check")
        if self.first_backup_unit and not repository.backups and not repository.running:
            self.done.append("first backup")
        if check_mode:
            return repository
        if created:
            self._create()
        if "check" in self.done:
            self._check()
            RECORDS.mkdir(mode=0o755, parents=True, exist_ok=True)
            also = self.recorded().get("also", {}) | self.check_also
            self.record.write_text(json.dumps({"digest": self.digest(), "also": also}) + "\n")
        if "first backup" in self.done:
            self._start_backup()
        return info.read(self.pgbackrest, self.number, self.timeout)

    def _create(self) -> None:
        self._with_upgrade("stanza-create")

    def _check(self) -> None:
        """It switches WAL on the primary and waits until the segment is in this repository."""
        self._with_upgrade("check")

    def _unlocked(self, command: str) -> Done:
        """The command, again for as long as somebody has its lock."""
        end = time.monotonic() + LOCK_PATIENCE
        while True:
            done = self.pgbackrest.run(command, timeout=self.timeout)
            # a primary whose lock is held is skipped with a warning, and the command ends with "no primary"
            locked = done.code == LOCKED or "LockAcquireError" in done.reason
            if not locked or time.monotonic() > end:
                return done
            time.sleep(LOCK_INTERVAL)

    def _with_upgrade(self, command: str) -> None:
        done = self._unlocked(command)
        if done.code == MISMATCH and self.upgrade:
            self.pgbackrest.must("stanza-upgrade", timeout=self.timeout)
            self.done.insert(0, "upgrade")
            if command != "check":
                return
            done = self._unlocked(command)
        if done.code == MISMATCH:
            raise PgbackrestError(
                f"the stanza {self.pgbackrest.stanza} in repository {self.number} is of another cluster, or of another "
                f"major version. If this cluster was upgraded, set upgrade; if it is a new one, choose another stanza. "
                f"pgbackrest {command}: {done.reason}"
            )
        if done.code:
            raise PgbackrestError(f"pgbackrest {command} ended with status {done.code}: {done.reason}")

    def _start_backup(self) -> None:
        done = run(["systemctl", "start", "--no-block", self.first_backup_unit], timeout=30)
        if done.code:
            raise PgbackrestError(f"{self.first_backup_unit} could not be started: {done.reason}")
