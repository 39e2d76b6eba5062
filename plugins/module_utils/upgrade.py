# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a pair's upgrade consists of, and which way leads back from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# who drains a pair for an upgrade; a drain by anybody else is left as it is
WHO = "rolling_upgrade"
_STEP = re.compile(r"(?P<client>[a-z]+) (?P<old>[^\s,]+) to (?P<new>[^\s,]+)")

# what a client's database is called below its data directory; node keys and the JWT lie elsewhere
DATABASES = {"geth": "geth/chaindata", "prysm": "beaconchaindata", "lighthouse": "beacon"}


def plan(current: Mapping[str, str], wanted: Mapping[str, str], drain: Mapping[str, Any] | None) -> dict[str, Any]:
    """The clients whose version changes. The drain of an upgrade that was cut short tells what was there before it."""
    resumed = bool(drain and drain["who"] == WHO)
    before = dict(current)
    if drain and resumed:
        before.update({step["client"]: step["old"] for step in _STEP.finditer(drain["reason"])})
    steps = [
        {"client": client, "from": before[client], "to": version}
        for client, version in wanted.items()
        if client in before and before[client] != version
    ]
    return {
        "steps": steps,
        "missing": [client for client in wanted if client not in current],
        "needed": bool(steps) or resumed,
        "resumed": resumed,
        "drained_by_other": bool(drain) and not resumed,
        "text": ", ".join(f"{step['client']} {step['from']} to {step['to']}" for step in steps) or "nothing to change",
    }


def way_back(
    steps: list[Mapping[str, str]],
    now: Mapping[str, Mapping[str, str]],
    releases: Mapping[str, Mapping[str, Any]],
    data_dirs: Mapping[str, str],
) -> dict[str, Any]:
    """What has to go back to where it was; and what cannot, with the commands that remain.

    Where the old version still runs, the new one was never started, and the database is as it was.
    """
    back, stuck, commands = [], [], []
    for step in steps:
        client, old, new = step["client"], step["from"], step["to"]
        if now["current"].get(client) == old:
            continue
        untouched = now.get("running", {}).get(client) == old
        if untouched or old in (releases[client].get(new, {}).get("rollback_to") or []):
            back.append({"client": client, "version": old})
            continue
        stuck.append(
            f"{client}_releases['{new}'].rollback_to does not name {old}, so {old} may not be able to read the database"
        )
        database = f"{data_dirs[client].rstrip('/')}/{DATABASES[client]}"
        commands.append(f"systemctl stop {client} && rm -r {database} && systemctl start {client}")
    # a pair goes back as a whole or not at all: its clients were tried together
    return {"roll_back": [] if stuck else back, "stuck": stuck, "resync": commands}
