"""InfluxDB under high-frequency writes: what is acknowledged is counted again, series by series, batch by batch."""

from __future__ import annotations

import re
import time
from typing import Any

from tests.lab.on_host import OnHost

from . import names
from .case import Figures, case
from .prover import influx_writer
from .prover.ledger import ACKNOWLEDGED
from .prover.run import Prover
from .world import World

POINTS_A_SECOND, BATCH = 100_000, 5000
SECONDS, SHORT_SECONDS = 60.0, 10.0


def counted(world: World, prover: Prover) -> Figures:
    """Points acknowledged and found, and how many series have fewer than were acknowledged."""
    ledger, options = prover.ledger(), prover.store.options
    acknowledged = ledger.of(ACKNOWLEDGED)
    found = influx_writer.counts(prover.store.addresses[0], options, prover.store.run, max(ledger.rows, default=0))
    each = options.points // options.series * len(acknowledged)
    totals = influx_writer.by_series(found)
    short = [series for series in range(options.series) if totals.get(str(series), 0) < each]
    span = max(row.ended or 0 for row in acknowledged) - ledger.started
    return {
        "acknowledged_points": len(acknowledged) * options.points,
        "found_points": sum(totals.values()),
        "series_short": len(short),
        "points_a_second": round(len(acknowledged) * options.points / span),
        "lost": len([row for row in acknowledged if row.number not in influx_writer.whole(found, options)]),
    }


@case(
    "influxdb-count", "influxdb", short=True, limits=lambda _world: {"lost": 0, "series_short": 0, "offered_missing": 0}
)
def count(world: World) -> Figures:
    """Offered at 100,000 points a second; what the machine took of it is in the figures."""
    seconds = SECONDS if world.full_length else SHORT_SECONDS
    with world.prove_influxdb("influxdb-count", batches=POINTS_A_SECOND / BATCH, points=BATCH) as prover:
        prover.wait_started()
        time.sleep(seconds)
    figures = counted(world, prover)
    ledger = prover.ledger()
    # a batch that nobody answered would be a write that was neither taken nor refused
    unanswered = [row for row in ledger.rows.values() if row.fate != ACKNOWLEDGED]
    return figures | {
        "offered_missing": len(unanswered),
        "share_of_offered": figures["points_a_second"] / POINTS_A_SECOND,
    }


def fsync_delay(world: World) -> float:
    """Seconds for which the write-ahead log may wait for the disk, as the server is configured with."""
    text = world.sh(names.INFLUXDB, "cat /etc/influxdb/influxdb.conf")
    found = re.search(r'wal-fsync-delay\s*=\s*"(\d+)(ms|s|us)"', text)
    assert found, "no wal-fsync-delay in the configuration"
    return int(found[1]) * {"s": 1.0, "ms": 1e-3, "us": 1e-6}[found[2]]


@case(
    "influxdb-killed",
    "influxdb",
    # a batch is acknowledged up to one delay before it is on the disk, and half a second is this test's own slack
    limits=lambda world: {"lost_before_the_delay": 0, "oldest_lost_s": fsync_delay(world) + 0.5},
)
def killed(world: World) -> Figures:
    """SIGKILL of the host under load: what is lost had been acknowledged within the stated delay before."""
    with world.prove_influxdb("influxdb-killed", batches=10, points=1000) as prover:
        prover.wait_started()
        time.sleep(10)
        at = time.monotonic()
        fault = world.faults.kill_host(names.INFLUXDB)
        time.sleep(5)
        fault.undo()
        prover.wait_acknowledged(time.monotonic(), 120)
        time.sleep(2)
    ledger, options = prover.ledger(), prover.store.options
    found = influx_writer.counts(prover.store.addresses[0], options, prover.store.run, max(ledger.rows))
    whole = influx_writer.whole(found, options)
    lost = [row for row in ledger.of(ACKNOWLEDGED) if row.number not in whole]
    ages = [at - (row.ended or 0.0) for row in lost]
    delay = fsync_delay(world)
    return {
        "lost": len(lost),
        "oldest_lost_s": round(max([0.0, *ages]), 3),
        "lost_before_the_delay": sum(age > delay + 0.5 for age in ages),
        "fsync_delay_s": delay,
    }


