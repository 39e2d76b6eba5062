"""A systemctl and journalctl that keeps its units in a file: what tests need of them, and no more.

FAKE_SYSTEMD names a JSON file: {"units": {name: {property: value}}, "does": {"verb name": {…}}, "calls": []}.
A verb gives the unit the properties of its entry in "does"; "fail" among them is printed, and makes the status 1.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

STATE = Path(os.environ["FAKE_SYSTEMD"])
INACTIVE = {"LoadState": "not-found", "ActiveState": "inactive", "SubState": "dead"}
RUNNING = {"ActiveState": "active", "SubState": "running", "Result": "success"}


def main(words: list[str]) -> int:
    state = json.loads(STATE.read_text())
    state["calls"].append(" ".join(words))
    options = [word for word in words if word.startswith("-")]
    verb, *names = [word for word in words if not word.startswith("-")]
    if verb == "show":
        properties = INACTIVE | state["units"].get(names[0], {})
        wanted = next(option for option in options if option.startswith("--property=")).partition("=")[2]
        for name in wanted.split(","):
            value = properties.get(name, "")
            for line in value if isinstance(value, list) else [value]:
                print(f"{name}={line}")
    else:
        for name in names or [""]:
            unit = state["units"].setdefault(name, {}) if name else {}
            if verb in ("start", "restart"):
                state["started"] = state.get("started", 0) + 1
                # as systemd: the clock that does not jump, in microseconds
                unit |= RUNNING | {"InvocationID": f"started-{state['started']}"}
                unit["InactiveExitTimestampMonotonic"] = str(int(time.monotonic() * 1e6))
                unit["ExecMainStartTimestampMonotonic"] = unit["InactiveExitTimestampMonotonic"]
            elif verb == "stop":
                unit |= {"ActiveState": "inactive", "SubState": "dead"}
            elif verb in ("enable", "disable"):
                unit["UnitFileState"] = f"{verb}d"
            elif verb == "daemon-reload":
                for each in state["units"].values():
                    each["NeedDaemonReload"] = "no"
            does = dict(state["does"].get(f"{verb} {name}".strip(), {}))
            failure = does.pop("fail", "")
            unit |= does
            if failure:
                print(failure, file=sys.stderr)
    STATE.write_text(json.dumps(state))
    return 1 if verb != "show" and failure else 0


if Path(sys.argv[0]).name == "journalctl":
    print("last words" if "--sync" not in sys.argv else "")
else:
    sys.exit(main(sys.argv[1:]))
