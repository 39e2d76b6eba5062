#!/usr/bin/python
# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: hardware_info
short_description: What a host is made of, with the source of every value
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Reads processors, memory, drives, RAID controllers, network ports, bonds and power supplies from sysfs, procfs and
    the firmware's own table (SMBIOS), from C(ethtool)'s interface of the kernel, from the drives' own log where
    C(nvme) of nvme-cli is installed, and from the management controller's sensors where there is one and C(ipmitool)
    is installed. Nothing else is needed.
  - Every value is a reading with C(value), C(read_from) and C(error). What could not be read has no value and says
    why, which is not the same as a value of nothing.
  - Serial numbers and hardware addresses are left out.
options:
  root:
    description:
      - Directory below which C(/sys), C(/proc) and C(/run) are read. With any other than V(/) no command and no
        system call is made.
    type: path
    default: /
attributes:
  check_mode:
    support: full
    description: It never changes anything.
  diff_mode:
    support: none
    description: It never changes anything.
  platform:
    support: full
    platforms: linux
    description: SMBIOS, IPMI and the drives' log can only be read by root.
seealso:
  - module: chainops.infra.hardware_verdict
    description: Judges what was read against a profile.
"""

EXAMPLES = r"""
- name: Read what the host is made of
  become: true
  chainops.infra.hardware_info:
  register: found

- name: Show how much memory is installed, or why that could not be read
  ansible.builtin.debug:
    msg: "{{ found.hardware.memory.installed_bytes.error or found.hardware.memory.installed_bytes.value }}"
"""

RETURN = r"""
hardware:
  description:
    - The parts of the host. Every leaf is a reading, a dictionary of C(value) (null where it could not be read),
      C(read_from) (the file, command or system call) and C(error) (null, or C(could not be read) with the reason).
  returned: always
  type: dict
  contains:
    system:
      description:
        - C(manufacturer), C(product), C(firmware), C(kernel), C(container) (its manager, or empty), C(virtual).
      type: dict
    cpu:
      description: C(model), C(flags), C(sockets), C(cores) (physical ones in use), C(threads).
      type: dict
      sample:
        cores: {value: 32, read_from: "/sys/devices/system/cpu/cpu*/topology/thread_siblings_list", error: null}
    memory:
      description:
        - C(installed_bytes) (the firmware's word), C(usable_bytes) (the kernel's MemTotal), C(modules), C(ecc),
          C(errors) (corrected and uncorrected ones since the start).
      type: dict
    storage:
      description:
        - C(drives), a reading of a list of C(name), C(model), C(size_bytes), C(rotational), C(transport) (V(nvme),
          V(sata), V(sas), V(scsi), V(virtio) and so on); of an NVMe drive also C(state) and C(health).
      type: dict
    raid:
      description:
        - C(controllers) (with C(hardware) telling real ones from those that leave the work to the host) and C(arrays)
          of md.
      type: dict
    network:
      description:
        - C(ports) (physical Ethernet ports with C(card), C(driver), C(link), C(speed_mbps), C(fastest_mbps), C(bond))
          and C(bonds) (C(mode), C(members)).
      type: dict
    power:
      description: C(supplies), a reading of a list of C(name), C(present), C(works), C(faults).
      type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.chainops.infra.plugins.module_utils.hardware.collect import collect


def main() -> None:
    module = AnsibleModule(argument_spec={"root": {"type": "path", "default": "/"}}, supports_check_mode=True)
    module.exit_json(changed=False, hardware=collect(module.params["root"]))


if __name__ == "__main__":
    main()
