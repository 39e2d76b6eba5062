#!/usr/bin/python
# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: release_info
short_description: Which versions of which releases a host has
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Tells what M(chainops.infra.release) has put on a host.
options:
  names:
    description: Names of releases, such as V(geth).
    type: list
    elements: str
    required: true
  root:
    description: Directory of all releases.
    type: path
    default: /opt/chainops
attributes:
  check_mode:
    description: It never changes anything.
    support: full
  diff_mode:
    description: It never changes anything.
    support: none
seealso:
  - module: chainops.infra.release
"""

EXAMPLES = r"""
- name: See which geth this host has
  chainops.infra.release_info:
    names: [geth]
  register: found
"""

RETURN = r"""
current:
  description: The version that services run, by name. A release that is not there has none.
  returned: success
  type: dict
  sample: {geth: "1.17.8"}
installed:
  description: All versions on disk by name, the newest installation first.
  returned: success
  type: dict
  sample: {geth: ["1.17.8", "1.17.6"]}
running:
  description:
    - The version that processes run, by name, whatever is current. Needs root, and sees executables only, no scripts.
      A release of which no process runs, or several versions do, has none.
  returned: success
  type: dict
  sample: {geth: "1.17.6"}
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.release.errors import ReleaseError
from ..module_utils.release.store import Store


def running(base: Path) -> str | None:
    """The one version below a release's directory that processes run."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            executable = (process / "exe").readlink()
        except OSError:
            continue  # it has ended, is a thread of the kernel, or is not ours to look at
        if executable.is_relative_to(base):
            found.add(executable.relative_to(base).parts[0])
    return found.pop() if len(found) == 1 else None


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "required": True},
            "root": {"type": "path", "default": "/opt/chainops"},
        },
        supports_check_mode=True,
    )
    stores = {name: Store(Path(module.params["root"]), name) for name in module.params["names"]}
    try:
        current = {name: store.current() for name, store in stores.items()}
        installed = {name: store.versions() for name, store in stores.items()}
        alive = {name: running(store.base.resolve()) for name, store in stores.items()}
    except (ReleaseError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=False,
        current={name: version for name, version in current.items() if version},
        installed={name: versions for name, versions in installed.items() if versions},
        running={name: version for name, version in alive.items() if version},
    )


if __name__ == "__main__":
    main()
