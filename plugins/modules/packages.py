#!/usr/bin/python
# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: packages
short_description: Install Debian packages, quickly where they are there
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Asks dpkg which of the packages are installed, and has M(ansible.builtin.apt) install those that are not. Where
    nothing is missing this takes a tenth of the time that apt needs to read its lists.
  - Recommended packages are not installed. Package lists that are older than a day are fetched anew first.
  - It installs only; versions and removals are for M(ansible.builtin.apt).
options:
  name:
    description: The packages' names.
    type: list
    elements: str
    required: true
  policy_rc_d:
    description:
      - Exit code of C(policy-rc.d) during the installation; V(101) keeps packages from starting their services.
      - Left out, services are started as the packages like.
    type: int
  release:
    description:
      - Options of M(chainops.infra.release), which puts an upstream release on the host after the packages; nothing
        where it is empty.
    type: dict
    default: {}
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: What apt says that it would do.
    support: full
notes:
  - An action, which runs on the control node.
seealso:
  - module: ansible.builtin.apt
  - module: chainops.infra.release
"""

EXAMPLES = r"""
- name: Install nginx without starting it
  chainops.infra.packages:
    name: [nginx, openssl]
    policy_rc_d: 101
"""

RETURN = r"""
missing:
  description: The packages that were not installed before.
  returned: success
  type: list
  elements: str
release:
  description: What M(chainops.infra.release) returned.
  returned: where O(release) names one
  type: dict
"""
