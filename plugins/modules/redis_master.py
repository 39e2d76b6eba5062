#!/usr/bin/python
# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: redis_master
short_description: Wait until everybody agrees who is master of Redis, or move it to a replica
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - With O(state=known), waits until the Sentinels name one master, every replica has its link to it and the Sentinels
    know each other, and says who it is.
  - With O(state=moved), has the Sentinels make a replica master. Before that the old one takes no more writes (they
    wait, for ten seconds at most), and every replica that they could choose has caught up, so that nothing that was
    acknowledged is lost.
  - Run it on a host of the role C(redis_sentinel), whose file says who is who.
options:
  state:
    description: V(known) or V(moved).
    type: str
    choices: [known, moved]
    default: known
  away_from:
    description:
      - With O(state=moved), the server that shall not be master any more. Nothing is done if another is.
      - Without it, the master is moved whoever it is.
    type: str
    default: ""
  config:
    description: File on the host that the role C(redis_sentinel) has written.
    type: path
    default: /etc/chainops/redis/topology.json
  timeout:
    description: Seconds until all is as it should be.
    type: float
    default: 60
attributes:
  check_mode:
    support: full
    description: Says whether the master would be moved.
  diff_mode:
    support: full
    description: Shows who was master, and who is.
"""

EXAMPLES = r"""
- name: Take the master away from a host that will be rebooted
  chainops.infra.redis_master:
    state: moved
    away_from: db-a
  delegate_to: witness
"""

RETURN = r"""
master:
  description: Name of the master.
  returned: success
  type: str
address:
  description: Its address.
  returned: success
  type: str
waited:
  description: Seconds without writes that the move took.
  returned: success
  type: float
"""

import json
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.redis.bring import TopologyError
from ..module_utils.redis.move import Mover
from ..module_utils.redis.resp import RedisError, Unreachable
from ..module_utils.redis.wish import wish_of

ARGUMENTS: dict[str, t.Any] = {
    "state": {"type": "str", "choices": ["known", "moved"], "default": "known"},
    "away_from": {"type": "str", "default": ""},
    "config": {"type": "path", "default": "/etc/chainops/redis/topology.json"},
    "timeout": {"type": "float", "default": 60},
}


def run(given: dict[str, t.Any], check: bool) -> dict[str, t.Any]:
    mover = Mover(wish_of(json.loads(Path(given["config"]).read_text())))
    mover.bringer.look()
    before = mover.bringer.decision.master
    if given["state"] == "moved":
        mover.move(given["away_from"], given["timeout"], check)
    else:
        mover.settle(given["timeout"])
    after = mover.master
    result = {"changed": mover.moved, "master": after.name, "address": after.node.address, "waited": mover.waited}
    if mover.moved:
        then = "a replica" if check else after.name
        result["diff"] = {"before": f"master: {before.name if before else 'unknown'}\n", "after": f"master: {then}\n"}
    return result


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    result: dict[str, t.Any] = {}
    failure = ""
    try:
        result = run(module.params, module.check_mode)
    except FileNotFoundError as error:
        failure = f"there is no {error.filename} on this host: it is no host of the role redis_sentinel"
    except (TopologyError, RedisError, Unreachable) as error:
        failure = str(error)
    except Exception as error:
        # a traceback would print the arguments of calls, among them passwords
        failure = f"{type(error).__name__} while the hosts were asked"
    if failure:
        module.fail_json(msg=f"redis_master: {failure}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
