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
  - With O(patroni_config) a member is restored in place. The directory then has a mark that says which restore it is
    of, which clones take over. The same restore is not made again where the mark is, so that nothing which was written
    since is lost; one that was killed before it had reached its target is begun anew.
options:
  state:
    description:
      - V(restored) is what this module is for.
      - V(possible) checks the options and asks the repository, and touches nothing, whether PostgreSQL runs or not.
        With O(patroni_config) it also says whether the cluster is paused, whether etcd answers, and whether the
        directory can be put aside, with room for another.
      - V(set_aside) only renames O(data_dir), so that a member clones the cluster anew. A directory that is of the
        restore O(restore_id) stays.
      - V(led) notes in the mark that the restored member leads.
    type: str
    choices: [restored, possible, set_aside, led]
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
    description: Absolute path of the data directory. Either this or O(patroni_config) is needed.
    type: path
  patroni_config:
    description:
      - Configuration of this host's Patroni, for a restore in place. It says where data directory and programs are.
    type: path
  again:
    description:
      - With O(patroni_config), identity of an earlier restore to the same target that is to be made once more. What was
        written since is put aside with its directory.
    type: str
    default: ""
  restore_id:
    description: With O(state=set_aside), identity of the restore that a directory may be of and stay.
    type: str
    default: ""
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
restore:
  description:
    - The mark of the restore in place that the directory is of. It has C(id), C(wish), C(stage) (V(recovered), then
      V(led)), C(kept) and C(recovered). Empty where it is of no restore to this target.
  returned: with O(patroni_config), outside of check mode
  type: dict
member:
  description: What Patroni's configuration says of this member, as C(name), C(scope), C(data_dir) and C(port).
  returned: with O(patroni_config)
  type: dict
leader:
  description: Who leads, as the cluster's state in etcd says; empty if nobody does.
  returned: with O(state=possible) and O(patroni_config)
  type: str
alive:
  description: Members whose Patroni is alive, by that state.
  returned: with O(state=possible) and O(patroni_config)
  type: list
  elements: str
cloning:
  description: Whether this member's Patroni copies the leader's data right now.
  returned: with O(state=possible) and O(patroni_config)
  type: bool
recovered:
  description: Where the recovery ended.
  returned: with O(recover), outside of check mode
  type: dict
  sample: {lsn: 0/9000000, timeline: 2}
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.patroni.local import LocalError
from ..module_utils.pgbackrest.command import PgbackrestError
from ..module_utils.pgbackrest.job import job_of
from ..module_utils.pgbackrest.target import TYPES

SPEC: dict[str, t.Any] = {
    "state": {"type": "str", "choices": ["restored", "possible", "set_aside", "led"], "default": "restored"},
    "stanza": {"type": "str", "required": True},
    "repository": {"type": "int", "default": 1},
    "data_dir": {"type": "path"},
    "patroni_config": {"type": "path"},
    "again": {"type": "str", "default": ""},
    "restore_id": {"type": "str", "default": ""},
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
}


def main() -> None:
    one_of = [("data_dir", "patroni_config")]
    module = AnsibleModule(SPEC, supports_check_mode=True, required_one_of=one_of, mutually_exclusive=one_of)
    given = module.params
    try:
        job = job_of(given)
    except (ValueError, LocalError) as error:
        module.fail_json(msg=str(error), changed=False)
    try:
        result = job.run(given["state"], module.check_mode)
    except PgbackrestError as error:
        module.fail_json(msg=str(error), changed=job.changed)
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}", changed=job.changed)
    before, kept = f"{job.data_dir}\n", result.get("kept")
    after = before if not job.changed else f"{job.data_dir} ({given['state']})\n" + (f"{kept}\n" if kept else "")
    module.exit_json(changed=job.changed, diff={"before": before, "after": after}, **result)


if __name__ == "__main__":
    main()
