#!/usr/bin/python
# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: pgbackrest_restore
short_description: Restore a PostgreSQL cluster to a moment, keeping the old data directory
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Restores from one repository into O(data_dir). What is there is kept, under a name with the time; nothing is
    deleted.
  - Refused while PostgreSQL runs in that directory, and before anything is touched when the repository does not answer.
  - With O(recover=true) PostgreSQL is started on a private socket without network until it has reached the target and
    taken a new timeline, and is stopped again. A target that cannot be reached is an error, with PostgreSQL's own
    words.
  - What pgBackRest wrote for that recovery is then taken out of postgresql.auto.conf. Clones would inherit it, and stop
    at the same target.
options:
  state:
    description:
      - V(restored) is what this module is for. V(possible) checks the options and asks the repository, and touches
        nothing, whether PostgreSQL runs or not. V(set_aside) only renames O(data_dir), so that a member clones the
        cluster anew.
    type: str
    choices: [restored, possible, set_aside]
    default: restored
  stanza:
    description: Name of the cluster in the repositories.
    type: str
    required: true
  repository:
    description: Number of the repository to restore from.
    type: int
    default: 1
  data_dir:
    description: Absolute path of the data directory.
    type: path
    required: true
  type:
    description:
      - V(latest) is all WAL that was archived, V(immediate) the end of the backup, the others the point that O(target)
        names.
    type: str
    choices: [latest, immediate, time, lsn, name, xid]
    default: latest
  target:
    description:
      - A moment with its offset (V(2026-01-05 02:10:00+00)), an LSN, the name of a restore point, or a transaction's
        number.
    type: str
    default: ""
  exclusive:
    description: Stop just before the target instead of just after it.
    type: bool
    default: false
  timeline:
    description: Timeline to follow, V(latest), V(current) (that of the backup) or a number.
    type: str
    default: latest
  backup:
    description:
      - Label of the backup to begin from. For O(type=time) and O(type=lsn) pgBackRest finds the right one. For
        O(type=name) and O(type=xid) it takes the last, which must then be older than the target.
    type: str
    default: ""
  user:
    description: PostgreSQL's user.
    type: str
    default: postgres
  bin_dir:
    description: Directory of PostgreSQL's programs, for O(recover).
    type: path
    default: /usr/lib/postgresql/17/bin
  run_dir:
    description: Directory for the private socket and the log, for O(recover).
    type: path
    default: /run/chainops-restore
  recover:
    description: Whether to replay WAL to the target now.
    type: bool
    default: true
  archive_later:
    description:
      - The copy becomes the cluster, so that WAL it writes while it recovers is kept for the archive. On a scratch host
        leave it off, since a copy must not write into the cluster's repositories.
    type: bool
    default: false
  tablespace_dir:
    description: Directory that all tablespaces are restored below, for another host than theirs.
    type: path
  config:
    description: Configuration file, where it is not pgBackRest's own default.
    type: str
  timeout:
    description: Seconds that the recovery may take.
    type: int
    default: 86400
attributes:
  check_mode:
    description: Checks the options and the repository, and touches nothing.
    support: full
  diff_mode:
    description: Shows where the old data directory would go.
    support: full
"""

EXAMPLES = r"""
- name: The cluster as it was before the table was dropped, on the scratch host
  chainops.infra.pgbackrest_restore:
    stanza: main
    data_dir: /var/lib/postgresql/restore/main
    type: time
    target: "2026-01-05 02:09:59+00"
"""

RETURN = r"""
kept:
  description: Where the old data directory is now; empty if there was none.
  returned: success
  type: str
recovered:
  description: Where the recovery ended.
  returned: with O(recover), outside of check mode
  type: dict
  sample: {lsn: 0/9000000, timeline: 2}
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.pgbackrest import info
from ..module_utils.pgbackrest.command import Pgbackrest, PgbackrestError
from ..module_utils.pgbackrest.scratch import Scratch
from ..module_utils.pgbackrest.target import TYPES, Target, in_use, restore, set_aside

END = (
    "SELECT json_build_object('lsn', pg_current_wal_lsn()::text, 'timeline', timeline_id) FROM pg_control_checkpoint();"
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["restored", "possible", "set_aside"], "default": "restored"},
            "stanza": {"type": "str", "required": True},
            "repository": {"type": "int", "default": 1},
            "data_dir": {"type": "path", "required": True},
            "type": {"type": "str", "choices": list(TYPES), "default": "latest"},
            "target": {"type": "str", "default": ""},
            "exclusive": {"type": "bool", "default": False},
            "timeline": {"type": "str", "default": "latest"},
            "backup": {"type": "str", "default": ""},
            "user": {"type": "str", "default": "postgres"},
            "bin_dir": {"type": "path", "default": "/usr/lib/postgresql/17/bin"},
            "run_dir": {"type": "path", "default": "/run/chainops-restore"},
            "recover": {"type": "bool", "default": True},
            "archive_later": {"type": "bool", "default": False},
            "tablespace_dir": {"type": "path"},
            "config": {"type": "str"},
            "timeout": {"type": "int", "default": 86400},
        },
        supports_check_mode=True,
    )
    given = module.params
    data_dir, changed = Path(given["data_dir"]), False
    pgbackrest = Pgbackrest(given["stanza"], given["user"], given["config"])
    target = Target(given["type"], given["target"], given["exclusive"], given["timeline"], given["backup"])
    spaces = [f"--tablespace-map-all={given['tablespace_dir']}"] if given["tablespace_dir"] else []
    try:
        target.check()
        if not data_dir.is_absolute() or len(data_dir.parts) < 3:
            raise ValueError(f"data_dir = {data_dir}: must be an absolute path below a directory of its own")
        if given["state"] != "possible" and in_use(data_dir):
            raise PgbackrestError(f"PostgreSQL runs in {data_dir}: stop it first; nothing was touched")
        if given["state"] == "set_aside":
            there = data_dir.is_dir() and any(data_dir.iterdir())
            module.exit_json(changed=there, kept=set_aside(data_dir) if there and not module.check_mode else "")
        if module.check_mode or given["state"] == "possible":
            info.read(pgbackrest, given["repository"]).must_be_good()
            module.exit_json(changed=given["state"] == "restored", kept="")
        changed = True
        kept = restore(pgbackrest, target, data_dir, given["repository"], spaces)
        result = {"kept": kept}
        if given["recover"]:
            scratch = Scratch(
                data_dir, Path(given["run_dir"]), Path(given["bin_dir"]), given["user"], archive=given["archive_later"]
            )
            with scratch:
                scratch.wait_promoted(given["timeout"])
                scratch.forget_target()
                result["recovered"] = scratch.psql().row("CHECKPOINT; " + END, 300)
    except (PgbackrestError, ValueError) as error:
        module.fail_json(msg=str(error), changed=changed)
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}", changed=changed)
    diff = {"before": f"{data_dir}\n", "after": f"{data_dir} (restored)\n" + (f"{kept}\n" if kept else "")}
    module.exit_json(changed=True, diff=diff, **result)


if __name__ == "__main__":
    main()
