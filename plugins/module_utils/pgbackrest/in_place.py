# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a member can be restored, or cloned anew, where it is: everything that would fail after it was stopped."""

from __future__ import annotations

import datetime
import shutil
from pathlib import Path

from ..patroni.local import Local
from ..patroni.store import State
from . import info
from .command import Pgbackrest, PgbackrestError, run
from .target import Target, in_use, postmaster, unmovable

# A restore writes what it replays too.
MORE_THAN_THE_BACKUP = 1.1


def space_faults(data_dir: Path, size: int) -> list[str]:
    """The old directory stays beside the new one, on every member."""
    needed = int(size * MORE_THAN_THE_BACKUP)
    free = shutil.disk_usage(data_dir.parent).free
    if free >= needed:
        return []
    return [
        f"{data_dir.parent} has {free // 2**20} MiB free, and {needed // 2**20} MiB are needed, since the old data "
        f"directory stays beside the new one: make room (an older {data_dir.name}.*-restore-*?)"
    ]


def directory_faults(data_dir: Path) -> list[str]:
    if not data_dir.parent.is_dir():
        return [f"{data_dir.parent} is not there: the data layer's playbook makes it"]
    found = [unmovable(data_dir)]
    with_spaces = data_dir / "pg_tblspc"
    spaces = sorted(each.name for each in with_spaces.iterdir()) if with_spaces.is_dir() else []
    if spaces:
        found.append(
            f"{data_dir} has tablespaces ({', '.join(spaces)}), which would not be put aside with it: restore to the "
            "scratch host, or move what is in them to pg_default before"
        )
    return [fault for fault in found if fault]


def backup_for(repository: info.Repository, target: Target) -> info.Backup:
    """What pgBackRest begins at. Where nothing is old enough it would take the last, and not reach the target."""
    backups = sorted(repository.backups, key=lambda backup: backup.stopped)
    if target.backup:
        backups = [backup for backup in backups if backup.label == target.backup]
    elif target.kind == "time":
        moment = datetime.datetime.fromisoformat(target.value).timestamp()
        backups = [backup for backup in backups if backup.stopped <= moment]
    elif target.kind == "lsn":
        before = repository.before(target.value)
        backups = [before] if before else []
    if not backups:
        wanted = target.backup or f"that ended before {target.value}"
        raise PgbackrestError(f"repository {repository.number} has no backup {wanted}")
    return backups[-1]


def faults(
    pgbackrest: Pgbackrest, number: int, target: Target, *, member: Local, run_dir: Path, state: State
) -> list[str]:
    """What would fail, all of it, one sentence each."""
    data_dir = member.data_dir
    found = directory_faults(data_dir)
    if member.name not in state.alive and in_use(data_dir) and not ours(data_dir, run_dir):
        found.append(f"PostgreSQL runs in {data_dir} and no Patroni of this host is in the cluster: stop it")
    try:
        repository = info.read(pgbackrest, number)
        repository.must_be_good()
        size = backup_for(repository, target).size
        found += space_faults(data_dir, size) if data_dir.parent.is_dir() else []
    except PgbackrestError as error:
        found.append(str(error))
    return found


def cloning(member: Local, state: State) -> bool:
    """Whether its Patroni copies the leader's data right now: what tells of a whole cluster is brought last."""
    return member.name in state.alive and not (member.data_dir / "global" / "pg_control").exists()


def ours(data_dir: Path, run_dir: Path) -> bool:
    """Whether what runs there is the server of a restore whose module was killed."""
    try:
        words = Path(f"/proc/{postmaster(data_dir)}/cmdline").read_text(encoding="utf-8").split("\0")
    except OSError:
        return False
    return f"config_file={run_dir}/postgresql.conf" in words


def end_ours(data_dir: Path, run_dir: Path, bin_dir: Path, user: str | None) -> None:
    """End it; what it has recovered is put aside, and need not be whole."""
    if in_use(data_dir) and ours(data_dir, run_dir):
        run([str(bin_dir / "pg_ctl"), "-D", str(data_dir), "-m", "immediate", "-w", "stop"], user, timeout=90)
