#!/usr/bin/python
# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: node_peers
short_description: Static and trusted peers of a chain client that runs
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Adds peers to an execution or consensus client, or removes them, without restarting it. With an empty O(peers) it
    only lists.
  - The change lasts until the client ends. What is to last longer belongs in its configuration, which the roles
    C(geth), C(prysm) and C(lighthouse) write.
  - geth and Lighthouse list only peers that they know of. For geth, this module keeps a record of what it has added in
    O(record_dir), valid as long as geth runs. A static peer from geth's configuration that is not connected is
    therefore added once more, which changes nothing but the result.
options:
  client:
    description:
      - The client. V(geth) is spoken to over its IPC socket, as its namespace C(admin) is not offered elsewhere; the
        others over their Beacon API.
    type: str
    choices: [geth, prysm, lighthouse]
    required: true
  peers:
    description:
      - Peers in the form that the client takes. For V(geth) enode URLs, for V(prysm) multiaddresses such as
        C(/ip4/10.87.1.11/tcp/13000/p2p/16Uiu2HA…), for V(lighthouse) node records (C(enr:…)).
    type: list
    elements: str
    default: []
  kind:
    description:
      - V(static) peers are dialled again and again, V(trusted) peers are taken even where there is no room left.
      - Prysm and Lighthouse know only V(trusted) ones while they run, and dial them too.
    type: str
    choices: [static, trusted]
    default: static
  state:
    description:
      - Whether the peers are on the client's list. V(absent) disconnects a static peer of geth; a trusted one keeps its
        connection.
    type: str
    choices: [present, absent]
    default: present
  ipc_path:
    description:
      - IPC socket of geth.
    type: path
    default: /var/lib/geth/geth.ipc
  url:
    description:
      - Beacon API of a consensus client. Without it, port 3500 (V(prysm)) or 5052 (V(lighthouse)) of the host itself.
    type: str
  record_dir:
    description:
      - Directory for what has been added to geth.
    type: path
    default: /run/chainops/node_peers
  timeout:
    description:
      - Seconds that each request may take.
    type: float
    default: 10
attributes:
  check_mode:
    support: full
    description: Reads the client's peers and says what would change.
  diff_mode:
    support: full
    description: Shows the listed peers before and after.
  platform:
    support: full
    platforms: posix
    description: Hosts on which the client runs. geth's socket needs root or geth's group.
seealso:
  - plugin: chainops.infra.enode_id
    plugin_type: filter
  - plugin: chainops.infra.libp2p_peer_id
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Connect two execution clients for good
  become: true
  chainops.infra.node_peers:
    client: geth
    peers: ["{{ other_node_key | chainops.infra.enode_id(host='10.87.2.11') }}"]

- name: Always have room for our own consensus clients
  chainops.infra.node_peers:
    client: prysm
    kind: trusted
    peers: ["{{ other_node_key | chainops.infra.libp2p_peer_id(host='10.87.2.11') }}"]

- name: Let go of a peer
  become: true
  chainops.infra.node_peers:
    client: geth
    peers: ["enode://{{ bad_id }}@203.0.113.5:30303"]
    state: absent

- name: List peers
  become: true
  chainops.infra.node_peers:
    client: geth
  register: found
"""

RETURN = r"""
peers:
  description: Peers that are connected or listed, after the change.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: Public key of geth's peer (128 hexadecimal digits), or libp2p peer id.
      type: str
    url:
      description: Address as the client tells it, or as it was given.
      type: str
    connected:
      description: Whether there is a connection.
      type: bool
    listed:
      description: Whether it is known to be on the list of O(kind).
      type: bool
  sample:
    - id: 16Uiu2HAmE1zdG92om3Y49m3ZeT5T3jAZCZ1w7JGWi93NWGRbjmW1
      url: /ip4/10.87.2.11/tcp/13000/p2p/16Uiu2HAmE1zdG92om3Y49m3ZeT5T3jAZCZ1w7JGWi93NWGRbjmW1
      connected: true
      listed: true
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.chainops.infra.plugins.module_utils.chain import peers as chain_peers
from ansible_collections.chainops.infra.plugins.module_utils.chain.jsonrpc import RpcError
from ansible_collections.chainops.infra.plugins.module_utils.chain.transport import EndpointError

PORTS = {"prysm": 3500, "lighthouse": 5052}


def client_of(params: dict[str, Any]) -> chain_peers.Client:
    name, kind, timeout = params["client"], params["kind"], params["timeout"]
    if timeout <= 0:
        raise ValueError(f"timeout is {timeout!r}, it must be more than 0 seconds")
    if name == "geth":
        return chain_peers.Geth(params["ipc_path"], kind, params["record_dir"], timeout)
    if params["peers"] and kind == chain_peers.STATIC:
        raise chain_peers.Unable(
            f"{name} takes static peers only at its start (option {name}_peers of its role); "
            "while it runs it knows trusted peers, which it dials too: kind: trusted"
        )
    url = params["url"] or f"http://127.0.0.1:{PORTS[name]}"
    return chain_peers.Prysm(url, timeout) if name == "prysm" else chain_peers.Lighthouse(url, timeout)


def listed(peers: dict[str, chain_peers.Peer]) -> str:
    return "".join(sorted(f"{peer.url}\n" for peer in peers.values() if peer.listed))


def apply(params: dict[str, Any], check: bool) -> dict[str, Any]:
    client = client_of(params)
    present = params["state"] == "present"
    wanted = list({peer.key: peer for peer in map(client.parse, params["peers"])}.values())
    before = client.peers()
    todo, after = chain_peers.planned(client, wanted, present, before)
    if not check:
        for peer in todo:
            if present:
                client.add(peer)
            else:
                client.remove(peer)
        if not present and not client.lists_all:
            # the client may have a peer on its list that it does not tell of
            for peer in wanted:
                if peer.key not in before:
                    client.remove(peer)
        after = client.peers() if todo and client.lists_all else after
    return {
        "changed": bool(todo),
        "peers": [
            {"id": peer.key, "url": peer.url, "connected": peer.connected, "listed": peer.listed}
            for peer in sorted(after.values(), key=lambda peer: peer.key)
        ],
        "diff": {"before": listed(before), "after": listed(after)},
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "client": {"type": "str", "choices": ["geth", "prysm", "lighthouse"], "required": True},
            "peers": {"type": "list", "elements": "str", "default": []},
            "kind": {"type": "str", "choices": ["static", "trusted"], "default": "static"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "ipc_path": {"type": "path", "default": "/var/lib/geth/geth.ipc"},
            "url": {"type": "str"},
            "record_dir": {"type": "path", "default": "/run/chainops/node_peers"},
            "timeout": {"type": "float", "default": 10},
        },
        supports_check_mode=True,
    )
    try:
        result = apply(module.params, module.check_mode)
    except (ValueError, OSError, chain_peers.Unable, EndpointError, RpcError) as error:
        module.fail_json(msg=str(error))
    except (KeyError, TypeError, AttributeError) as error:
        module.fail_json(msg=f"{module.params['client']} answered in a form that is not known here: {error!r}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
