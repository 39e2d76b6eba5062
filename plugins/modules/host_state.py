#!/usr/bin/python
# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: host_state
short_description: Kernel parameters in force and a clock that is right, read back from the host
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Looks at what no configuration file shows, in one round trip. Kernel parameters that differ from what is wanted are
    written and read back. The clock's offset is read from chronyd, for which it waits a bounded time.
  - What the kernel does not let a host change (most of C(vm.*) and C(kernel.*) in a container) is reported with the
    value that is in force and the reason.
options:
  sysctl:
    description:
      - Kernel parameters by name, as in C(/etc/sysctl.d). A dot in an interface's name is written as a slash.
    type: dict
    default: {}
  sysctl_unavailable:
    description:
      - Whether a parameter that could not be brought to its value is an error (V(fail)) or a warning (V(report)).
    type: str
    choices: [fail, report]
    default: fail
  max_offset:
    description:
      - How far the clock may be off its source, in seconds. V(0) does not look at the clock.
    type: float
    default: 0
  timeout:
    description:
      - How long to wait for the clock, in seconds. In check mode it is read once.
    type: float
    default: 60
attributes:
  check_mode:
    support: full
    description: Nothing is written. A clock that is off, or a chronyd that is not there yet, is a warning.
  diff_mode:
    support: full
    description: Shows each parameter that changes.
  platform:
    support: full
    platforms: linux
    description: The clock needs chronyd.
"""

EXAMPLES = r"""
- name: Bring kernel parameters to their values and wait for the clock
  become: true
  chainops.infra.host_state:
    sysctl:
      net.core.somaxconn: 4096
      vm.swappiness: 1
    max_offset: 0.1

- name: Refuse to go on with a clock that is more than 50 ms off
  become: true
  chainops.infra.host_state:
    max_offset: 0.05
    timeout: 5
"""

RETURN = r"""
sysctl:
  description: One entry for each parameter.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The parameter.
      type: str
    wanted:
      description: The value asked for.
      type: str
    before:
      description: The value there was, null if it could not be read.
      type: str
    found:
      description: The value read back.
      type: str
    read_from:
      description: The file it was read from.
      type: str
    state:
      description: V(ok), V(changed) or V(unavailable).
      type: str
    reason:
      description: Why it is unavailable.
      type: str
clock:
  description: The clock as chronyd sees it, null if it could not be asked.
  returned: if O(max_offset) is not 0
  type: dict
  contains:
    synchronised:
      description: Whether chronyd follows a source.
      type: bool
    source:
      description: Address of the source, or the name of a local reference.
      type: str
    stratum:
      description: Distance from a reference clock.
      type: int
    offset_seconds:
      description: How far the clock is off.
      type: float
    error_seconds:
      description: How far that figure may be off (half the root delay and the root dispersion).
      type: float
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.chainops.infra.plugins.module_utils.host import clock, sysctl


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "sysctl": {"type": "dict", "default": {}},
            "sysctl_unavailable": {"type": "str", "choices": ["fail", "report"], "default": "fail"},
            "max_offset": {"type": "float", "default": 0},
            "timeout": {"type": "float", "default": 60},
        },
        supports_check_mode=True,
    )
    problems: list[str] = []
    parameters = sysctl.bring(module.params["sysctl"], module.check_mode)
    changed = [each for each in parameters if each.state == sysctl.CHANGED]
    result: dict[str, Any] = {
        "changed": bool(changed),
        "sysctl": [each.as_dict() for each in parameters],
        "diff": {
            "before": "".join(f"{each.name} = {each.before}\n" for each in changed),
            "after": "".join(f"{each.name} = {each.wanted}\n" for each in changed),
        },
    }
    unavailable = [each for each in parameters if each.state == sysctl.UNAVAILABLE]
    if module.params["sysctl_unavailable"] == "fail":
        problems += [sysctl.describe(each) for each in unavailable]
    elif unavailable:
        names = ", ".join(f"{each.name} (is {each.found or 'not there'})" for each in unavailable)
        module.warn(f"{len(unavailable)} of {len(parameters)} kernel parameters could not be applied: {names}")

    limit = module.params["max_offset"]
    if limit:
        found, problem = clock.wait(limit, 0 if module.check_mode else module.params["timeout"])
        result["clock"] = found.as_dict() if found else None
        if problem and module.check_mode:
            module.warn(f"the clock is not good yet: {problem}")
        elif problem:
            problems.append(f"clock: {problem} (waited {module.params['timeout']:g} s; sources: {clock.sources()})")
    if problems:
        # What is as it should be would bury the message.
        result["sysctl"] = [each.as_dict() for each in unavailable]
        module.fail_json(msg="; ".join(problems), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