POLICY = {"name": "prover_policy", "duration": "90d"}
QUERY = "SELECT {0}(value) INTO prover.prover_policy.means FROM prover.raw.prover GROUP BY time(1m), *"


@case("influxdb-policy-and-query", "influxdb", limits=lambda _world: {"wrong": 0})
def policy_and_query(world: World) -> Figures:
    """A retention is shortened and a query edited in place: shown before, done once, refused where it loses data."""
    on = OnHost(names.INFLUXDB)
    policy, query = "influxdb_retention_policy", "influxdb_continuous_query"
    url = f"https://{world.address(names.INFLUXDB)}:{names.INFLUXDB_PORT}"
    access: dict[str, Any] = {"database": "prover", "ca_path": names.CA, "url": url}
    shorter = {**access, "policies": [{**POLICY, "duration": "30d"}]}
    edited = {**access, "queries": [{"name": "prover_query", "query": QUERY.format("max")}]}
    try:
        on.call(policy, **access, policies=[POLICY])
        on.call(query, **access, queries=[{"name": "prover_query", "query": QUERY.format("mean")}])
        planned = on.call(policy, check=True, diff=True, **shorter, allow_data_loss=True)
        refused = on.call(policy, **shorter)
        done = on.call(policy, diff=True, **shorter, allow_data_loss=True)
        again = on.call(policy, **shorter)
        changed = on.call(query, diff=True, **edited)
        still = on.call(query, **edited)
    finally:
        on.call(query, **access, queries=[{"name": "prover_query"}], state="absent")
        on.call(policy, **access, policies=[{"name": "prover_policy"}], state="absent", allow_data_loss=True)
    expected = {
        "the plan changes": planned.get("changed") is True and "30d" in str(planned.get("diff")),
        "without leave it is refused": refused.get("failed") is True and "allow_data_loss" in refused.get("msg", ""),
        "it is done": done.get("changed") is True and "90d" in str(done.get("diff")),
        "once": again.get("changed") is False,
        "the query is edited": changed.get("changed") is True and "max(value)" in str(changed.get("diff")),
        "and once": still.get("changed") is False,
    }
    wrong = [words for words, holds in expected.items() if not holds]
    assert not wrong, f"not so: {wrong}: {planned} {refused} {done} {again} {changed} {still}"
    return {"wrong": len(wrong)}


@case("influxdb-restored", "influxdb", limits=lambda _world: {"missing": 0, "changed_meanwhile": 0})
def restored(world: World) -> Figures:
    """A copy is restored under a new name: as many points, and the original is as it was."""
    with world.prove_influxdb("influxdb-restored", batches=5, points=1000) as prover:
        prover.wait_started()
        time.sleep(5)
    text = f"SELECT count(value) FROM raw.prover WHERE run = '{prover.store.run}'"

    def points(database: str) -> int:
        return int(world.influx_admin(text, database)[0]["values"][0][1])

    before = points("prover")
    world.sh(names.INFLUXDB, "systemctl start influxdb-backup.service", timeout=300)
    new = f"restored_{int(time.time())}"
    given = {names.INFLUXDB_RESTORE["from"]: "prover", names.INFLUXDB_RESTORE["to"]: new}
    extra = [part for name, value in given.items() for part in ("-e", f"{name}={value}")]
    world.site.play(names.playbook("influxdb_restore"), *extra).check()
    after, copied = points("prover"), points(new)
    world.influx_admin(f'DROP DATABASE "{new}"')
    return {"points": before, "missing": before - copied, "changed_meanwhile": after - before}


@case("influxdb-drill", "influxdb", limits=lambda _world: {"red": 0})
def drill(world: World) -> Figures:
    """The newest copy in a server of its own, counted series by series."""
    world.sh(names.INFLUXDB, "systemctl start influxdb-backup.service", timeout=300)
    run = world.site.play(names.playbook("influxdb_drill"))
    samples = list(world.metric(names.INFLUXDB, "chainops_influxdb_drill_success").values())
    assert samples and bool(samples[0]) == (run.returncode == 0), f"{samples}: {run.output[-3000:]}"
    return {"red": int(run.returncode != 0), "seconds": round(run.seconds, 1)}
