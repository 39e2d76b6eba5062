"""Backups of PostgreSQL: restored to a moment, drilled, and taken while a repository is away."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.site import Run

from . import names
from .case import Figures, case, nothing_lost
from .prover.ledger import ACKNOWLEDGED
from .world import World

REPOSITORIES = {names.REPOSITORY: 1, names.OFFSITE: 2}
"""The number of each host's repository, as pgBackRest counts them."""
AWAY_S = 600.0
ALERT_WITHIN_S = 180.0
CAUGHT_UP_S = 180.0
REPOSITORY_PATH = "/var/lib/pgbackrest/repository"


def back_up(world: World, kind: str = "incr", host: str = names.REPOSITORY) -> None:
    """A backup now, as its timer makes one."""
    world.sh(host, f"systemctl start pgbackrest-backup@{kind}.service", timeout=900)


def switch_wal(world: World) -> str:
    """All that was written is in a finished segment; its name. One without a record would not be finished."""
    return world.sql("SELECT pg_walfile_name(pg_switch_wal()) FROM pg_logical_emit_message(false, 'case', 'switch')")


def wait_archived(world: World, segment: str, timeout: float = 120) -> float:
    """Seconds until PostgreSQL says that a segment (or a later one) is archived."""
    text = f"SELECT coalesce(max(last_archived_wal) >= '{segment}', false) FROM pg_stat_archiver"
    return world.until(f"{segment} archived", lambda: world.sql(text) == "t", timeout, 1)


def restore(world: World, kind: str, target: str = "") -> Run:
    """The operation, to the scratch host."""
    extra = {"postgresql_restore_to": "scratch", "postgresql_restore_type": kind, "postgresql_restore_target": target}
    return world.site.play(names.playbook("postgresql_restore"), "-e", json.dumps(extra)).check()


@case("pitr-between-two-rows", "backup", limits=lambda _world: {"wrong_rows": 0, "live_touched": 0})
def between_two_rows(world: World) -> Figures:
    """The rows up to a moment are there and no other, on the scratch host; the live cluster does not notice."""
    back_up(world)
    with world.prove_postgresql("pitr", rate=20) as prover:
        prover.wait_started()
        time.sleep(5)
        moment = world.sql("SELECT clock_timestamp()")
        time.sleep(5)
    wait_archived(world, switch_wal(world))
    run = prover.store.run
    text = f"SELECT count(*), coalesce(max(number), 0) FROM prover_rows WHERE run = '{run}'"
    # rows carry the moment in which they were written, a little before that of their commit
    expected = world.sql(f"{text} AND written < timestamptz '{moment}' - interval '50 ms'").split("|")
    at_most = world.sql(f"{text} AND written < timestamptz '{moment}'").split("|")
    units = world.incarnations(names.PATRONI_UNIT, names.POSTGRESQL)
    live = world.sql(text)
    restore(world, "time", moment)
    with world.restored() as ask:
        found = ask(text).split("|")
    assert int(found[0]) > 0, "nothing was restored"
    wrong = max(int(expected[0]) - int(found[0]), int(found[0]) - int(at_most[0]), 0)
    touched = sum(world.incarnations(names.PATRONI_UNIT, names.POSTGRESQL)[host] != units[host] for host in units)
    return {"rows": int(found[0]), "wrong_rows": wrong, "live_touched": touched + int(world.sql(text) != live)}


@case("pitr-dropped-table", "backup", limits=lambda _world: {"wrong_rows": 0, "live_touched": 0})
def dropped_table(world: World) -> Figures:
    """A table that was dropped by mistake is as it was the moment before, by its transaction's position in the log."""
    world.sql("CREATE TABLE IF NOT EXISTS pitr_dropped AS SELECT n FROM generate_series(1, 1000) AS n")
    back_up(world)
    world.sql("INSERT INTO pitr_dropped SELECT n FROM generate_series(1001, 1500) AS n")
    position = world.sql("SELECT pg_current_wal_lsn()")
    world.sql("DROP TABLE pitr_dropped")
    wait_archived(world, switch_wal(world))
    before = world.sql("SELECT count(*) FROM prover_rows")
    restore(world, "lsn", position)
    with world.restored() as ask:
        rows = int(ask("SELECT count(*) FROM pitr_dropped"))
    gone = world.sql("SELECT to_regclass('pitr_dropped') IS NULL")
    return {
        "wrong_rows": abs(rows - 1500),
        "live_touched": int(gone != "t") + int(world.sql("SELECT count(*) FROM prover_rows") != before),
    }


def drill(world: World) -> tuple[bool, Run]:
    """(whether it says that all is well, its run)."""
    run = world.site.play(names.playbook("postgresql_drill"))
    samples = world.metric(names.SCRATCH, "postgresql_drill_success")
    green = run.returncode == 0
    assert len(samples) == len(REPOSITORIES), samples
    assert all(samples.values()) == green, f"the metric says {samples}, the run {run.returncode}"
    return green, run


@case("archived-by-each-leader", "backup", limits=lambda _world: {"slowest_s": 60})
def archived_by_each_leader(world: World) -> Figures:
    """Every member leads twice: what it has left of older timelines keeps none from archiving what it writes now."""
    world.sql("CREATE TABLE IF NOT EXISTS case_turns (turn int)")
    seconds = []
    for turn, host in enumerate(names.POSTGRESQL * 2):
        world.lead(host)
        world.sql(f"INSERT INTO case_turns VALUES ({turn})")
        # it is a checkpoint that looks for segments which nobody has archived
        world.sql("CHECKPOINT", "postgres")
        seconds.append(wait_archived(world, switch_wal(world)))
    return {"turns": len(seconds), "slowest_s": round(max(seconds), 1)}


