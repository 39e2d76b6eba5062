#!/usr/bin/python
# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_drill
short_description: Restore a PostgreSQL cluster to scratch, and prove that the copy is right
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Restores from one repository to the restore point of O(manifest), from the last backup before it, and starts
    PostgreSQL on a private socket. Tables and indexes are looked at with pg_amcheck, rows and contents compared with
    the manifest, and the checksums of all pages verified with pg_checksums.
  - Only that repository is used, so that a segment or a file which it lacks shows, whatever the other one has.
  - The copy listens on no network and archives nothing. It is removed after a good drill, and kept after a bad one
    until the next.
  - Report and metrics are written whatever comes of it. A bad drill fails the task.
options:
  stanza:
    description: Name of the cluster in the repositories.
    type: str
    required: true
  repository:
    description: Number of the repository to restore from.
    type: int
    required: true
  manifest:
    description:
      - What M(chainops.infra.postgresql_manifest) has returned. Where it is empty nothing is restored, and the drill
        is red for O(reason).
    type: dict
    required: true
  reason:
    description: Why there is no manifest, for report and message.
    type: str
    default: no manifest was made
  archive_timeout:
    description: Seconds until the WAL that holds the restore point must be in this repository.
    type: int
    default: 120
  work_dir:
    description: Directory that the copy is made in. It needs room for the whole cluster.
    type: path
    default: /var/lib/postgresql/drill
  bin_dir:
    description: Directory of PostgreSQL's programs, of the cluster's major version.
    type: path
    default: /usr/lib/postgresql/17/bin
  user:
    description: PostgreSQL's user.
    type: str
    default: postgres
  report_dir:
    description: Directory of the dated reports, each as JSON and as text.
    type: path
    default: /var/lib/chainops/postgresql_drill
  metrics_dir:
    description: Directory of node_exporter's textfile collector.
    type: path
    default: /var/lib/node_exporter
  amcheck:
    description: Whether pg_amcheck looks at all tables and indexes, which reads all of them.
    type: bool
    default: true
  keep:
    description: Keep the copy after a good drill too.
    type: bool
    default: false
  shared_buffers_mb:
    description: MiB of memory that the copy uses for its buffers.
    type: int
    default: 256
  timeout:
    description: Seconds that each step may take.
    type: int
    default: 14400
  config:
    description: Configuration file, where it is not pgBackRest's own default.
    type: str
attributes:
  check_mode:
    description: Asks the repository whether it has a backup to begin from.
    support: full
  diff_mode:
    description: There is nothing to compare with.
    support: none
"""

EXAMPLES = r"""
- name: Prove the off-site repository
  chainops.infra.postgresql_drill:
    stanza: main
    repository: 2
    manifest: "{{ manifest }}"
"""

RETURN = r"""
report:
  description: What each step found, and how long it took.
  returned: always, outside of check mode
  type: dict
files:
  description: Where report and metrics were written.
  returned: always, outside of check mode
  type: list
  elements: str
"""

import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.pgbackrest import info
from ..module_utils.pgbackrest.command import Pgbackrest, PgbackrestError
from ..module_utils.pgbackrest.drill import Drill, as_text, publish
from ..module_utils.pgbackrest.manifest import FORMAT, POINT

NEEDED = ("name", "lsn", "stanza", "database", "tables", "system_identifier")


def check(manifest: dict[str, object], stanza: str) -> None:
    """ValueError where it is no manifest, or another cluster's."""
    missing = [key for key in NEEDED if key not in manifest]
    if manifest.get("format") != FORMAT or missing:
        raise ValueError(f"manifest: is none of postgresql_manifest; it lacks {', '.join(missing) or 'its format'}")
    if manifest["stanza"] != stanza:
        raise ValueError(f"manifest: is of the stanza {manifest['stanza']}, not {stanza}")
    if not POINT.fullmatch(str(manifest["name"])):
        raise ValueError(f"manifest.name = {manifest['name']}: is no restore point's name")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "stanza": {"type": "str", "required": True},
            "repository": {"type": "int", "required": True},
            "manifest": {"type": "dict", "required": True},
            "reason": {"type": "str", "default": "no manifest was made"},
            "archive_timeout": {"type": "int", "default": 120},
            "work_dir": {"type": "path", "default": "/var/lib/postgresql/drill"},
            "bin_dir": {"type": "path", "default": "/usr/lib/postgresql/17/bin"},
            "user": {"type": "str", "default": "postgres"},
            "report_dir": {"type": "path", "default": "/var/lib/chainops/postgresql_drill"},
            "metrics_dir": {"type": "path", "default": "/var/lib/node_exporter"},
            "amcheck": {"type": "bool", "default": True},
            "keep": {"type": "bool", "default": False},
            "shared_buffers_mb": {"type": "int", "default": 256},
            "timeout": {"type": "int", "default": 14400},
            "config": {"type": "str"},
        },
        supports_check_mode=True,
    )
    given = module.params
    number = given["repository"]
    pgbackrest = Pgbackrest(given["stanza"], given["user"], given["config"])
    try:
        if given["manifest"]:
            check(given["manifest"], given["stanza"])
        if module.check_mode and not given["manifest"]:
            raise ValueError(given["reason"])
        if module.check_mode:
            repository = info.read(pgbackrest, number)
            repository.must_be_good()
            if repository.before(given["manifest"]["lsn"]) is None:
                raise PgbackrestError(f"repository {number} has no backup that is older than the restore point")
            module.exit_json(changed=True)
        drill = Drill(
            pgbackrest,
            number,
            given["manifest"] or {"name": "none", "lsn": ""},
            Path(given["work_dir"]),
            Path(given["bin_dir"]),
            given["timeout"],
            given["shared_buffers_mb"],
            given["amcheck"],
            given["keep"],
            given["archive_timeout"],
        )
        if given["manifest"]:
            drill.run()
        else:
            drill.refuse(given["reason"])
        report = drill.report()
        metrics = Path(given["metrics_dir"]) / f"postgresql_drill_{given['stanza']}_{number}.prom"
        files = publish(report, Path(given["report_dir"]), metrics, time.time())
    except (PgbackrestError, ValueError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}")
    if not report["good"]:
        module.fail_json(msg=as_text(report), changed=True, report=report, files=files)
    module.exit_json(changed=True, report=report, files=files)


if __name__ == "__main__":
    main()
