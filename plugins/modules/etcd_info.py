#!/usr/bin/python
# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_info
short_description: Whether a host has data of an etcd member, or is about to found a cluster
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Looks at the data directory of a member. A cluster is founded only where all its members have none.
  - Data in the directory that the configuration on the host still names (O(configured)) is data of this member too. If
    O(data_dir) is another one without data, the module fails, as what follows would begin a new cluster under the one
    that lives, or leave a member behind that has forgotten what it voted for.
options:
  data_dir:
    description: The member's data directory.
    type: path
    required: true
  founding:
    description: File that stands while this host founds a cluster together with others, until it was ready once.
    type: path
    default: /var/lib/etcd/.founding
  configured:
    description: Configurations that etcd may have been started with, as YAML with C(data-dir); none needs to be there.
    type: list
    elements: path
    default: [/run/etcd/etcd.yml, /etc/etcd/etcd.yml]
attributes:
  check_mode:
    description: Changes nothing.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
seealso:
  - module: chainops.infra.etcd_member
"""

EXAMPLES = r"""
- name: See whether the member has data
  chainops.infra.etcd_info:
    data_dir: /var/lib/etcd/db-a
  register: etcd
"""

RETURN = r"""
has_data:
  description: Whether the directory holds a member's data.
  returned: success
  type: bool
founding:
  description: Whether the host is in the middle of founding a cluster.
  returned: success
  type: bool
empty:
  description: Whether a founding may begin here, or go on. That is with no data, or with data of a founding that never
    got ready.
  returned: success
  type: bool
"""

import json
import re
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

CONFIGURED = ["/run/etcd/etcd.yml", "/etc/etcd/etcd.yml"]


def has_member(data_dir: Path) -> bool:
    return (data_dir / "member").exists()


def named_in(configuration: Path) -> Path | None:
    """The data directory that a configuration names."""
    try:
        text = configuration.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    found = re.search(r"^data-dir:[ \t]*(\S.*?)[ \t]*$", text, re.MULTILINE)
    if not found:
        return None
    # the role writes it as JSON, a person may not
    return Path(json.loads(found[1]) if found[1].startswith('"') else found[1].strip("'"))


def left_behind(data_dir: Path, configurations: list[Path]) -> str:
    """Why this data directory must not be used; empty if it may be."""
    if has_member(data_dir):
        return ""
    for configuration in configurations:
        named = named_in(configuration)
        if named and named.resolve() != data_dir.resolve() and has_member(named):
            return (
                f"etcd_data_dir = {data_dir} has no data, and {configuration} names {named}, which has that of this "
                "member. A run moves no data: on one member at a time stop etcd, move the directory to its new place "
                "with its owner and mode, and run the play for that member; or leave etcd_data_dir as it was"
            )
    return ""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "data_dir": {"type": "path", "required": True},
            "founding": {"type": "path", "default": "/var/lib/etcd/.founding"},
            "configured": {"type": "list", "elements": "path", "default": CONFIGURED},
        },
        supports_check_mode=True,
    )
    data_dir = Path(module.params["data_dir"])
    try:
        fault = left_behind(data_dir, [Path(path) for path in module.params["configured"]])
    except (OSError, ValueError) as error:
        fault = f"nobody knows where etcd has its data: its configuration cannot be read ({error})"
    if fault:
        module.fail_json(msg=fault)
    has_data = has_member(data_dir)
    founding = Path(module.params["founding"]).exists()
    module.exit_json(changed=False, has_data=has_data, founding=founding, empty=founding or not has_data)


if __name__ == "__main__":
    main()
