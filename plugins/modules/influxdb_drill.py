#!/usr/bin/python
# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: influxdb_drill
short_description: Prove a backup of InfluxDB by restoring it
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Fetches a copy from the repository, checks each file against the manifest that was made with it, restores everything
    into a server of its own (a process on loopback, gone afterwards), and counts the points of every series there.
  - The drill is red, and the task fails, if a file is missing or altered, if the restore fails, if one count differs
    from the manifest, or if the copy is older than O(max_age_hours). C(influxd restore) itself does not notice a
    missing file.
  - The real server is not asked and not touched.
options:
  max_age_hours:
    description: A copy that is older makes the drill red. V(0) is no limit.
    type: float
    default: 0
  scratch_dir:
    description: Directory that is made for the drill and removed after it. Needs twice the room of the copy.
    type: path
    default: /var/lib/influxdb-drill
  run_as:
    description: User of the scratch server. An empty one is the user of the task.
    type: str
    default: influxdb
  metrics_file:
    description: File for the textfile collector. An empty one writes none.
    type: str
    default: /var/lib/node_exporter/influxdb_drill.prom
  report_dir:
    description: Directory of dated reports. An empty one writes none.
    type: str
    default: /var/lib/chainops/drills
extends_documentation_fragment: [chainops.infra.influxdb.copy]
attributes:
  check_mode:
    description: Only says which copy would be drilled.
    support: full
  diff_mode:
    description: Nothing is changed that a difference could show.
    support: none
"""

EXAMPLES = r"""
- name: Restore the newest copy to nowhere, and count
  become: true
  chainops.infra.influxdb_drill:
    max_age_hours: 26
"""

RETURN = r"""
copy:
  description: Id of the copy.
  returned: success
  type: str
age_hours:
  description: Its age.
  returned: success
  type: float
series:
  description: How many series of how many shards were counted.
  returned: when not in check mode
  type: int
differences:
  description: How many counts differ from the manifest.
  returned: when not in check mode
  type: int
report:
  description: The report's path.
  returned: when one was written
  type: str
"""

import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.influxdb import restore
from ..module_utils.influxdb.backups import BackupError
from ..module_utils.influxdb.client import InfluxError
from ..module_utils.influxdb.restic import Restic
from ..module_utils.influxdb_module import COPY


def work(given: dict[str, Any], check: bool) -> dict[str, Any]:
    repository = Restic.from_file(given["env_file"], given["cache_dir"], binary=given["restic"])
    if check:
        picked = restore.chosen(repository, given["copy"])
        return {"copy": picked["short_id"], "age_hours": round(restore.age_hours(picked), 2)}
    return restore.drill(repository, given["copy"], given["scratch_dir"], given["influxd"], given["run_as"])


def verdict(given: dict[str, Any], result: dict[str, Any]) -> str:
    """Why the drill is red, or nothing."""
    if result.get("differences"):
        return f"{result['differences']} counts differ from the manifest: {'; '.join(result['shown'][:3])}"
    if not result.get("series"):
        return "the copy holds no series"
    if given["max_age_hours"] and result["age_hours"] > given["max_age_hours"]:
        return f"the copy is {result['age_hours']} hours old, more than the {given['max_age_hours']} allowed"
    return ""


def publish(given: dict[str, Any], result: dict[str, Any], began: float) -> None:
    ended = time.time()
    if given["report_dir"]:
        result["report"] = str(restore.report(Path(given["report_dir"]), result))
    if given["metrics_file"]:
        path = Path(given["metrics_file"])
        figures = {
            "success": 0.0 if result["red"] else 1.0,
            "last_run_timestamp_seconds": round(ended),
            "last_success_timestamp_seconds": restore.last_success(path) if result["red"] else round(ended),
            "series": result.get("series", 0),
            "differences": result.get("differences", 0),
            "copy_age_hours": result.get("age_hours", 0),
            "duration_seconds": round(ended - began, 1),
        }
        restore.publish(path, figures)


def main() -> None:
    spec: dict[str, Any] = {
        **COPY,
        "max_age_hours": {"type": "float", "default": 0},
        "scratch_dir": {"type": "path", "default": "/var/lib/influxdb-drill"},
        "run_as": {"type": "str", "default": "influxdb"},
        "metrics_file": {"type": "str", "default": "/var/lib/node_exporter/influxdb_drill.prom"},
        "report_dir": {"type": "str", "default": "/var/lib/chainops/drills"},
    }
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    given, began = module.params, time.time()
    result: dict[str, Any] = {}
    try:
        result = work(given, module.check_mode)
        result["red"] = "" if module.check_mode else verdict(given, result)
    except (BackupError, InfluxError) as error:
        result["red"] = str(error)
    except Exception as error:  # what a library says could hold a secret: a fixed message instead
        result["red"] = f"unexpected {type(error).__name__}"
    try:
        if not module.check_mode:
            publish(given, result, began)
    except OSError as error:
        result["red"] = result["red"] or f"the result cannot be written: {error.strerror}"
    red = result.pop("red")
    if red:
        module.fail_json(msg=f"the drill is red: {red}", **result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
