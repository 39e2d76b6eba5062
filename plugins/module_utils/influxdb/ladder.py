# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Downsampling ladders: raw points for a while, coarser ones for longer; as data in, policies and queries out.

Every rung is computed from the raw points, never from the rung before it: a mean of means weighs a minute with one
point like a minute with a hundred. So raw points must be kept longer than the coarsest interval.
"""

from __future__ import annotations

from typing import Any

from .influxql import HOUR, QueryError, default_shard_duration, duration, name, parse_duration

AGGREGATES = ("mean", "min", "max", "count", "last", "first", "sum", "spread", "stddev", "median")
DEFAULT_AGGREGATES = ["mean", "min", "max", "count", "last"]
DEFAULT_LATE = "10m"
LADDER_KEYS = {"database", "raw", "rungs", "aggregates", "measurements", "fields", "late"}
RAW_KEYS = {"name", "retention", "shard"}
RUNG_KEYS = {"name", "every", "retention", "shard"}


def given(value: Any) -> Any:
    """Without what is None: an option that is not set, as argument specs fill it in."""
    if isinstance(value, dict):
        return {key: given(item) for key, item in value.items() if item is not None}
    return [given(item) for item in value] if isinstance(value, list) else value


def faults(ladders: Any) -> list[str]:
    """What is wrong with a list of ladders, each with the place it stands."""
    if not isinstance(ladders, list):
        return ["must be a list of ladders"]
    ladders = given(ladders)
    found: list[str] = []
    databases: set[str] = set()
    for index, ladder in enumerate(ladders):
        where = f"[{index}]"
        if not isinstance(ladder, dict):
            found.append(f"{where} must be a dictionary with database, raw and rungs")
            continue
        where = f"[{index}] ({ladder.get('database', 'no database')})"
        found += [f"{where}{text}" for text in ladder_faults(ladder)]
        if ladder.get("database") in databases:
            found.append(f"{where}.database has a ladder already: one database, one ladder")
        databases.add(str(ladder.get("database")))
    return found


def ladder_faults(ladder: dict[str, Any]) -> list[str]:
    found = [
        f".{key} is unknown: known are {', '.join(sorted(LADDER_KEYS))}" for key in sorted(set(ladder) - LADDER_KEYS)
    ]
    found += [f".{key} is missing" for key in ("database", "raw", "rungs") if not ladder.get(key)]
    aggregates = ladder.get("aggregates") or DEFAULT_AGGREGATES
    wrong = [each for each in aggregates if each not in AGGREGATES]
    if wrong or not aggregates:
        found.append(f".aggregates = {aggregates}: must be of {', '.join(AGGREGATES)}")
    if ladder.get("fields") and ladder.get("measurements"):
        found.append(".fields and .measurements are both set: fields names the measurements already")
    for measurement, fields in (ladder.get("fields") or {}).items():
        for field, wanted in (fields or {}).items():
            bad = [each for each in wanted or [] if each not in AGGREGATES]
            if bad or not wanted:
                found.append(f".fields.{measurement}.{field} = {wanted}: must be of {', '.join(AGGREGATES)}")
    if any(text.endswith("is missing") for text in found):
        return found
    steps = [(".raw", ladder["raw"], RAW_KEYS)]
    steps += [(f".rungs[{number}]", rung, RUNG_KEYS) for number, rung in enumerate(ladder["rungs"])]
    names: set[str] = set()
    for where, step, keys in steps:
        found += [f"{where}.{key} is unknown: known are {', '.join(sorted(keys))}" for key in sorted(set(step) - keys)]
        found += [f"{where}.{key} is missing" for key in sorted(keys - set(step) - {"shard"})]
        if step.get("name") in names:
            found.append(f"{where}.name = {step.get('name')} is there twice")
        names.add(str(step.get("name")))
        for key in keys - {"name"}:
            if key in step:
                found += duration_fault(f"{where}.{key}", step[key])
    found += duration_fault(".late", ladder.get("late") or DEFAULT_LATE)
    return found or order_faults(ladder, steps)


def duration_fault(where: str, value: Any) -> list[str]:
    try:
        parse_duration(str(value))
    except QueryError as error:
        return [f"{where} = {error}"]
    return []


def order_faults(ladder: dict[str, Any], steps: list[tuple[str, dict[str, Any], set[str]]]) -> list[str]:
    """Each rung is coarser than the one before and kept longer; each bucket is complete when it is computed."""
    found: list[str] = []
    every, kept = 0, -1
    for where, step, _keys in steps:
        retention = parse_duration(str(step["retention"]))
        shard = parse_duration(str(step["shard"])) if "shard" in step else default_shard_duration(retention)
        if 0 < retention < HOUR:
            found.append(f"{where}.retention = {step['retention']}: must be at least 1h, or INF")
        elif shard < HOUR or (retention and shard > retention):
            found.append(f"{where}.shard = {duration(shard)}: must be from 1h to the retention {step['retention']}")
        if kept == 0 or (retention and retention <= kept):
            found.append(f"{where}.retention = {step['retention']}: must be longer than that of the step before it")
        kept = retention
        if "every" not in step:
            continue
        interval = parse_duration(str(step["every"]))
        if interval <= 0 or interval <= every or (every and interval % every):
            of = f"a multiple of the {duration(every)} before it" if every else "more than 0"
            found.append(f"{where}.every = {step['every']}: must be {of}, as each rung is coarser")
            continue
        every = interval
    late = parse_duration(str(ladder.get("late") or DEFAULT_LATE))
    raw = parse_duration(str(ladder["raw"]["retention"]))
    if raw and raw < 2 * every + late:
        found.append(
            f".raw.retention = {ladder['raw']['retention']}: must be at least twice the coarsest interval "
            f"({duration(every)}) plus late ({duration(late)}), as every rung is computed from raw points"
        )
    return found


def databases(ladders: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What influxdb_objects takes; ValueError lists what is wrong with the ladders."""
    wrong = faults(ladders)
    if wrong:
        raise QueryError("; ".join(f"ladders{text}" for text in wrong))
    return [database(ladder) for ladder in given(ladders)]


