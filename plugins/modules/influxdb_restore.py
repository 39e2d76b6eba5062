#!/usr/bin/python
# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: influxdb_restore
short_description: Restore a database of InfluxDB under a new name
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Fetches a copy from the repository, checks it, restores one database of it under a new name beside the real ones,
    and counts the points of every series against the copy's manifest.
  - Nothing that exists is touched. If the counts differ or cannot be made, the new database is dropped again and the
    task fails.
  - A new database that exists already is left as it is. The task fails if it is what a run that was killed has left,
    which a file in C(SCRATCH_DIR.unfinished) tells.
  - Policies come with it, so what is older than they keep is deleted within half an hour. Continuous queries and users
    do not.
options:
  database:
    description: The database in the copy.
    type: str
    required: true
  new_database:
    description: Its new name.
    type: str
    required: true
  scratch_dir:
    description: Directory that is made for the copy's files and removed after it.
    type: path
    default: /var/lib/influxdb-restore
  rpc:
    description: Address of the server's backup service.
    type: str
    default: 127.0.0.1:8088
extends_documentation_fragment:
  - chainops.infra.influxdb
  - chainops.infra.influxdb.copy
"""

EXAMPLES = r"""
- name: Bring last night's points back beside today's
  become: true
  chainops.infra.influxdb_restore:
    database: chain
    new_database: chain_restored
    ca_path: /etc/chainops/tls/ca.pem
"""

RETURN = r"""
copy:
  description: Id of the copy.
  returned: when something was (or would be) restored
  type: str
age_hours:
  description: Its age.
  returned: when something was (or would be) restored
  type: float
series:
  description: How many series of how many shards were counted.
  returned: when something was restored
  type: int
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.influxdb import restore
from ..module_utils.influxdb.backups import BackupError, Server, valid_name
from ..module_utils.influxdb.objects import read
from ..module_utils.influxdb.restic import Restic
from ..module_utils.influxdb_module import CONNECTION, COPY, client_of, finish


def work(given: dict[str, Any], check: bool) -> dict[str, Any]:
    names = given["database"], given["new_database"]
    for name in names:
        if not valid_name(name):
            raise BackupError(f"{name!r} is no plain name of a database: letters, digits, '_', '.' and '-'")
    client = client_of(given)
    if given["new_database"] in read(client).databases:
        restore.refuse_unfinished(given["scratch_dir"], given["new_database"])
        return {"changed": False}
    repository = Restic.from_file(given["env_file"], given["cache_dir"], binary=given["restic"])
    diff = {"before": "", "after": f"database {names[1]}, as {names[0]} in the copy\n"}
    if check:
        picked = restore.chosen(repository, given["copy"])
        age = round(restore.age_hours(picked), 2)
        return {"changed": True, "copy": picked["short_id"], "age_hours": age, "diff": diff}
    server = Server(client, given["rpc"], Path(), Path(), given["influxd"])
    result = restore.into_new(repository, given["copy"], given["scratch_dir"], server, names)
    return {"changed": True, "diff": diff} | result


def main() -> None:
    spec: dict[str, Any] = {
        **CONNECTION,
        **COPY,
        "database": {"type": "str", "required": True},
        "new_database": {"type": "str", "required": True},
        "scratch_dir": {"type": "path", "default": "/var/lib/influxdb-restore"},
        "rpc": {"type": "str", "default": "127.0.0.1:8088"},
    }
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    finish(module, "nothing is restored", lambda: work(module.params, module.check_mode))


if __name__ == "__main__":
    main()
