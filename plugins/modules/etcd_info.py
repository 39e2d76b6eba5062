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
options:
  data_dir:
    description: The member's data directory.
    type: path
    required: true
  founding:
    description: File that stands while this host founds a cluster together with others, until it was ready once.
    type: path
    default: /var/lib/etcd/.founding
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

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "data_dir": {"type": "path", "required": True},
            "founding": {"type": "path", "default": "/var/lib/etcd/.founding"},
        },
        supports_check_mode=True,
    )
    has_data = Path(module.params["data_dir"], "member").exists()
    founding = Path(module.params["founding"]).exists()
    module.exit_json(changed=False, has_data=has_data, founding=founding, empty=founding or not has_data)


if __name__ == "__main__":
    main()
