# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Check all variables of the site before any host is changed
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Checks the variables of hosts against the roles that will run on them, and reports every mistake in one list.
    It opens no connection to any host.
  - With O(layers), every host and every role of the named layers of this collection is checked. A play that does this
    belongs first in a site's playbook, with C(hosts=all), C(gather_facts=false), C(run_once=true) and C(tags=always).
  - With O(roles), only the current host is checked. The roles of this collection begin with that.
  - Checked are the argument spec (type, choices, required), ranges, patterns and ports, checks between options of a
    role, ports that two services of a host both use, options that must agree or differ between hosts, and variables
    that have a role's prefix but are no option of any role (with the nearest option).
  - Values are worked out in each host's context with group and host variables, the variables of the layer's plays, the
    roles' defaults, extra variables, and facts where they have been gathered. What needs facts that have not been
    gathered is named in RV(notes) and looked at by the next check, or by the role itself.
  - Types are stricter than in M(ansible.builtin.validate_argument_spec) where a conversion would hide a mistake, as
    roles read variables as they are written. A boolean, a list or a dictionary has to be one.
  - A layer that was found good is not looked at again in the same run unless a variable of a host has changed. Where it
    was checked with O(before_facts), all but what waited for facts counts as found good.
options:
  layers:
    description:
      - Layers to check, by the names of the files in C(playbooks/layers/) of this collection.
    type: list
    elements: str
  roles:
    description:
      - Roles to check on the current host, with the variables that the task sees.
        Checks between hosts are not made.
    type: list
    elements: str
  before_facts:
    description:
      - Whether facts of the hosts are read after this check, with O(layers). What depends on them waits then, also
        where facts of an earlier run are known, and is looked at by a second check once they have been read.
      - A first check of this kind lists wrong variables although no host can be reached.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: It never changes anything.
  diff_mode:
    support: none
    description: It never changes anything.
  platform:
    support: full
    platforms: all
    description: It runs on the control node.
notes:
  - What an argument spec cannot say stands in C(meta/preflight.yml) of a role, with these keys.
  - >-
    C(ranges), as in C({geth_cache_mb: [128, null]}), is inclusive; V(null) leaves one end open.
  - >-
    C(patterns), as in C({geth_version: {regex: '[0-9.]+', means: a version}}), must match the whole value.
  - >-
    C(ports), as in C({geth_p2p_port: tcp+udp, geth_ws_port: {protocol: tcp, when: geth_ws_enabled}}), are at most
    65535, 0 is off, and no two of one host may be equal.
  - >-
    C(release), as in C(geth_releases), is for a role that installs one with M(chainops.infra.release). C(geth_version)
    must name an entry of it, with a C(url) (C(https://), or relative to C(geth_release_base_url)), a SHA-256 as
    C(checksum) (or in C(geth_release_checksum)) and, where it has a C(signature_url), a whole C(fingerprint).
  - >-
    A name may be a path into a dictionary (C(policy.max_age_slots), or C(nodes.*.port) for every key). Lists are
    checked item by item.
  - >-
    C(checks) is a list of C({that, message, when}) for every host. They see its variables, the role's defaults, and
    facts. One that reads an option which is wrong by itself is left out.
  - >-
    C(site) is a list of C({that, message, when}) for the role on all its hosts, which are C(preflight_hosts), a list of
    dictionaries with C(name), C(group_names), the role's options and C(site_*) variables. Or it is a list of
    C({agree, among, message}) and C({unique, among, message}), which compare options between hosts.
  - C(known) lists names with the role's prefix that are no options of it.
seealso:
  - module: ansible.builtin.validate_argument_spec
"""

EXAMPLES = r"""
# In a play with hosts: all, gather_facts: false and tags: always, before any other play
- name: Check every variable of the site before any host is asked anything
  chainops.infra.preflight:
    layers: [baseline, ethereum]
    before_facts: true
  run_once: true

- name: Read what the checks need to know of each host
  ansible.builtin.setup:
    gather_subset: ["!all", "!min", distribution, hardware, network]

- name: Check what waited for facts
  chainops.infra.preflight:
    layers: [baseline, ethereum]
  run_once: true

# In a role
- name: Check what the role is given on this host
  chainops.infra.preflight:
    roles: [geth]
"""

RETURN = r"""
msg:
  description: One line if all is well, else every mistake with the hosts that share it.
  returned: always
  type: str
  sample: "3 roles on 2 hosts: 84 options good"
mistakes:
  description: Every mistake, once for all hosts that share it.
  returned: always
  type: list
  elements: dict
  contains:
    hosts:
      description: Hosts the mistake is on; empty if it is one of the site as a whole.
      type: list
      elements: str
    role:
      description: Role that reads the variable.
      type: str
    variable:
      description: Variable, or path in it. Empty if the text names several.
      type: str
    text:
      description: The value given and what is allowed.
      type: str
    where:
      description: Files and lines where the values were set, as far as known.
      type: list
      elements: str
notes:
  description: What could not be looked at, since it needs facts that are not gathered yet.
  returned: always
  type: list
  elements: str
"""
