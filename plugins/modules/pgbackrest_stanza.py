#!/usr/bin/python
# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: pgbackrest_stanza
short_description: Create a stanza of a pgBackRest repository, and check it after every change
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Run on a repository host. Creates the stanza where it is missing, which needs a running primary, and has pgBackRest
    check that WAL of the primary reaches the repository.
  - A check is due when the stanza was created, or when a file of O(check_on) or a text of O(check_also) is not what it
    was at the last check that went well. So a check is not lost with a run that was killed, and a second makes none.
  - A stanza of another cluster is never touched. One of an older major version is upgraded with O(upgrade=true).
options:
  stanza:
    description: Name of the cluster in the repository.
    type: str
    required: true
  repository:
    description: Number of this host's repository.
    type: int
    required: true
  user:
    description: User that pgBackRest runs as on the repository host.
    type: str
    default: pgbackrest
  check_on:
    description: Files that a check depends on.
    type: list
    elements: str
    default: []
  check_also:
    description:
      - What a check depends on elsewhere, a text by the name of its host. A host that is not named counts as unchanged.
    type: dict
    default: {}
  upgrade:
    description: Whether the stanza may be brought to the cluster's new major version.
    type: bool
    default: false
  first_backup_unit:
    description: Unit that is started, without waiting for it, when the repository has no backup.
    type: str
    default: ""
  config:
    description: Configuration file, where it is not pgBackRest's own default.
    type: str
  timeout:
    description: Seconds that one command may take.
    type: int
    default: 300
attributes:
  check_mode:
    description: Reads the repository, and says what would be done.
    support: full
  diff_mode:
    description: Shows whether there is a stanza, and what is done.
    support: full
"""

EXAMPLES = r"""
- name: Create the stanza on a repository host
  chainops.infra.pgbackrest_stanza:
    stanza: main
    repository: 1
    check_on: [/etc/pgbackrest/pgbackrest.conf]
    first_backup_unit: pgbackrest-backup@full.service
"""

RETURN = r"""
actions:
  description: What was done, or would be. Any of V(create), V(upgrade), V(check) and V(first backup).
  returned: success
  type: list
  elements: str
backups:
  description: Labels of the backups in this repository.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.pgbackrest.command import NotThere, Pgbackrest, PgbackrestError
from ..module_utils.pgbackrest.stanza import Stanza


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "stanza": {"type": "str", "required": True},
            "repository": {"type": "int", "required": True},
            "user": {"type": "str", "default": "pgbackrest"},
            "check_on": {"type": "list", "elements": "str", "default": []},
            "check_also": {"type": "dict", "default": {}},
            "upgrade": {"type": "bool", "default": False},
            "first_backup_unit": {"type": "str", "default": ""},
            "config": {"type": "str"},
            "timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    given = module.params
    pgbackrest = Pgbackrest(given["stanza"], given["user"], given["config"])
    stanza = Stanza(
        pgbackrest,
        given["repository"],
        given["check_on"],
        given["upgrade"],
        given["first_backup_unit"],
        given["timeout"],
        check_also={str(host): str(text) for host, text in given["check_also"].items()},
    )
    try:
        repository = stanza.run(module.check_mode)
    except PgbackrestError as error:
        if module.check_mode and isinstance(error, NotThere):
            # Before the first run there is neither user nor program.
            module.exit_json(changed=True, actions=["create", "check"], backups=[])
        module.fail_json(msg=str(error), changed=bool(stanza.done), actions=stanza.done)
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}", changed=bool(stanza.done))
    there = "stanza\n" if "create" not in stanza.done else "no stanza\n"
    module.exit_json(
        changed=bool(stanza.done),
        actions=stanza.done,
        backups=[backup.label for backup in repository.backups],
        diff={"before": there, "after": "stanza\n" + "".join(f"{action}\n" for action in stanza.done)},
    )


if __name__ == "__main__":
    main()
