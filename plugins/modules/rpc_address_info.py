#!/usr/bin/python
# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: rpc_address_info
short_description: Which nodes answer at a load-balanced JSON-RPC address
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Asks an address for the chain's head several times in a row, each over a connection of its own, and tells which
    nodes have answered, by the header C(x-node) that the role C(haproxy) adds.
  - With O(not_from) it waits until all answers in a row come from other nodes, and fails if they do not.
options:
  url:
    description: The address, such as V(http://10.87.1.100:8545).
    type: str
    required: true
  not_from:
    description:
      - Names of nodes that must not answer.
      - Where balancers do not tell who answered (C(haproxy_identify) of the role C(haproxy) is V(false)), an answer is
        taken to be from another node.
    type: list
    elements: str
    default: []
  answers:
    description: How many answers in a row are needed.
    type: int
    default: 5
  timeout:
    description: Seconds until then.
    type: float
    default: 30
attributes:
  check_mode:
    description: It never changes anything. It waits in check mode too.
    support: full
  diff_mode:
    description: It never changes anything.
    support: none
"""

EXAMPLES = r"""
- name: See that eth-a is not asked any more
  chainops.infra.rpc_address_info:
    url: http://10.87.1.100:8545
    not_from: [eth-a]
"""

RETURN = r"""
nodes:
  description: Names of the nodes that gave the answers; empty where balancers do not tell.
  returned: success
  type: list
  elements: str
  sample: [eth-b]
balancers:
  description: Names of the balancers, from the header C(x-balancer).
  returned: success
  type: list
  elements: str
head:
  description: The highest block number answered.
  returned: success
  type: int
"""

import json
import time
import urllib.error
import urllib.request
from typing import Any, NamedTuple

from ansible.module_utils.basic import AnsibleModule

QUESTION = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}).encode()
INTERVAL = 0.2


class Bad(Exception):
    """Not the answer that is waited for."""


class Answer(NamedTuple):
    node: str
    balancer: str
    head: int


def ask(url: str, timeout: float) -> Answer:
    """One answer over a connection of its own."""
    request = urllib.request.Request(url, QUESTION, {"Content-Type": "application/json", "Connection": "close"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout) as answer:
            text = answer.read(1 << 16)
            head = int(json.loads(text)["result"], 16)
            return Answer(answer.headers.get("x-node") or "", answer.headers.get("x-balancer") or "", head)
    except urllib.error.HTTPError as error:
        raise Bad(f"HTTP status {error.code}") from None
    except (OSError, urllib.error.URLError) as error:
        raise Bad(f"no answer: {getattr(error, 'reason', error)}") from None
    except (ValueError, KeyError, TypeError):
        raise Bad(f"no block number in the answer {text[:80]!r}") from None


def look(params: dict[str, Any]) -> tuple[list[Answer], str]:
    """The answers in a row; and what was wrong with the last, where there are not enough."""
    until = time.monotonic() + params["timeout"]
    row: list[Answer] = []
    problem = "no answer"
    while True:
        try:
            answer = ask(params["url"], 2.0)
            if answer.node in params["not_from"]:
                raise Bad(f"it is still answered by {answer.node}")
            row.append(answer)
            if len(row) >= params["answers"]:
                return row, ""
        except Bad as error:
            row, problem = [], str(error)
        if time.monotonic() >= until:
            return row, problem if not row else f"only {len(row)} answers in a row; before them: {problem}"
        if not row:
            time.sleep(INTERVAL)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "not_from": {"type": "list", "elements": "str", "default": []},
            "answers": {"type": "int", "default": 5},
            "timeout": {"type": "float", "default": 30},
        },
        supports_check_mode=True,
    )
    given = module.params
    if not given["url"].startswith(("http://", "https://")):
        module.fail_json(msg=f"url is {given['url']!r}, it must begin with http:// or https://")
    if given["answers"] < 1:
        module.fail_json(msg=f"answers is {given['answers']}, it must be at least 1")
    row, problem = look(given)
    if problem:
        module.fail_json(msg=f"{given['url']}: {problem} (waited {given['timeout']:g} s)")
    module.exit_json(
        changed=False,
        nodes=sorted({answer.node for answer in row} - {""}),
        balancers=sorted({answer.balancer for answer in row} - {""}),
        head=max(answer.head for answer in row),
    )


if __name__ == "__main__":
    main()
