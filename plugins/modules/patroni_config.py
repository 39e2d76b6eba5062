#!/usr/bin/python
# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: patroni_config
short_description: Bring the configuration that all members of a Patroni cluster share to what it should be
version_added: 0.2.0
author: The chainops.infra authors (@chainops)
description:
  - Waits until the cluster has a leader and this member runs, compares Patroni's dynamic configuration with O(config),
    and changes it. What is not in O(config) is removed, except C(pause), which belongs to operators.
  - It may run on all members at once. The leader's host writes; if that is not among O(hosts), the first of them does.
    The others wait until their own Patroni shows the new configuration.
  - Nothing is restarted. Members for which a changed parameter needs a restart are marked by Patroni, and
    RV(pending_restart) says so.
options:
  config:
    description: The whole dynamic configuration.
    type: dict
    required: true
  name:
    description: Name of this member.
    type: str
    required: true
  hosts:
    description: Members on which this task runs. Left out, only this one.
    type: list
    elements: str
    default: []
  timeout:
    description:
      - Seconds until the cluster has a leader, this member runs and the configuration has arrived. A member that copies
        a large database needs more; it goes on by itself when the time is over.
    type: int
    default: 180
extends_documentation_fragment: [chainops.infra.patroni]
attributes:
  check_mode:
    description: Says what would be written. A Patroni that does not answer yet is a planned change.
    support: full
  diff_mode:
    description: Shows the configuration before and after.
    support: full
"""

EXAMPLES = r"""
- name: Make the cluster synchronous
  chainops.infra.patroni_config:
    address: 10.87.1.21
    name: db-a
    hosts: [db-a, db-b, db-c]
    config:
      ttl: 20
      loop_wait: 2
      retry_timeout: 5
      synchronous_mode: quorum
      postgresql:
        parameters:
          max_connections: 200
"""

RETURN = r"""
leader:
  description: Name of the member that leads the cluster, empty in check mode if none was found.
  returned: success
  type: str
pending_restart:
  description: Whether this member's PostgreSQL needs a restart for a parameter that has changed.
  returned: success
  type: bool
written:
  description: Whether this host wrote the configuration (or would in check mode).
  returned: success
  type: bool
"""

import json
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.patroni.arguments import REST_ARGUMENTS, rest_of
from ..module_utils.patroni.members import WELL, leader_of, member_of
from ..module_utils.patroni.rest import Rest, RestError, eventually, patch


def writer(leader: str, hosts: list[str], name: str) -> bool:
    """Whether this host is the one that writes."""
    hosts = hosts or [name]
    return name == (leader if leader in hosts else hosts[0])


class Task:
    def __init__(self, rest: Rest, options: dict[str, t.Any], check: bool) -> None:
        self.rest, self.options, self.check = rest, options, check
        self.wanted: dict[str, t.Any] = options["config"]
        self.written = False
        self.before: dict[str, t.Any] | None = None
        self.cluster: dict[str, t.Any] = {"members": []}

    def settled(self) -> bool:
        """The cluster has a leader and this member runs."""
        self.cluster = self.rest.cluster()
        state = member_of(self.cluster, self.options["name"]).get("state")
        return bool(leader_of(self.cluster)) and state in WELL

    def arrived(self) -> bool:
        """The configuration is there; written first, if that is this host's part."""
        found = self.rest.config()
        self.before = found if self.before is None else self.before
        change = patch(found, self.wanted)
        if not change:
            return True
        leader = leader_of(self.cluster)
        if writer(leader.get("name", ""), self.options["hosts"], self.options["name"]):
            self.written = True
            if self.check:
                return True
            self.rest.change("PATCH", "/config", change)
        elif self.check:
            return True
        else:
            self.cluster = self.rest.cluster()
        return False

    def run(self) -> None:
        timeout = 0 if self.check else self.options["timeout"]
        settled, trouble = eventually(self.settled, timeout)
        if not settled:
            raise RestError(self.obstacle(trouble))
        arrived, trouble = eventually(self.arrived, timeout)
        if not arrived:
            raise RestError(trouble or f"{self.rest.where} does not show the configuration after {timeout} s")

    def obstacle(self, trouble: str) -> str:
        name, timeout = self.options["name"], self.options["timeout"]
        if trouble:
            return f"{trouble} (waited {timeout} s); journalctl -u patroni says more"
        state = member_of(self.cluster, name).get("state", "not in the cluster")
        leader = leader_of(self.cluster).get("name")
        return (
            f"{name} is {state} after {timeout} s, and "
            + (f"{leader} leads. If it copies the database, it goes on by itself" if leader else "nobody leads")
            + "; journalctl -u patroni says more"
        )


def shown(config: dict[str, t.Any] | None) -> str:
    return "" if config is None else json.dumps(config, indent=2, sort_keys=True) + "\n"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **REST_ARGUMENTS,
            "config": {"type": "dict", "required": True},
            "name": {"type": "str", "required": True},
            "hosts": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "int", "default": 180},
        },
        supports_check_mode=True,
    )
    options = module.params
    try:
        task = Task(rest_of(options), options, module.check_mode)
    except RestError as error:
        if not module.check_mode:
            module.fail_json(msg=str(error))
        module.exit_json(changed=True, leader="", pending_restart=False, written=False)
    try:
        task.run()
    except RestError as error:
        if not module.check_mode:
            module.fail_json(msg=str(error), changed=task.written)
        module.exit_json(changed=True, leader="", pending_restart=False, written=False)
    after = {key: value for key, value in (task.before or {}).items() if key == "pause"} | task.wanted
    module.exit_json(
        changed=task.written,
        written=task.written,
        leader=leader_of(task.cluster).get("name", ""),
        pending_restart=bool(member_of(task.cluster, options["name"]).get("pending_restart")),
        diff={"before": shown(task.before), "after": shown(after if task.written else task.before)},
    )


if __name__ == "__main__":
    main()
