# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What pgbackrest_restore is asked for on one host, to scratch or, where Patroni's configuration is given, in place."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from pathlib import Path

from ..patroni import local
from ..patroni.rest import RestError
from ..patroni.store import Store
from . import in_place, info
from .command import Pgbackrest, PgbackrestError
from .mark import Marks, wish_of
from .scratch import Scratch
from .target import Target, in_use, restore, set_aside

END = (
    "SELECT json_build_object('lsn', pg_current_wal_lsn()::text, 'timeline', timeline_id) FROM pg_control_checkpoint();"
)


@dataclass
class Job:
    """What is asked for on this host."""

    given: dict[str, t.Any]
    member: local.Local | None
    target: Target
    pgbackrest: Pgbackrest
    changed: bool = False

    @property
    def data_dir(self) -> Path:
        return self.member.data_dir if self.member else Path(self.given["data_dir"])

    @property
    def bin_dir(self) -> Path:
        return self.member.bin_dir if self.member else Path(self.given["bin_dir"])

    @property
    def run_dir(self) -> Path:
        return Path(self.given["run_dir"])

    @property
    def marks(self) -> Marks:
        return Marks(self.data_dir, self.given["stanza"], self.given["user"])

    def run(self, state: str, check: bool) -> dict[str, t.Any]:
        """What the module returns; whether anything was touched is in .changed, also where it raises."""
        if state == "possible":
            result = self.possible()
        elif state == "set_aside":
            result = self.set_aside(check)
        elif state == "led":
            self.changed, result = not check and self.marks.lead(), {}
        else:
            result = self.restored(check)
        return result | ({"member": self.member.described()} if self.member else {})

    def mark(self) -> dict[str, t.Any]:
        return self.marks.of(wish_of(self.target), self.given["again"]) if self.member else {}

    def must_not_run(self) -> None:
        if in_use(self.data_dir):
            raise PgbackrestError(f"PostgreSQL runs in {self.data_dir}: stop it first; nothing was touched")

    def possible(self) -> dict[str, t.Any]:
        number, mark = self.given["repository"], self.mark()
        if self.member is None:
            info.read(self.pgbackrest, number).must_be_good()
            return {"kept": ""}
        try:
            state = Store(self.member).read()
        except RestError as error:
            raise PgbackrestError(f"etcd does not answer, and the restored member could not lead: {error}") from None
        asked, found = (self.pgbackrest, number, self.target), []
        if state.paused:
            found = ["the cluster is paused, and a paused Patroni leaves PostgreSQL running: patronictl resume ends it"]
        clones = in_place.cloning(self.member, state)
        # What is restored already, or is being cloned, needs neither room nor repository.
        if not mark and not clones:
            found += in_place.faults(*asked, member=self.member, run_dir=self.run_dir, state=state)
        if found:
            raise PgbackrestError("; ".join(found))
        return {"kept": "", "restore": mark, "leader": state.leader, "alive": state.alive, "cloning": clones}

    def set_aside(self, check: bool) -> dict[str, t.Any]:
        if self.member and self.given["restore_id"] and self.marks.mark.get("id") == self.given["restore_id"]:
            return {"kept": ""}
        if not check:  # or else it was not stopped
            self.must_not_run()
        self.changed = self.data_dir.is_dir() and any(self.data_dir.iterdir())
        return {"kept": set_aside(self.data_dir) if self.changed and not check else ""}

    def restored(self, check: bool) -> dict[str, t.Any]:
        mark = self.mark()
        if mark:
            return {"kept": mark["kept"], "restore": mark, "recovered": mark["recovered"]}
        if check:
            self.changed = True
            return self.possible()
        if self.member is None:
            return self._restore()
        with self.marks.alone():
            in_place.end_ours(self.data_dir, self.run_dir, self.bin_dir, self.given["user"])
            return self._restore()

    def _restore(self) -> dict[str, t.Any]:
        self.must_not_run()
        unfinished = self.marks.unfinished if self.member else {}
        spaces = [f"--tablespace-map-all={self.given['tablespace_dir']}"] if self.given["tablespace_dir"] else []
        self.changed = True

        def begun(kept: str) -> None:
            # The old data is what was there before the first attempt.
            if self.member:
                self.marks.begin(wish_of(self.target), unfinished.get("kept") or kept)

        kind = "unfinished-restore" if unfinished else "before-restore"
        number = self.given["repository"]
        kept = restore(self.pgbackrest, self.target, self.data_dir, number, spaces, begun=begun, kind=kind)
        result: dict[str, t.Any] = {"kept": unfinished.get("kept") or kept}
        if self.given["recover"]:
            result["recovered"] = self._recover()
        if self.member:
            result["restore"] = self.marks.end(result.get("recovered", {}))
        return result

    def _recover(self) -> dict[str, t.Any]:
        scratch = Scratch(
            self.data_dir, self.run_dir, self.bin_dir, self.given["user"], archive=self.given["archive_later"]
        )
        with scratch:
            scratch.wait_promoted(self.given["timeout"])
            scratch.forget_target()
            return dict(scratch.psql().row("CHECKPOINT; " + END, 300))


def job_of(given: dict[str, t.Any]) -> Job:
    target = Target(given["type"], given["target"], given["exclusive"], given["timeline"], given["backup"])
    target.check()
    member = local.read(given["patroni_config"]) if given["patroni_config"] else None
    job = Job(given, member, target, Pgbackrest(given["stanza"], given["user"], given["config"]))
    if not job.data_dir.is_absolute() or len(job.data_dir.parts) < 3:
        raise ValueError(f"data_dir = {job.data_dir}: must be an absolute path below a directory of its own")
    return job
