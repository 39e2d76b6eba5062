#!/usr/bin/python
# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: influxdb_backfill
short_description: Continuous queries of InfluxDB 1.x over the past
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - A continuous query computes from when it was made on. This runs the same query over the past, one bounded window
    after the other, up to the last bucket that is over.
  - Each window is computed and compared with what the target holds first. Nothing is written where that is the same,
    so a second run changes nothing, and one that was killed is continued by the next.
  - A finite policy of the source and its oldest shard bound how far it goes back, as buckets of which raw points are
    gone already would replace better ones. So the first bucket that is computed is one that begins in or after that
    shard.
options:
  database:
    description: The database that holds the continuous queries.
    type: str
    required: true
  queries:
    description: Names of continuous queries of O(database). Without any, all of them.
    type: list
    elements: str
    default: []
  start:
    description: From when on, as in V(2026-01-31T00:00:00Z) or V(7d) (before now).
    type: str
    required: true
  end:
    description: Until when.
    type: str
    default: now
  chunk:
    description: Span of one window. Without it, a thousand buckets.
    type: str
extends_documentation_fragment:
  - chainops.infra.influxdb
"""

EXAMPLES = r"""
- name: Fill the rungs of a ladder that was added to raw points
  chainops.infra.influxdb_backfill:
    database: chain
    start: 7d
    ca_path: /etc/chainops/tls/ca.pem

- name: One query, gently
  chainops.infra.influxdb_backfill:
    database: chain
    queries: [h1]
    start: "2026-11-01T00:00:00Z"
    end: "2026-11-08T00:00:00Z"
    chunk: 6h
"""

RETURN = r"""
queries:
  description: By name of the query, how many windows and points it came to, and how many of each were written.
  returned: success
  type: dict
  sample: {"m1": {"points": 10080, "windows": 11, "written_points": 60, "written_windows": 1}}
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.influxdb import backfill, counts, influxql
from ..module_utils.influxdb.client import InfluxError
from ..module_utils.influxdb.objects import Database, existing, read
from ..module_utils.influxdb_module import CONNECTION, client_of, finish


def oldest(database: Database, name: str, text: str, shards: list[counts.Shard], now: int) -> int:
    """From when on every raw point of the query that there ever was must still be there."""
    words = influxql.normal(text)
    sources = {
        source
        for index, word in enumerate(words)
        if word == ("keyword", "FROM")
        for source in database.policies
        if words[index + 1 : index + 4 : 2] == [("name", name), ("name", source)]
    }
    bounds = [0]
    for source in sources:
        # The policy says what will go; it may have been shorter once, so the shards say what has gone.
        if kept := database.policies[source].duration:
            bounds.append(now - kept)
        if starts := [each.start for each in shards if (each.database, each.policy) == (name, source)]:
            bounds.append(min(starts))
    return max(bounds)


def work(given: dict[str, Any], check: bool) -> dict[str, Any]:
    client = client_of(given)
    database = existing(read(client), given["database"])
    unknown = sorted(set(given["queries"]) - set(database.queries))
    if unknown:
        raise InfluxError(f"{given['database']} has no continuous query {', '.join(unknown)}")
    now = time.time_ns()
    start, end = backfill.moment(given["start"], now), backfill.moment(given["end"], now)
    chunk = influxql.parse_duration(given["chunk"]) if given["chunk"] else 0
    result: dict[str, dict[str, int]] = {}
    for name in given["queries"] or sorted(database.queries):
        text = database.queries[name]
        # looked at for each, as the query before may have taken hours
        begin = max(start, oldest(database, given["database"], text, counts.shards(client), time.time_ns()))
        query = backfill.parse(text)
        result[name] = backfill.run(client, query, backfill.windows(query, begin, min(end, now), chunk), check)
    lines = [f"{name}: {done['written_points']} of {done['points']} points\n" for name, done in result.items()]
    written = any(done["written_points"] for done in result.values())
    return {"changed": written, "queries": result, "diff": {"before": "", "after": "".join(lines) if written else ""}}


def main() -> None:
    spec: dict[str, Any] = {
        **CONNECTION,
        "database": {"type": "str", "required": True},
        "queries": {"type": "list", "elements": "str", "default": []},
        "start": {"type": "str", "required": True},
        "end": {"type": "str", "default": "now"},
        "chunk": {"type": "str"},
    }
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    finish(module, f"InfluxDB at {module.params['url']}", lambda: work(module.params, module.check_mode))


if __name__ == "__main__":
    main()
