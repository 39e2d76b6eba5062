# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: hardware_verdict
short_description: Judge a host's hardware and place against a profile
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Reads the host's hardware with M(chainops.infra.hardware_info) in one round trip, and judges it against O(profile)
    on the control node. Where the host stands is judged too, from the inventory alone.
  - A table says for every requirement what was wanted, what was found and how it was read. What could not be read is
    an answer of its own.
options:
  profile:
    description:
      - What is required. Keys are V(cores) (physical ones), V(memory_gb), V(memory_ecc) (boolean), V(nvme_gb),
        V(nvme_healthy) (boolean, needs nvme-cli on the host), V(storage_gb), V(redundant_links_gbps) (two links of
        this speed), V(bandwidth_gbps) (all links together), V(power_supplies) and V(hardware_raid) (boolean). A key
        that is null, false or missing is not looked at.
      - Memory is counted in GiB, of which 5 % may be missing where only the kernel's figure can be read. Drives are
        counted in GB of 1,000,000,000 bytes without tolerance.
    type: dict
    required: true
  name:
    description:
      - What to call the profile in the table.
    type: str
    default: profile
  mode:
    description:
      - V(enforce) fails on a requirement that is not met, V(warn) warns, V(off) reads nothing.
    type: str
    choices: [enforce, warn, "off"]
    default: enforce
  unreadable:
    description:
      - Whether V(enforce) fails on what could not be read (V(fail)) or lets it pass (V(accept)).
    type: str
    choices: [fail, accept]
    default: fail
  placement:
    description:
      - As O(mode), for region, rack and uplinks of a standby and the data centre of a primary. It applies to hosts of
        the group C(ethereum_serving).
    type: str
    choices: [enforce, warn, "off"]
    default: enforce
  primary_tier:
    description:
      - Lowest tier of a primary's data centre.
    type: int
    default: 3
  show:
    description:
      - V(always) shows the whole table, V(problems) only the lines that are not met.
    type: str
    choices: [always, problems]
    default: always
  report_dir:
    description:
      - Directory on the control node for a JSON file of each host. None is written without it, nor in check mode.
    type: path
  hardware:
    description:
      - RV(chainops.infra.hardware_info#module:hardware) of an earlier task, to judge that instead of reading anew.
    type: dict
attributes:
  check_mode:
    support: full
    description: It changes nothing on the host.
  diff_mode:
    support: none
    description: It changes nothing on the host.
  platform:
    support: full
    platforms: linux
    description: The host must be Linux.
seealso:
  - module: chainops.infra.hardware_info
"""

EXAMPLES = r"""
- name: Refuse a host that is too small for a database
  become: true
  chainops.infra.hardware_verdict:
    name: database
    profile: {cores: 16, memory_gb: 64, memory_ecc: true, nvme_gb: 1000}

- name: See what a host has, and go on
  become: true
  chainops.infra.hardware_verdict:
    profile: {cores: 32, redundant_links_gbps: 10}
    mode: warn
    report_dir: reports
"""

RETURN = r"""
lines:
  description: One entry for each requirement.
  returned: unless both modes are off
  type: list
  elements: dict
  contains:
    item:
      description: What was looked at.
      type: str
    wanted:
      description: What the profile asks for.
      type: str
    found:
      description: What the host has, or C(could not be read) with the reason.
      type: str
    read_from:
      description: File, command, system call or inventory variable.
      type: str
    state:
      description: V(ok), V(short) or V(unread).
      type: str
  sample:
    - item: memory
      wanted: 64 GB
      found: 128 GiB installed
      read_from: /sys/firmware/dmi/tables/DMI (SMBIOS type 17)
      state: ok
hardware:
  description: What was read, as RV(chainops.infra.hardware_info#module:hardware).
  returned: success, unless O(mode=off)
  type: dict
report:
  description: Path of the JSON file on the control node.
  returned: if one was written
  type: str
"""
