#!/usr/bin/python
# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: patroni_state
short_description: Remove the state of a Patroni cluster that is stopped from etcd
version_added: 0.2.0
author: The chainops.infra authors (@chainops)
description:
  - For a restore in place. The state names a leader, a timeline and a history that no longer are.
  - It is removed in one step that etcd makes only if nobody leads and no member is alive. A Patroni that could not be
    reached otherwise, and still runs, so keeps its cluster; C(patronictl remove) asks nobody.
  - Which cluster, which etcd and which certificate it is, Patroni's own configuration says.
options:
  patroni_config:
    description: Patroni's configuration on this host.
    type: path
    default: /etc/patroni/config.yml
  timeout:
    description: Seconds to wait until the keys of members that were stopped, or are lost, have ended (Patroni's ttl).
    type: int
    default: 330
attributes:
  check_mode:
    description: Says whether there is a state.
    support: full
  diff_mode:
    description: There is nothing to compare with.
    support: none
"""

EXAMPLES = r"""
- name: Remove the old cluster's state from etcd
  chainops.infra.patroni_state:
"""

RETURN = r"""
scope:
  description: Name of the cluster.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.patroni import local, store
from ..module_utils.patroni.rest import RestError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "patroni_config": {"type": "path", "default": local.CONFIG},
            "timeout": {"type": "int", "default": 330},
        },
        supports_check_mode=True,
    )
    try:
        found = local.read(module.params["patroni_config"])
        state = store.Store(found)
        changed = bool(state.read().values) if module.check_mode else store.forget(state, module.params["timeout"])
    except (local.LocalError, RestError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, scope=found.scope)


if __name__ == "__main__":
    main()
