# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The object that tests and people hold: it makes faults and never forgets one."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import threading
from collections.abc import Iterable
from types import FrameType, TracebackType
from typing import Any

from ..lab.shell import LabError
from ..lab.site import Site
from . import links
from .journal import Entry, Journal
from .kinds import KINDS, Impossible


class Fault:
    """A fault in force; as a context manager it is undone at the end of the block."""

    def __init__(self, faults: Faults, entry: Entry) -> None:
        self._faults = faults
        self.entry = entry

    def undo(self) -> None:
        """Mend it. Doing so twice is no error."""
        self._faults.undo(self.entry)

    def __enter__(self) -> Fault:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.undo()

    def __str__(self) -> str:
        return self.entry.text


class Faults:
    """Makes faults in one lab. Leaving its block undoes all that it made: at the end, on an error and on SIGTERM.

    With ``lasting=True`` (the command line) faults outlive the process, until they are undone by name or all at once.
    """

    def __init__(self, site: Site, lasting: bool = False) -> None:
        if os.geteuid() != 0:
            raise LabError("faults are made on this machine's processes and links: run as root")
        self.site = site
        self.journal = Journal(site.directory)
        self.lasting = lasting
        self._own: list[Entry] = []
        self._previous: Any = None
        if not lasting:
            atexit.register(self._undo_own)

    @classmethod
    def load(cls, prefix: str = "lab", lasting: bool = False) -> Faults:
        """For the lab of that prefix, as it was last brought up."""
        return cls(Site.load(prefix), lasting)

    def __enter__(self) -> Faults:
        # who has an answer to SIGTERM of its own keeps it
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            self._previous = signal.signal(signal.SIGTERM, _terminate)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._undo_own()
        finally:
            if self._previous is not None:
                signal.signal(signal.SIGTERM, self._previous)
                self._previous = None

    def kill_host(self, host: str) -> Fault:
        """Power cut: every process of the host gone at once, its disk kept. Undone by booting it."""
        return self._make("kill_host", f"{host} is without power", {"host": host})

    def shut_down_host(self, host: str) -> Fault:
        """An orderly poweroff, waited for. Undone by booting it."""
        return self._make("shut_down_host", f"{host} is shut down", {"host": host})

    def freeze_host(self, host: str) -> Fault:
        """Every process of the host stands still; its kernel still answers pings and accepts connections."""
        return self._make("freeze_host", f"{host} is frozen", {"host": host})

    def freeze_unit(self, host: str, unit: str, only: str = "") -> Fault:
        """SIGSTOP to all processes of a unit, or to those named ``only``. Undone by SIGCONT."""
        unit = unit_name(unit)
        data = {"host": host, "unit": unit} | ({"only": only} if only else {})
        return self._make("freeze_unit", f"{_part(unit, only)} on {host} is frozen", data)

    def kill_unit(self, host: str, unit: str, stay_dead: bool = False, only: str = "") -> Fault:
        """SIGKILL to all processes of a unit, or to those named ``only``. Undone by start.

        Its Restart= may bring it back, unless ``stay_dead``.
        """
        unit = unit_name(unit)
        how = f"{'is' if stay_dead else 'was'} killed{' and kept dead' if stay_dead else ''}"
        data = {"host": host, "unit": unit, "stay_dead": stay_dead} | ({"only": only} if only else {})
        return self._make("kill_unit", f"{_part(unit, only)} on {host} {how}", data)

    def stop_unit(self, host: str, unit: str) -> Fault:
        """systemctl stop. Undone by a start."""
        unit = unit_name(unit)
        return self._make("stop_unit", f"{unit} on {host} is stopped", {"host": host, "unit": unit})

    def partition(self, left: Iterable[str], right: Iterable[str], one_way: bool = False) -> Fault:
        """Cut hosts or regions off from others; the machine itself reaches all of them unless ``machine`` is named.

        Ends are host names, region names, ``machine`` (and what runs on it) and ``outside`` (all beyond the machine).
        ``one_way`` drops only what goes from left to right.
        """
        left, right = list(left), list(right)
        pairs = links.pairs(self.site, left, right, one_way)
        text = f"{', '.join(left)} {'cannot reach' if one_way else 'cut off from'} {', '.join(right)}"
        return self._make("partition", text, {"pairs": pairs})

    def isolate(self, host: str) -> Fault:
        """Cut a host off from every other host of the lab, and from nothing else."""
        pairs = links.pairs(self.site, [host], [other for other in self.site.spec.hosts if other != host], False)
        return self._make("partition", f"{host} cut off from all other hosts", {"pairs": pairs})

    def loss(self, left: Iterable[str], right: Iterable[str], percent: float, one_way: bool = False) -> Fault:
        """Lose this share (0 to 100) of the packets between the two sides, each direction by itself."""
        if not 0 < percent <= 100:
            raise LabError(f"percent is {percent}; more than 0, at most 100")
        left, right = list(left), list(right)
        pairs = links.pairs(self.site, left, right, one_way)
        text = f"{percent:g} % of the packets lost between {', '.join(left)} and {', '.join(right)}"
        return self._make("loss", text, {"pairs": pairs, "percent": percent})

    def delay(
        self, left: Iterable[str], right: Iterable[str], ms: float, jitter_ms: float = 0, one_way: bool = False
    ) -> Fault:
        """Hold up each IPv4 packet between the two sides by ``ms`` more or less ``jitter_ms``, in order, each way."""
        if not 0 < ms <= 10000 or not 0 <= jitter_ms <= ms:
            raise LabError(f"ms is {ms} and jitter_ms {jitter_ms}; ms: more than 0, at most 10000; jitter_ms: 0 to ms")
        left, right = list(left), list(right)
        pairs = links.pairs(self.site, left, right, one_way)
        if any(one in links.MARKS and other in links.MARKS for one, other in pairs):
            raise LabError("packets between the machine and the outside do not pass the lab")
        text = f"{ms:g} ms of delay each way between {', '.join(left)} and {', '.join(right)}"
        return self._make("delay", text, {"pairs": pairs, "ms": ms, "jitter_ms": jitter_ms})

    def fill_disk(self, host: str, path: str, leave_bytes: int = 0) -> Fault:
        """Fill the file system at ``path`` until ``leave_bytes`` are free. Only a disk of its own (lab_disks)."""
        data = {"host": host, "path": path, "leave_bytes": leave_bytes}
        return self._make("fill_disk", f"{path} on {host} is full but for {leave_bytes} bytes", data)

    def skew_clock(self, host: str, seconds: float) -> Fault:
        """Impossible in this lab, and it says so rather than pretending."""
        self.site.machine(host)
        raise Impossible(
            f"the clock of {host} cannot be moved by {seconds:g} s: the lab's hosts share this machine's, and Linux "
            "has only one (time namespaces do not cover the time of day). stop_unit(host, 'chrony') makes its time "
            "service fail; a skew needs a virtual or physical machine"
        )

    def active(self) -> list[Entry]:
        """Every fault in force in this lab, whoever made it."""
        return self.journal.entries()

    def undo(self, entry: Entry) -> None:
        """Mend one; it is struck out of the journal only after that has worked."""
        with self.journal.locked():
            entries = self.journal.entries()
            if not any(other.id == entry.id and other.since == entry.since for other in entries):
                return
            if entry.kind in links.KINDS:
                links.apply(self.site, [other for other in entries if other.id != entry.id])
        if entry.kind in KINDS:
            KINDS[entry.kind].undo(self.site, entry.data)
        self.journal.remove(entry.id)
        self._own = [other for other in self._own if other.id != entry.id]

    def undo_number(self, number: str | int) -> Entry:
        """Mend the fault of that number in the journal."""
        for entry in self.journal.entries():
            if str(entry.id) == str(number):
                self.undo(entry)
                return entry
        raise LabError(f"no fault has the number {number} (tools/faults list)")

    def undo_all(self) -> list[Entry]:
        """Mend everything in force, the newest first, whoever made it; goes on past what fails and then says so."""
        return self._undo_each(self.journal.entries())

    def mend(self, host: str, unit: str = "") -> list[Entry]:
        """Undo every fault of a host, or of one unit of it: start it, thaw it, empty its disk."""
        self.site.machine(host)
        wanted = {"host": host} | ({"unit": unit_name(unit)} if unit else {})
        return self._undo_each(entry for entry in self.journal.entries() if wanted.items() <= entry.data.items())

    def _undo_own(self) -> None:
        self._undo_each(list(self._own))

    def _undo_each(self, entries: Iterable[Entry]) -> list[Entry]:
        failed = []
        entries = list(entries)
        for entry in reversed(entries):
            try:
                self.undo(entry)
            except LabError as error:
                failed.append(f"{entry.text}: {error}")
        if failed:
            raise LabError("not undone (tools/faults undo-all tries again): " + "; ".join(failed))
        return entries

    def _make(self, kind: str, text: str, data: dict[str, Any]) -> Fault:
        if kind in KINDS:
            KINDS[kind].check(self.site, data)
            target = {key: data[key] for key in ("host", "unit", "path") if key in data}
            for entry in self.journal.entries():
                if entry.kind == kind != "kill_unit" and target.items() <= entry.data.items():
                    raise LabError(f"{entry.text}, already (fault {entry.id})")
        entry = self.journal.add(kind, text, data, owned=not self.lasting)
        if not self.lasting:
            self._own.append(entry)
        try:
            if kind in links.KINDS:
                with self.journal.locked():
                    links.apply(self.site, self.journal.entries())
            else:
                KINDS[kind].make(self.site, data)
        except BaseException:
            with contextlib.suppress(LabError):  # what cannot be mended now stays in the journal
                self.undo(entry)
            raise
        return Fault(self, entry)


def unit_name(unit: str) -> str:
    """geth is geth.service, as systemctl reads it."""
    return unit if "." in unit else f"{unit}.service"


def _part(unit: str, only: str) -> str:
    return f"{only} of {unit}" if only else unit


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + signal.SIGTERM)
