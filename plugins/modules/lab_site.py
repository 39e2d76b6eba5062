#!/usr/bin/python
# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_site
short_description: A whole site of Debian hosts on one machine
version_added: 0.1.0
description:
  - Brings up the hosts of an inventory as Debian 13 machines on the machine where the task runs, for staging, tests
    and demonstrations. Each host is a C(systemd-nspawn) machine with its own systemd, sshd and nftables on an overlay
    of one base image; each region is a bridge, routed to the others, with NAT to the outside.
  - All hosts boot at once. A second run changes nothing, and a run that was killed is repaired by the next one.
  - It is an action plugin too, which reads from the inventory what each host is to be. The variables of a host are
    C(ansible_host) (its address), C(site_region), C(lab_capabilities) (list; V(containers) lets a container engine run
    in it), C(lab_memory_mb) (integer, a limit), C(lab_disks) (list of C(path) and C(size), each an ext4 file system of
    its own) and C(lab_for_layers) (list of the layers that need it; without it every layer does).
  - Hosts are reached as in production, by SSH as the user C(ops), who may use sudo. The key and C(known_hosts) are in
    C(/var/lib/chainops-lab/PREFIX).
options:
  state:
    description:
      - V(present) boots hosts that are off or absent, V(absent) removes hosts with their disks.
      - V(absent) without O(limit) removes the whole lab, also what a killed run has left of it.
    type: str
    choices: [present, absent]
    default: present
  prefix:
    description:
      - Begins the name of everything that the lab makes on the machine. Lower case letters and digits, a letter first,
        at most 8 of them, and short enough for C(PREFIX-REGION) to be the name of a network interface (15 characters).
    type: str
    default: lab
  network:
    description:
      - The private IPv4 /16 of the lab. Each region has a /24 of it, with the machine at .1.
    type: str
    default: 10.87.0.0/16
  limit:
    description:
      - Hosts and groups of the inventory to work on. All hosts when empty.
    type: list
    elements: str
    default: []
  layers:
    description:
      - Work only on hosts that one of these layers needs, and on those that say nothing about layers. All hosts when
        empty.
    type: list
    elements: str
    default: []
  cache:
    description:
      - Directory of built things, where the base image and downloaded packages are kept. Without it C(CHAINOPS_CACHE),
        else C(~/.cache/chainops).
    type: path
  mirror:
    description:
      - Debian mirror of the base image and the hosts (a URL or a line of sources.list). Debian's own, with its security
        updates, when empty.
    type: str
    default: ""
  secrets:
    description:
      - Names of passwords to make, random and one to a file, in the directory C(secrets) of the lab's state directory.
        Only whoever runs the lab can read it. A file that is there stays as it is.
    type: list
    elements: str
    default: []
  hosts:
    description:
      - The hosts, by name. Filled by the action plugin from the inventory.
    type: dict
attributes:
  check_mode:
    description: Says what would be made or removed without touching anything.
    support: full
  diff_mode:
    description: Shows hosts and network before and after.
    support: full
  platform:
    description: The machine that carries the lab.
    platforms: Debian 12, Debian 13
    support: full
notes:
  - Needs root, and the Debian packages systemd-container, mmdebstrap, nftables, iproute2, openssh-client and e2fsprogs.
  - While it works it writes a line for each step to C(progress.log) in the lab's state directory.
author: The chainops.infra authors (@chainops)
"""

EXAMPLES = r"""
- name: The whole inventory on this machine
  chainops.infra.lab_site:
    state: present

- name: A second lab beside the first, with two hosts of it
  chainops.infra.lab_site:
    prefix: lb2
    network: 10.88.0.0/16
    limit: [eth-a, lb-a1]

- name: Remove everything
  chainops.infra.lab_site:
    state: absent
"""

RETURN = r"""
state_dir:
  description: Where the lab keeps its key, known_hosts and disks.
  type: str
  returned: success
  sample: /var/lib/chainops-lab/lab
hosts:
  description: The chosen hosts and their addresses.
  type: dict
  returned: success
  sample: {eth-a: 10.87.1.11}
seconds:
  description: How long it took.
  type: float
  returned: success
"""

import json
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.chainops.infra.plugins.module_utils.lab.shell import LabError
from ansible_collections.chainops.infra.plugins.module_utils.lab.site import Site
from ansible_collections.chainops.infra.plugins.module_utils.lab.spec import Spec


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "prefix": {"type": "str", "default": "lab"},
            "network": {"type": "str", "default": "10.87.0.0/16"},
            "limit": {"type": "list", "elements": "str", "default": []},
            "layers": {"type": "list", "elements": "str", "default": []},
            "cache": {"type": "path"},
            "mirror": {"type": "str", "default": ""},
            "secrets": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "hosts": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    began = time.monotonic()
    given = module.params
    try:
        spec = Spec.from_dict(
            {key: given[key] for key in ("prefix", "network", "secrets")} | {"hosts": given["hosts"] or {}}
        )
        site = Site(spec, given["cache"] or "", given["mirror"])
        chosen = given["limit"] or list(spec.hosts)
        if given["state"] == "present":
            result = site.up(chosen, check=module.check_mode)
        else:
            result = site.down(given["limit"] or None, check=module.check_mode)
    except LabError as error:
        module.fail_json(msg=str(error))
    for warning in site.warnings:
        module.warn(warning)
    before, after = (json.dumps(result[when], indent=2, sort_keys=True) + "\n" for when in ("before", "after"))
    module.exit_json(
        changed=result["changed"],
        diff={"before": before, "after": after},
        state_dir=str(spec.state_dir),
        hosts={name: spec.hosts[name].address for name in chosen if name in spec.hosts},
        seconds=round(time.monotonic() - began, 1),
    )


if __name__ == "__main__":
    main()
