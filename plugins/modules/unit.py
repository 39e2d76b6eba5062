#!/usr/bin/python
# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: unit
short_description: Bring a systemd unit to the state its files describe
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Starts a unit, and restarts or reloads it if its processes were not started from what is on disk now. So a restart
    is never lost, whatever happened between the change of a file and this task, and none is made twice.
  - What counts is the unit's file, its drop-ins, the files of C(EnvironmentFile=) and C(LoadCredential=), the files of
    O(restart_on) and O(reload_on), the version O(release) points to, and the program itself.
  - After each start a record of the files' SHA-256 digests is kept in C(/var/lib/chainops/units), together with the
    invocation id that systemd gave the unit. If systemd or a person has started the unit since, a file that changed
    after that start leads to a restart (or reload).
  - Then it waits until the unit is active and answers at O(ready). A process that ends meanwhile is a failure at once.
    The message shows the last log lines of this start.
  - systemd reads its units anew (C(daemon-reload)) if this one is stale, and before each start, so that no task has to
    do that. A start that is wanted is not refused because of starts before it, as the start limit is reset.
options:
  name:
    description:
      - Unit. Without a suffix, C(.service) is meant.
    type: str
    required: true
  state:
    description:
      - V(started) or V(stopped). A oneshot that ran well after its files changed last counts as started. If nothing
        that is enabled refers to it, it needs C(RemainAfterExit=), as systemd forgets it otherwise.
    type: str
    choices: [started, stopped]
    default: started
  enabled:
    description:
      - Whether it is started at boot. Without it, that is left alone.
    type: bool
  restart_on:
    description:
      - Files, patterns or directories that are read at a start only.
    type: list
    elements: str
    default: []
  reload_on:
    description:
      - Files, patterns or directories that a reload reads anew. A unit that cannot reload is restarted.
      - A file that is named in O(restart_on) too only leads to a reload. What the unit itself reads at a start (its own
        files, C(EnvironmentFile=), C(LoadCredential=)) always leads to a restart.
      - A reload that somebody else made after the file changed counts, as far as systemd still knows of it.
    type: list
    elements: str
    default: []
  release:
    description:
      - Symbolic link to the directory of the installed version, as M(chainops.infra.release) makes it. The program that
        runs must be from there.
    type: str
  restart:
    description:
      - With V(report) a process that runs is left alone where it would be restarted, and RV(pending) says why a restart
        is due. For services of which not any member may be restarted at any time. An operation does that then.
      - What is stopped is started, and what can be reloaded is.
    type: str
    choices: [allowed, report]
    default: allowed
  ready:
    description:
      - Where the unit answers when it is ready. Without it, a unit of a type that does not say so itself is watched for
        a second.
    type: dict
    suboptions:
      tcp:
        description:
          - Address and port that takes a connection, such as V(127.0.0.1:8545).
        type: str
      http:
        description:
          - URL (C(http://)) that answers with one of O(ready.status).
        type: str
      status:
        description:
          - Good HTTP statuses.
        type: list
        elements: int
        default: [200]
  timeout:
    description:
      - Seconds until the unit is active and ready, and for a reload. The time a restart needs to stop what runs is not
        part of it; that is bounded by the unit's own C(TimeoutStopSec=).
    type: float
    default: 60
  log_lines:
    description:
      - How many log lines a failure shows.
    type: int
    default: 20
  guard:
    description: Command that must end with status 0 before a unit that runs is restarted or stopped, or it stays up.
    type: list
    elements: str
  planned:
    description:
      - In check mode, files that an earlier task would change (its RV(chainops.infra.templates#module:changed_files)),
        so that the restart or reload that would follow is reported. Ignored otherwise.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    description: A unit that does not exist yet is a planned start.
  diff_mode:
    support: full
    description: Shows state, enablement and the reasons of a restart or reload.
  platform:
    support: full
    platforms: posix
    description: Hosts that are booted with systemd.
extends_documentation_fragment: []
seealso:
  - module: chainops.infra.templates
  - module: chainops.infra.release
"""

EXAMPLES = r"""
- name: Run geth
  chainops.infra.unit:
    name: geth.service
    enabled: true
    restart_on: [/etc/geth/config.toml]
    release: /opt/chainops/geth/current
    ready: {tcp: "127.0.0.1:8545"}
    timeout: 120

- name: Run HAProxy, which reads its configuration anew without dropping connections
  chainops.infra.unit:
    name: haproxy.service
    enabled: true
    reload_on: [/etc/haproxy/haproxy.cfg, "/etc/haproxy/maps/*.map"]
    ready: {http: "http://127.0.0.1:8404/metrics"}
    planned: "{{ haproxy_files.changed_files }}"

- name: Stop the validator
  chainops.infra.unit:
    name: validator
    state: stopped
    enabled: false
"""

RETURN = r"""
name:
  description: The unit's name with its suffix.
  returned: success
  type: str
action:
  description:
    - What was done, or would be in check mode. One of V(none), V(started), V(restarted), V(reloaded) and V(stopped).
  returned: success
  type: str
pending:
  description: With O(restart=report), why a restart is due; also shown as a warning.
  returned: success
  type: list
  elements: str
reasons:
  description: Why.
  returned: success
  type: list
  elements: str
  sample: [/etc/geth/config.toml changed]
enabled:
  description: Whether it is started at boot.
  returned: success
  type: bool
active_state:
  description: State at the end.
  returned: success
  type: str
sub_state:
  description: State at the end, in the words of the unit's type.
  returned: success
  type: str
main_pid:
  description: Process id of the main process, 0 if there is none.
  returned: success
  type: int
invocation_id:
  description: Id that systemd gave to this start.
  returned: success
  type: str
waited:
  description: Seconds that passed until it was active and ready.
  returned: success
  type: float
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.systemd.manager import ENABLED, Manager, Wish
from ..module_utils.systemd.ready import Endpoint
from ..module_utils.systemd.systemctl import SystemdError, full_name

ARGUMENTS: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "default": "started", "choices": ["started", "stopped"]},
    "enabled": {"type": "bool"},
    "restart_on": {"type": "list", "elements": "str", "default": []},
    "reload_on": {"type": "list", "elements": "str", "default": []},
    "release": {"type": "str"},
    "restart": {"type": "str", "default": "allowed", "choices": ["allowed", "report"]},
    "ready": {
        "type": "dict",
        "options": {
            "tcp": {"type": "str"},
            "http": {"type": "str"},
            "status": {"type": "list", "elements": "int", "default": [200]},
        },
        "required_one_of": [["tcp", "http"]],
        "mutually_exclusive": [["tcp", "http"]],
    },
    "timeout": {"type": "float", "default": 60},
    "log_lines": {"type": "int", "default": 20},
    "guard": {"type": "list", "elements": "str"},
    "planned": {"type": "list", "elements": "str", "default": []},
}


def wish_of(options: dict[str, t.Any]) -> Wish:
    """The options as the manager takes them; ValueError says which does not fit."""
    for name in ("restart_on", "reload_on", "release"):
        for path in [options[name]] if isinstance(options[name], str) else options[name] or []:
            if not Path(path).is_absolute():
                raise ValueError(f"{name} = {path}: must be an absolute path")
    if options["timeout"] <= 0:
        raise ValueError(f"timeout = {options['timeout']:g}: must be a number of seconds above 0")
    ready = options["ready"]
    endpoint = Endpoint.parse(ready["tcp"], ready["http"], ready["status"]) if ready else None
    return Wish(**{**options, "name": full_name(options["name"]), "ready": endpoint})


def result_of(manager: Manager) -> dict[str, t.Any]:
    unit = manager.unit
    return {
        "changed": manager.changed,
        "name": manager.name,
        "action": manager.action,
        "reasons": manager.reasons,
        "pending": manager.pending,
        "enabled": unit.get("UnitFileState") in ENABLED,
        "active_state": unit.state,
        "sub_state": unit.get("SubState"),
        "main_pid": unit.number("MainPID"),
        "invocation_id": unit.invocation,
        "waited": manager.waited,
    }


def diff_of(manager: Manager) -> dict[str, str]:
    before = manager.before
    enabled, state = before.get("UnitFileState") or "unknown", before.state or "unknown"
    after = {"none": state, "stopped": "inactive"}.get(manager.action, "active")
    lines = [f"enabled: {manager.enablement or enabled}", f"state: {after}"]
    lines += [f"{manager.action}: {reason}" for reason in manager.reasons]
    return {
        "before_header": manager.name,
        "after_header": manager.name,
        "before": f"enabled: {enabled}\nstate: {state}\n",
        "after": "\n".join(lines) + "\n",
    }


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    changed = False
    try:
        manager = Manager(wish_of(module.params), module.check_mode)
        try:
            manager.run()
        finally:
            changed = manager.changed
        result = result_of(manager)
        if manager.pending:
            module.warn(f"{manager.name} waits for a restart: {'; '.join(manager.pending)}")
        if module._diff and changed:
            result["diff"] = diff_of(manager)
    except (SystemdError, ValueError) as error:
        module.fail_json(msg=str(error), changed=changed)
    except OSError as error:
        module.fail_json(msg=f"{error.filename or module.params['name']}: {error.strerror}", changed=changed)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
