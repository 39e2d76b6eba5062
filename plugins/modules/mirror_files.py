#!/usr/bin/python
# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: mirror_files
short_description: Bring a directory of large files to a host that serves them
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Uploads the files of a directory of the control node that the host does not hold yet. If nothing changed, that
    takes one round trip and reads no file, as the host keeps a record of what it holds.
  - If the directory has a file C(SHA256SUMS), the files named in it are meant, and it and C(releases.json) are put in
    place last, so that a list never names a file that is not there. Without it, all files are meant but those with a
    name that begins with a dot.
  - Every file is hashed when it arrives and put in its place by a rename. What an earlier run brought and this one
    does not want any more is removed. Files that somebody else put into the directory are left alone.
options:
  src:
    description: Directory of the control node. A relative path is looked for where the playbook is.
    type: path
    required: true
  dest:
    description:
      - Directory of the host, made if needed (mode 0755). Files get mode 0644 and the user that the task runs as.
    type: path
    required: true
  wanted:
    description: Set by the action, not by people. Path to SHA-256 of every file.
    type: dict
    default: {}
  sizes:
    description: Set by the action, not by people. Path to bytes of every file.
    type: dict
    default: {}
  incoming:
    description: Set by the action, not by people. Path to the temporary file that holds what was uploaded for it.
    type: dict
    default: {}
  finish:
    description: Set by the action, not by people. Remove what is not wanted any more.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Says what would be uploaded and removed.
  diff_mode:
    support: full
    description: Names the files.
  platform:
    support: full
    description: Linux.
    platforms: linux
seealso:
  - module: chainops.infra.release
    description: Installs on other hosts what is served.
"""

EXAMPLES = r"""
- name: Bring the site's releases to its mirror
  chainops.infra.mirror_files:
    src: /var/cache/chainops/artifacts
    dest: /srv/artifacts
"""

RETURN = r"""
uploaded:
  description: Files that were brought, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [geth/1.17.8-65cd4aa93a3f/geth-linux-amd64-1.17.8.tar.gz]
removed:
  description: Files that were removed, or would be.
  returned: success
  type: list
  elements: str
  sample: []
files:
  description: How many files are served by this task's care.
  returned: success
  type: int
  sample: 12
"""

import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.mirror.files import MirrorError, Served


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "src": {"type": "path", "required": True},
            "dest": {"type": "path", "required": True},
            "wanted": {"type": "dict", "default": {}},
            "sizes": {"type": "dict", "default": {}},
            "incoming": {"type": "dict", "default": {}},
            "finish": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    options = module.params
    os.umask(0o022)
    served = Served(Path(options["dest"]))
    try:
        for path, temporary in options["incoming"].items():
            served.accept(path, Path(temporary), options["wanted"][path])
        missing, surplus = served.plan(options["wanted"], {path: int(size) for path, size in options["sizes"].items()})
        if not module.check_mode:
            if options["finish"] and not missing:
                served.remove(surplus)
            served.save(options["wanted"])
    except MirrorError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or options['dest']}: {error.strerror or error}")
    module.exit_json(changed=False, missing=missing, surplus=surplus)


if __name__ == "__main__":
    main()