@case("drill", "backup", short=True, limits=lambda _world: {"red": 0})
def drill_green(world: World) -> Figures:
    """What is in the repository can be restored, checked and counted."""
    green, run = drill(world)
    assert green, run.output[-4000:]
    return {"red": int(not green), "seconds": round(run.seconds, 1)}


@contextmanager
def spoiled(world: World, find: str, spoil: str) -> Iterator[str]:
    """A file of the repository spoiled, and put back at the end. ``find`` prints its path."""
    host = names.REPOSITORY
    path = world.sh(host, find)
    assert path, f"no file: {find}"
    world.sh(host, f"cp -a '{path}' /var/tmp/kept; {spoil.format(path=path)}")
    try:
        yield path
    finally:
        world.sh(host, f"cp -a /var/tmp/kept '{path}'; rm /var/tmp/kept")


@case("control-drill-corrupted-file", "backup", goes_red=["red"], limits=lambda _world: {"red": 0})
def drill_corrupted(world: World) -> Figures:
    """A bit of the largest file of the last full backup is turned over."""
    files = "-type f '(' -path '*pg_data*' -o -path '*bundle*' ')' -printf '%s %p\\n'"
    find = (
        f"full=$(ls -d {REPOSITORY_PATH}/backup/{names.STANZA}/*F | tail -1); "
        f"find $full {files} | sort -n | tail -1 | cut -d' ' -f2-"
    )
    spoil = (
        "python3 -c \"import os; f = open('{path}', 'r+b'); f.seek(os.path.getsize('{path}') // 2); b = f.read(1)[0]; "
        'f.seek(-1, 1); f.write(bytes([b ^ 255]))"'
    )
    with spoiled(world, find, spoil):
        green, run = drill(world)
    assert green or "repository 1: RED" in run.output, run.output[-4000:]
    return {"red": int(not green)}


@case("control-drill-missing-segment", "backup", goes_red=["red"], limits=lambda _world: {"red": 0})
def drill_missing_segment(world: World) -> Figures:
    """The newest archived segment that the drill's restore point needs is gone."""
    wait_archived(world, switch_wal(world))
    find = (
        f"find {REPOSITORY_PATH}/archive/{names.STANZA} -type f -name '0*-*' -printf '%T@ %p\\n' "
        "| sort -n | tail -1 | cut -d' ' -f2-"
    )
    with spoiled(world, find, "rm '{path}'"):
        green, run = drill(world)
    assert green or "repository 1: RED" in run.output, run.output[-4000:]
    return {"red": int(not green)}


def alerted(world: World, host: str) -> bool:
    """Whether any member says that this host's repository does not answer."""
    number = f'repository="{REPOSITORIES[host]}"'
    return any(
        value == 0
        for member in names.POSTGRESQL
        for labels, value in world.metric(member, "pgbackrest_repository_up").items()
        if number in labels
    )


def repository_away(world: World, host: str, killed_in_backup: bool) -> Figures:
    """A repository is gone under load; the other one goes on, an alert is raised, and in the end nothing is missing."""
    away = AWAY_S if not killed_in_backup else 60.0
    with world.prove_postgresql(f"repository-{host}", rate=50) as prover:
        prover.wait_started()
        if killed_in_backup:
            world.sh(host, "systemctl start --no-block pgbackrest-backup@full.service")
            time.sleep(3)
        at = time.monotonic()
        fault = world.faults.kill_host(host)
        alert_s = world.until(f"an alert about {host}", lambda: alerted(world, host), ALERT_WITHIN_S, 5)
        while time.monotonic() < at + away:
            switch_wal(world)
            time.sleep(20)
        fault.undo()
        back = time.monotonic()
        segment = switch_wal(world)
        wait_archived(world, segment, CAUGHT_UP_S)
        world.until("no alert any more", lambda: not alerted(world, host), CAUGHT_UP_S, 5)
        caught_up = time.monotonic() - back
    for repository in REPOSITORIES:
        world.sh(repository, f"runuser -u pgbackrest -- pgbackrest --stanza={names.STANZA} check", timeout=300)
    back_up(world, "full", host)
    restore(world, "latest")
    verdict = prover.judge()
    run = prover.store.run
    with world.restored() as ask:
        there = int(ask(f"SELECT count(*) FROM prover_rows WHERE run = '{run}'"))
    acknowledged = len(prover.ledger().of(ACKNOWLEDGED))
    return verdict.figures | {
        "alert_s": round(alert_s, 1),
        "caught_up_s": round(caught_up, 1),
        "missing_in_restore": max(0, acknowledged - there),
    }


def away_limits(world: World) -> Figures:
    return nothing_lost(world) | {"outage_s": 3, "missing_in_restore": 0, "alert_s": ALERT_WITHIN_S}


@case("repository-away", "backup", limits=away_limits)
def first_away(world: World) -> Figures:
    return repository_away(world, names.REPOSITORY, killed_in_backup=False)


@case("off-site-repository-away", "backup", limits=away_limits)
def second_away(world: World) -> Figures:
    return repository_away(world, names.OFFSITE, killed_in_backup=False)


@case("repository-killed-in-backup", "backup", limits=away_limits)
def killed_in_backup(world: World) -> Figures:
    return repository_away(world, names.REPOSITORY, killed_in_backup=True)
