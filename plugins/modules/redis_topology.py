#!/usr/bin/python
# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: redis_topology
short_description: Found the topology of Redis and its Sentinels once, and keep it afterwards
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Asks every Sentinel and every server over TLS who is master. If more than half of all Sentinels name one, that is
    kept, whatever the inventory says, so that a run after a failover changes nothing. If no Sentinel knows a master yet
    and replicas follow a common one, that is kept. Only where neither is so does O(founding) become the master.
  - Servers that follow nobody, or another, are made replicas of it, and Sentinels that watch nothing are told to. What
    Sentinels repair by themselves is left to them for O(patience) seconds.
  - A master is never moved. A server whose data would be lost as a replica is refused, and so is a topology that is
    contradictory.
  - Ends when all replicas have their link and all Sentinels know each other and the replicas. Where the Sentinels know
    a master already, a replica or a Sentinel that does not answer is a warning after O(patience) seconds.
  - Run it once for all hosts, on a host that reaches them all.
options:
  watched:
    description: Name of the master as Sentinel knows it.
    type: str
    required: true
  servers:
    description: Servers that hold data.
    type: list
    elements: dict
    required: true
    suboptions: &host
      name:
        description: Name for messages.
        type: str
        required: true
      address:
        description: IP address as the others reach it. It must be in its certificate.
        type: str
        required: true
      port:
        description: TLS port.
        type: int
        required: true
  sentinels:
    description: All Sentinels.
    type: list
    elements: dict
    required: true
    suboptions: *host
  founding:
    description: Name of the server that is the master where nobody knows one.
    type: str
    required: true
  quorum:
    description: Number of Sentinels that must find the master down.
    type: int
    required: true
  settings:
    description: Settings of the watched master, as C(SENTINEL SET) takes them.
    type: dict
    default: {}
  user:
    description: User on the servers, which the Sentinels use too.
    type: str
    required: true
  password_file:
    description: File on the host with its password.
    type: path
    required: true
  sentinel_user:
    description: User on the Sentinels.
    type: str
    required: true
  sentinel_password_file:
    description: File on the host with its password.
    type: path
    required: true
  ca:
    description: File on the host with the certificates of the CA.
    type: path
    required: true
  certificate:
    description: File on the host with its own certificate.
    type: path
  key:
    description: File on the host with the key of that.
    type: path
  timeout:
    description: Seconds until all is as it should be.
    type: float
    default: 60
  patience:
    description: Seconds for which Sentinels may repair by themselves what they know of.
    type: float
    default: 20
attributes:
  check_mode:
    description: Says what would be changed; nothing is waited for. Hosts that do not answer yet are a planned change.
    support: full
  diff_mode:
    description: Shows who follows whom.
    support: full
"""

EXAMPLES = r"""
- name: Found the topology, or keep what it has become
  chainops.infra.redis_topology:
    watched: main
    servers:
      - {name: db-a, address: 10.0.1.1, port: 6379}
      - {name: db-b, address: 10.0.1.2, port: 6379}
    sentinels:
      - {name: db-a, address: 10.0.1.1, port: 26379}
      - {name: db-b, address: 10.0.1.2, port: 26379}
      - {name: witness, address: 10.0.3.1, port: 26379}
    founding: db-a
    quorum: 2
    settings: {down-after-milliseconds: 3000}
    user: sentinel
    password_file: /etc/chainops/redis/secrets/sentinel
    sentinel_user: sentinel
    sentinel_password_file: /etc/chainops/redis/secrets/sentinel
    ca: /etc/chainops/tls/ca.pem
  run_once: true
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
source:
  description: Who says so. One of V(sentinels), V(servers) and V(founding).
  returned: success
  type: str
steps:
  description: What was changed, or would be.
  returned: success
  type: list
  elements: str
missing:
  description: What is not as it should be, in check mode or as hosts do not answer; also shown as warnings.
  returned: success
  type: list
  elements: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.redis.bring import Bringer, TopologyError, lines
from ..module_utils.redis.wish import wish_of

HOST: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "address": {"type": "str", "required": True},
    "port": {"type": "int", "required": True},
}
ARGUMENTS: dict[str, t.Any] = {
    "watched": {"type": "str", "required": True},
    "servers": {"type": "list", "elements": "dict", "required": True, "options": HOST},
    "sentinels": {"type": "list", "elements": "dict", "required": True, "options": HOST},
    "founding": {"type": "str", "required": True},
    "quorum": {"type": "int", "required": True},
    "settings": {"type": "dict", "default": {}},
    "user": {"type": "str", "required": True},
    "password_file": {"type": "path", "required": True, "no_log": False},
    "sentinel_user": {"type": "str", "required": True},
    "sentinel_password_file": {"type": "path", "required": True, "no_log": False},
    "ca": {"type": "path", "required": True},
    "certificate": {"type": "path"},
    "key": {"type": "path", "no_log": False},
    "timeout": {"type": "float", "default": 60},
    "patience": {"type": "float", "default": 20},
}


class NotYet(Exception):
    """In check mode, what an earlier task brings is not there yet."""


def run(bringer: Bringer) -> dict[str, t.Any]:
    bringer.look()
    before = lines(bringer.watches, bringer.stores)
    if bringer.check and bringer.decision.passing:
        raise NotYet(bringer.decision.problem)
    bringer.run()
    master, done = bringer.decision.master, bringer.done
    after = done if bringer.check else lines(bringer.watches, bringer.stores)
    return {
        "changed": bool(done),
        "diff": {"before": "\n".join([*before, ""]), "after": "\n".join([*after, ""])} if done else {},
        "master": master.name if master else "",
        "address": master.node.address if master else "",
        "source": bringer.decision.source,
        "steps": done,
        "missing": bringer.missing(),
    }


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    bringer, failure, result = None, "", {}
    try:
        bringer = Bringer(wish_of(module.params), module.check_mode)
        result = run(bringer)
    except TopologyError as error:
        failure = str(error)
    except FileNotFoundError as error:
        failure = f"there is no {error.filename} on this host"
        result = {"missing": [failure]} if module.check_mode else {}
    except NotYet as error:
        failure, result = str(error), {"missing": [str(error)]}
    except Exception as error:
        # a traceback would print the arguments of calls, among them passwords
        failure = f"{type(error).__name__} while the hosts were asked"
    if failure and not result:
        module.fail_json(msg=f"redis_topology: {failure}", changed=bool(bringer and bringer.done))
    if failure:
        module.warn(f"redis_topology: {failure}; it would be looked at after the tasks before it")
        result = {"changed": True, "master": "", "address": "", "source": "", "steps": []} | result
    for problem in result["missing"] if not (module.check_mode or failure) else []:
        module.warn(f"redis_topology: {problem}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