def database(ladder: dict[str, Any]) -> dict[str, Any]:
    policies = [policy(ladder["raw"], True)] + [policy(rung, False) for rung in ladder["rungs"]]
    late = parse_duration(str(ladder.get("late") or DEFAULT_LATE))
    queries = []
    for rung in ladder["rungs"]:
        every = parse_duration(str(rung["every"]))
        # The last whole bucket, and as many before it as late points may still reach.
        span = every * (1 + max(1, -(-late // every)))
        for suffix, select, source in selections(ladder):
            target = f"{name(ladder['database'])}.{name(str(rung['name']))}.:MEASUREMENT"
            queries.append(
                {
                    "name": f"{rung['name']}{suffix}",
                    "query": f"SELECT {select} INTO {target} FROM {source} GROUP BY time({duration(every)}), *",
                    "resample_every": duration(every),
                    "resample_for": duration(span),
                }
            )
    return {
        "name": ladder["database"],
        "retention_policies": policies,
        "continuous_queries": queries,
        "exclusive_queries": True,
    }


def policy(step: dict[str, Any], default: bool) -> dict[str, Any]:
    retention = parse_duration(str(step["retention"]))
    shard = parse_duration(str(step["shard"])) if "shard" in step else default_shard_duration(retention)
    kept = duration(retention) if retention else "INF"
    return {"name": str(step["name"]), "duration": kept, "shard_duration": duration(shard), "default": default}


def selections(ladder: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(end of the query's name, what is selected, from where); columns are mean_gas and so on either way."""
    raw = f"{name(ladder['database'])}.{name(str(ladder['raw']['name']))}"
    chosen = ladder.get("fields") or {}
    if chosen:
        return [
            (
                f"_{measurement}",
                ", ".join(f"{a}({name(f)}) AS {name(f'{a}_{f}')}" for f, wanted in fields.items() for a in wanted),
                f"{raw}.{name(measurement)}",
            )
            for measurement, fields in chosen.items()
        ]
    every_field = ", ".join(f"{each}(*)" for each in ladder.get("aggregates") or DEFAULT_AGGREGATES)
    measurements = ladder.get("measurements") or []
    source = ", ".join(f"{raw}.{name(each)}" for each in measurements) if measurements else f"{raw}./.*/"
    return [("", every_field, source)]
