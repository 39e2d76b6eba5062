#!/usr/bin/python
# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: patroni_restart
short_description: Restart the PostgreSQL of this member through Patroni, if it needs that
version_added: 0.2.0
author: The chainops.infra authors (@chainops)
description:
  - Restarts PostgreSQL if a changed parameter waits for it (Patroni marks that), or if the installed program is not the
    one that runs (another version, or another build of it, as a security update may be), and waits until the member
    does again what it did.
  - A leader is not restarted unless O(leader) allows it. Have another member lead first
    (M(chainops.infra.patroni_switchover)).
options:
  name:
    description: Name of this member.
    type: str
    required: true
  program:
    description:
      - The program C(postgres) on the host. If it is not what runs in C(patroni.service), that is a reason for a
        restart. Without it, only parameters are.
    type: path
  always:
    description: Restart without a reason.
    type: bool
    default: false
  leader:
    description: Whether a leader may be restarted, which stops all writes meanwhile.
    type: bool
    default: false
  timeout:
    description: Seconds until the member runs, or streams, again.
    type: int
    default: 300
extends_documentation_fragment: [chainops.infra.patroni]
attributes:
  check_mode:
    description: Says whether there would be a restart.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
"""

EXAMPLES = r"""
- name: Have this standby take up what has changed
  chainops.infra.patroni_restart:
    address: 10.87.1.21
    name: db-a
"""

RETURN = r"""
reasons:
  description: Why it was restarted, or would be in check mode; empty if it was not.
  returned: success
  type: list
  elements: str
  sample: ["max_connections: 100 to 200"]
pending_restart:
  description:
    - Whether something waits all the same. A standby keeps what it may not have less of than its leader (such as
      C(max_connections)), so what was lowered arrives when a leader is restarted.
  returned: success
  type: bool
leads:
  description: Whether this member leads.
  returned: success
  type: bool
"""

import re
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.patroni.arguments import REST_ARGUMENTS, rest_of
from ..module_utils.patroni.members import WELL, leader_of, member_of
from ..module_utils.patroni.rest import RestError, eventually

PROC = Path("/proc")
UNIT = "patroni.service"


def replaced(program: str) -> bool:
    """Whether a process of the unit runs a file that is no longer there: dpkg puts a new one in its place."""
    for process in PROC.glob("[0-9]*"):
        try:
            runs = (process / "exe").readlink()
            units = (process / "cgroup").read_text(encoding="utf-8")
        except OSError:
            # it has ended meanwhile, or is the kernel's
            continue
        if str(runs) == f"{program} (deleted)" and f"/{UNIT}" in units:
            return True
    return False


def installed(module: AnsibleModule, program: str) -> int:
    """The version of a program as the server counts: 17.6 is 170006."""
    _status, text, _errors = module.run_command([program, "--version"], check_rc=True)
    found = re.search(r"\(PostgreSQL\) (\d+)\.(\d+)", text)
    if not found:
        raise RestError(f"{program} --version says {text[:80].strip()!r}, which is no version")
    return int(found[1]) * 10000 + int(found[2])


def readable(version: t.Any) -> str:
    return f"{version // 10000}.{version % 10000}" if isinstance(version, int) else "unknown"


def reasons(status: dict[str, t.Any], program_version: int | None, other_build: bool, always: bool) -> list[str]:
    found = []
    if status.get("pending_restart"):
        waiting = status.get("pending_restart_reason") or {}
        found += [
            f"{name}: {each.get('old_value')} to {each.get('new_value')}" for name, each in sorted(waiting.items())
        ]
        found = found or ["a parameter has changed"]
    running = status.get("server_version")
    if program_version is not None and running != program_version:
        found.append(f"{readable(running)} runs, {readable(program_version)} is installed")
    elif other_build:
        found.append(f"another build of {readable(running)} is installed than the one that runs")
    return found or (["asked for"] if always else [])


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **REST_ARGUMENTS,
            "name": {"type": "str", "required": True},
            "program": {"type": "path"},
            "always": {"type": "bool", "default": False},
            "leader": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    options = module.params
    name, timeout = options["name"], options["timeout"]
    changed = still = False
    try:
        rest = rest_of(options)
        leads = leader_of(rest.cluster()).get("name") == name
        before = rest.member()
        version = installed(module, options["program"]) if options["program"] else None
        other_build = bool(options["program"]) and replaced(options["program"])
        why = reasons(before, version, other_build, options["always"])
        if why and leads and not options["leader"]:
            module.fail_json(
                msg=f"{name} leads, and is not restarted ({'; '.join(why)}): have another member lead first"
            )
        if why and not module.check_mode:
            changed = True
            rest.change("POST", "/restart", {}, timeout=timeout)
            started = before.get("postmaster_start_time")

            def back() -> bool:
                after = rest.member()
                return member_of(rest.cluster(), name).get("state") in WELL and after.get(
                    "postmaster_start_time"
                ) not in (None, started)

            good, trouble = eventually(back, timeout)
            if not good:
                state = member_of(rest.cluster(), name).get("state", "gone")
                raise RestError(trouble or f"{name} is {state} {timeout} s after its restart; journalctl -u patroni")
            still = bool(rest.member().get("pending_restart"))
    except RestError as error:
        module.fail_json(msg=str(error), changed=changed)
    module.exit_json(changed=bool(why), reasons=why, leads=leads, pending_restart=still)


if __name__ == "__main__":
    main()
