"""The fault library: nothing it breaks stays broken, whatever ends the test that broke it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.faults import Faults, Impossible, core, delays, links
from ansible_collections.chainops.infra.plugins.module_utils.faults.journal import Journal, start_time
from ansible_collections.chainops.infra.plugins.module_utils.faults.kinds import KINDS, Kind, kill_unit, process_state
from ansible_collections.chainops.infra.plugins.module_utils.lab import cgroup
from ansible_collections.chainops.infra.plugins.module_utils.lab.machine import Machine
from ansible_collections.chainops.infra.plugins.module_utils.lab.shell import LabError
from ansible_collections.chainops.infra.plugins.module_utils.lab.site import Site
from ansible_collections.chainops.infra.plugins.module_utils.lab.spec import Disk, Host, Spec

HOSTS = {
    "eth-a": Host("eth-a", "10.87.1.11", "east", disks=[Disk("/var/lib/geth", "64M")]),
    "lb-a1": Host("lb-a1", "10.87.1.21", "east"),
    "eth-b": Host("eth-b", "10.87.2.11", "west"),
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site whose cgroups are plain directories, and whose state is in a temporary directory."""
    monkeypatch.setattr(cgroup, "unified_root", lambda: tmp_path / "cgroup")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    found = Site(Spec("lab", "10.87.0.0/16", HOSTS))
    found.directory = tmp_path / "state"
    found.directory.mkdir()
    return found


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was made and undone, instead of doing it."""
    log: list[str] = []

    def note(word: str) -> Any:
        return lambda _site, data: log.append(f"{word} {data['host']} {data.get('unit', '')}".strip())

    for name in ("kill_host", "freeze_unit", "stop_unit", "kill_unit"):
        monkeypatch.setitem(KINDS, name, Kind(lambda _site, _data: None, note(name), note(f"undo {name}")))
    monkeypatch.setattr(links, "apply", lambda _site, entries: log.append(f"links {[entry.text for entry in entries]}"))
    return log


def give_processes(site: Site, host: str, unit: str, pids: list[int]) -> Path:
    group = site.machine(host).cgroup.path / "payload" / "system.slice" / unit
    group.mkdir(parents=True)
    (group / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))
    (site.machine(host).cgroup.path / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    return group


@pytest.fixture
def sleeper() -> Iterator[int]:
    process = subprocess.Popen(["sleep", "60"])
    yield process.pid
    process.kill()
    process.wait()


def test_all_is_undone_at_the_end_newest_first(site: Site, done: list[str]) -> None:
    with Faults(site) as faults:
        faults.stop_unit("eth-a", "geth")
        faults.kill_host("eth-b")
        assert [entry.text for entry in faults.active()] == [
            "geth.service on eth-a is stopped",
            "eth-b is without power",
        ]
    assert done == [
        "stop_unit eth-a geth.service",
        "kill_host eth-b",
        "undo kill_host eth-b",
        "undo stop_unit eth-a geth.service",
    ]
    assert Journal(site.directory).entries() == []


def test_a_block_of_its_own_undoes_one_fault(site: Site, done: list[str]) -> None:
    with Faults(site) as faults:
        faults.kill_host("eth-b")
        with faults.freeze_unit("eth-a", "geth") as fault:
            assert str(fault) == "geth.service on eth-a is frozen"
        assert done[-1] == "undo freeze_unit eth-a geth.service"
        fault.undo()  # once more is no error, and does nothing
        assert done.count("undo freeze_unit eth-a geth.service") == 1
        assert len(faults.active()) == 1


def test_all_is_undone_after_an_error(site: Site, done: list[str]) -> None:
    with pytest.raises(ZeroDivisionError), Faults(site) as faults:
        faults.kill_host("eth-b")
        raise ZeroDivisionError
    assert done == ["kill_host eth-b", "undo kill_host eth-b"]


def test_all_is_undone_on_sigterm_and_the_handler_is_put_back(site: Site, done: list[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended, Faults(site) as faults:
        faults.kill_host("eth-b")
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
    assert ended.value.code == 143
    assert done[-1] == "undo kill_host eth-b"
    assert signal.getsignal(signal.SIGTERM) == before


def test_an_answer_to_sigterm_that_is_there_is_left(site: Site, done: list[str]) -> None:
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), Faults(site) as faults:
            faults.kill_host("eth-b")
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        assert signal.getsignal(signal.SIGTERM) == signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)
    assert done[-1] == "undo kill_host eth-b"


def test_the_journal_is_written_before_the_fault_is_made(site: Site, done: list[str], monkeypatch: Any) -> None:
    seen = []

    def make(_site: Site, _data: dict[str, Any]) -> None:
        seen.append(len(Journal(site.directory).entries()))

    monkeypatch.setitem(KINDS, "kill_host", Kind(lambda _site, _data: None, make, lambda _site, _data: None))
    with Faults(site) as faults:
        faults.kill_host("eth-b")
    assert seen == [1]


def test_a_fault_that_fails_half_way_is_undone_at_once(site: Site, done: list[str], monkeypatch: Any) -> None:
    def fail(_site: Site, _data: dict[str, Any]) -> None:
        raise LabError("no")

    undo = KINDS["kill_host"].undo
    monkeypatch.setitem(KINDS, "kill_host", Kind(lambda _site, _data: None, fail, undo))
    with Faults(site) as faults:
        with pytest.raises(LabError, match="no"):
            faults.kill_host("eth-b")
        assert done == ["undo kill_host eth-b"]
        assert faults.active() == []


def test_a_refused_fault_is_neither_noted_nor_undone(site: Site) -> None:
    with Faults(site) as faults:
        with pytest.raises(LabError, match="eth-b is not running"):
            faults.kill_host("eth-b")
        with pytest.raises(LabError, match="no host 'nope'"):
            faults.kill_host("nope")
        assert faults.active() == []


def test_what_cannot_be_undone_does_not_stop_the_rest_and_stays_noted(
    site: Site, done: list[str], monkeypatch: Any
) -> None:
    def fail(_site: Site, _data: dict[str, Any]) -> None:
        raise LabError("the host is off")

    monkeypatch.setitem(KINDS, "freeze_unit", Kind(lambda _site, _data: None, lambda _site, _data: None, fail))
    with pytest.raises(LabError, match=r"geth.service on eth-a is frozen: the host is off"), Faults(site) as faults:
        faults.kill_host("eth-b")
        faults.freeze_unit("eth-a", "geth")
    assert done[-1] == "undo kill_host eth-b"
    assert [entry.kind for entry in Journal(site.directory).entries()] == ["freeze_unit"]


def test_what_a_killed_process_left_is_seen_and_undone(site: Site, done: list[str]) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    journal = Journal(site.directory)
    entry = journal.add("kill_host", "eth-b is without power", {"host": "eth-b"}, owned=True)
    assert not entry.abandoned
    entry.owner = [child.pid, 1]
    assert entry.abandoned
    with Faults(site) as other:
        assert [undone.text for undone in other.undo_all()] == ["eth-b is without power"]
    assert done == ["undo kill_host eth-b"]
    assert journal.entries() == []


def test_lasting_faults_outlive_their_maker(site: Site, done: list[str]) -> None:
    with Faults(site, lasting=True) as faults:
        faults.kill_host("eth-b")
    with Faults(site) as other:
        assert [entry.owner for entry in other.active()] == [None]
        assert other.undo_number(1).kind == "kill_host"
        with pytest.raises(LabError, match="no fault has the number 1"):
            other.undo_number(1)


def test_one_thing_is_not_broken_twice(site: Site, done: list[str]) -> None:
    with Faults(site) as faults:
        faults.freeze_unit("eth-a", "geth")
        with pytest.raises(LabError, match=r"frozen, already \(fault 1\)"):
            faults.freeze_unit("eth-a", "geth.service")
        faults.kill_unit("eth-a", "geth")
        faults.kill_unit("eth-a", "geth")  # it may have come back in between
        faults.freeze_unit("eth-a", "prysm")


def test_mend_undoes_what_concerns_a_host_or_a_unit(site: Site, done: list[str]) -> None:
    with Faults(site) as faults:
        faults.stop_unit("eth-a", "geth")
        faults.stop_unit("eth-a", "prysm")
        faults.stop_unit("eth-b", "geth")
        assert len(faults.mend("eth-a", "geth")) == 1
        assert len(faults.mend("eth-a")) == 1
        assert [entry.data["host"] for entry in faults.active()] == ["eth-b"]


def test_undoing_one_cut_leaves_the_other(site: Site, done: list[str]) -> None:
    with Faults(site) as faults:
        first = faults.partition(["east"], ["west"])
        faults.isolate("lb-a1")
        first.undo()
        assert done[-1] == "links ['lb-a1 cut off from all other hosts']"
    assert done[-1] == "links []"


def test_only_root_makes_faults(site: Site, monkeypatch: Any) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match="run as root"):
        Faults(site)


def test_a_skewed_clock_is_refused_with_the_reason(site: Site) -> None:
    with Faults(site) as faults:
        with pytest.raises(Impossible, match="share this machine's"):
            faults.skew_clock("eth-a", 30)
        assert faults.active() == []


@pytest.mark.parametrize(("percent", "ms", "jitter"), [(0, 0, 0), (101, 10001, 0), (-1, 5, 6)])
def test_shares_and_times_out_of_range_are_refused(
    site: Site, done: list[str], percent: float, ms: float, jitter: float
) -> None:
    with Faults(site) as faults:
        with pytest.raises(LabError, match="percent is"):
            faults.loss(["east"], ["west"], percent)
        with pytest.raises(LabError, match="ms is"):
            faults.delay(["east"], ["west"], ms, jitter)
        with pytest.raises(LabError, match="do not pass the lab"):
            faults.delay(["machine"], ["outside"], 5)


def test_a_frozen_unit_stands_still_and_goes_on(site: Site, sleeper: int) -> None:
    give_processes(site, "eth-a", "geth.service", [sleeper])
    with Faults(site) as faults:
        with faults.freeze_unit("eth-a", "geth"):
            assert process_state(sleeper) == "T"
        assert process_state(sleeper) != "T"
        with pytest.raises(LabError, match="unit prysm.service has no process on host eth-a"):
            faults.freeze_unit("eth-a", "prysm")


def test_a_unit_that_is_gone_is_thawed_without_an_error(site: Site, sleeper: int) -> None:
    group = give_processes(site, "eth-a", "geth.service", [sleeper])
    with Faults(site) as faults:
        faults.freeze_unit("eth-a", "geth")
        (group / "cgroup.procs").write_text("")
    assert Journal(site.directory).entries() == []


def test_a_disk_is_filled_to_the_byte_asked_for_and_emptied(site: Site, tmp_path: Path, monkeypatch: Any) -> None:
    give_processes(site, "eth-a", "geth.service", [])
    monkeypatch.setattr(Machine, "root", tmp_path)
    monkeypatch.setattr(Machine, "exists", True)
    where = tmp_path / "var/lib/geth"
    where.mkdir(parents=True)
    free = os.statvfs(where)
    leave = free.f_bavail * free.f_frsize - (64 << 20)  # all but 64 MB, so that this machine's disk is not filled
    with Faults(site) as faults:
        with faults.fill_disk("eth-a", "/var/lib/geth", leave_bytes=leave):
            (filler,) = where.iterdir()
            assert 0 < filler.stat().st_blocks * 512 <= 80 << 20
        assert list(where.iterdir()) == []


@pytest.mark.parametrize("path", ["/", "/var/lib", "/var/lib/gethx", "/var/lib/geth/..", "/var/lib/geth/../prysm"])
def test_the_machine_s_own_disk_is_never_filled(site: Site, path: str) -> None:
    give_processes(site, "eth-a", "geth.service", [])
    with Faults(site) as faults, pytest.raises(Impossible, match="this machine's own disk"):
        faults.fill_disk("eth-a", path)


def test_start_time_tells_a_reused_pid_from_the_first() -> None:
    assert start_time(os.getpid()) > 0
    assert start_time(2**22 + 1) == 0


def test_units_are_named_as_systemctl_reads_them() -> None:
    assert [core.unit_name(name) for name in ("geth", "geth.service", "apt-daily.timer")] == [
        "geth.service", "geth.service", "apt-daily.timer",
    ]  # fmt: skip


def test_the_delay_group_is_no_host_s_name() -> None:
    with pytest.raises(LabError, match="lower case letters"):
        Host(delays.GROUP, "10.87.1.12", "east").validate()


def test_only_the_processes_of_a_name_are_hit(site: Site, sleeper: int) -> None:
    """Patroni and the PostgreSQL that it runs are one unit, and fail by themselves."""
    other = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    try:
        give_processes(site, "eth-a", "patroni.service", [sleeper, other.pid])
        with Faults(site) as faults:
            with faults.freeze_unit("eth-a", "patroni", only="cat") as fault:
                assert str(fault) == "cat of patroni.service on eth-a is frozen"
                assert process_state(other.pid) == "T"
                assert process_state(sleeper) != "T"
            assert process_state(other.pid) != "T"
            with pytest.raises(LabError, match="has no process called postgres on host eth-a"):
                faults.freeze_unit("eth-a", "patroni", only="postgres")
            kill_unit(site, {"host": "eth-a", "unit": "patroni.service", "stay_dead": False, "only": "cat"})
            assert other.wait(5) == -signal.SIGKILL
            assert process_state(sleeper) == "S"
    finally:
        other.kill()
        other.wait()
