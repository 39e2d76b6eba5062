#!/usr/bin/python
# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: sshd_config
short_description: Settings of sshd that cannot lock the operator out
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Writes settings to a file that C(sshd_config) includes, has sshd check the whole, reloads it, and then opens a new
    connection as the same user with the same key. Only if that one gets in and can become root is the file kept.
    Otherwise it is put back over the connection that is still open.
  - If that is gone too, or the run is killed, the host itself puts the file back after O(rollback_after) seconds,
    counted anew from its start if it is rebooted meanwhile.
  - Refused before anything is written is what would surely lock out the user of this connection. That is to turn off
    passwords where it uses one, root where it is root's, or an V(AllowUsers) without its user.
  - It is an action plugin. The new connection is only tried where the connection is by ssh; any other (V(local), a
    container's) does not depend on sshd.
options:
  settings:
    description:
      - Options of sshd_config with their values. A list becomes one line, true and false become V(yes) and V(no), null
        leaves an option out.
    type: dict
    default: {}
  extra:
    description:
      - Text behind the settings, such as C(Match) blocks.
    type: str
    default: ""
  path:
    description:
      - The file. sshd takes the first value it reads, so its name should sort before others.
    type: path
    default: /etc/ssh/sshd_config.d/00-chainops.conf
  rollback_after:
    description:
      - Seconds after which the host puts the file back by itself. Must be longer than a new connection takes.
    type: int
    default: 60
  connect_timeout:
    description:
      - Seconds that the new connection may take.
    type: int
    default: 15
  phase:
    description:
      - For the action plugin, which calls the module once for each phase. Do not set it.
    type: str
    choices: [apply, confirm, restore]
    default: apply
attributes:
  check_mode:
    support: full
    description: sshd checks a copy. Nothing is written, no new connection is tried.
  diff_mode:
    support: full
    description: Shows the file.
  async:
    support: none
    description: It takes a second, or as long as a new connection.
  platform:
    support: full
    platforms: debian
    description: Needs OpenSSH's sshd and systemd.
seealso:
  - module: chainops.infra.templates
"""

EXAMPLES = r"""
- name: Let only operators in, by key
  become: true
  chainops.infra.sshd_config:
    settings:
      PasswordAuthentication: false
      PermitRootLogin: false
      AllowGroups: [sudo]
      MaxAuthTries: 3
"""

RETURN = r"""
path:
  description: The file.
  returned: always
  type: str
tried:
  description: Whether a new connection was tried with the new settings.
  returned: when the file changed
  type: bool
restored:
  description: Whether the file was put back; false if that is left to the host.
  returned: on failure after the file was written
  type: bool
"""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.chainops.infra.plugins.module_utils.host import rollback, sshd

MAIN = Path("/etc/ssh/sshd_config")


class Refused(Exception):
    """The settings cannot be used; the text says why."""


def run(*argv: str) -> str:
    """A command's output, or Refused with what it said."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Refused(f"{argv[0]}: {error}") from error
    if done.returncode != 0:
        raise Refused(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def examine(path: Path, text: str, settings: dict[str, Any]) -> None:
    """Have sshd read a copy of its configuration with the new file in it."""
    directory = str(path.parent)
    main = MAIN.read_text(encoding="utf-8")
    if f"{directory}/*.conf" not in main:
        raise Refused(f"{MAIN} does not include {directory}/*.conf: put 'Include {directory}/*.conf' in its first line")
    with tempfile.TemporaryDirectory(prefix="sshd_config-", dir="/run") as scratch:
        copy = Path(scratch, "sshd_config.d")
        copy.mkdir()
        for file in path.parent.glob("*.conf"):
            shutil.copy(file, copy)
        (copy / path.name).write_text(text, encoding="utf-8")
        candidate = Path(scratch, "sshd_config")
        candidate.write_text(main.replace(directory, str(copy)), encoding="utf-8")
        try:
            report = run("sshd", "-T", "-f", str(candidate))
        except Refused as error:
            raise Refused(str(error).replace(str(copy), directory).replace(str(candidate), str(MAIN))) from error
    wrong = sshd.overridden(settings, report)
    if wrong:
        raise Refused("; ".join(wrong))


def apply(module: AnsibleModule, path: Path) -> dict[str, Any]:
    """Write and reload, with the way back armed before; nothing if the file is as it should be and not on trial."""
    text = sshd.render(module.params["settings"], module.params["extra"])
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    pending = rollback.pending()
    changed = before != text or pending or (path.exists() and path.stat().st_mode & 0o777 != 0o600)
    result = {"changed": changed, "pending": False, "path": str(path)}
    result["diff"] = {"before": before, "after": text, "before_header": str(path), "after_header": str(path)}
    if not module.check_mode and not pending:
        rollback.clear()
    if not changed:
        return result
    examine(path, text, module.params["settings"])
    if not module.check_mode:
        rollback.arm(path, module.params["rollback_after"])
        rollback.replace(path, text)
        rollback.reload()
        result["pending"] = True
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "settings": {"type": "dict", "default": {}},
            "extra": {"type": "str", "default": ""},
            "path": {"type": "path", "default": "/etc/ssh/sshd_config.d/00-chainops.conf"},
            "rollback_after": {"type": "int", "default": 60},
            "connect_timeout": {"type": "int", "default": 15},
            "phase": {"type": "str", "choices": ["apply", "confirm", "restore"], "default": "apply"},
        },
        supports_check_mode=True,
    )
    path = Path(module.params["path"])
    result: dict[str, Any] = {"changed": True, "path": str(path)}
    try:
        if module.params["phase"] == "confirm":
            if not rollback.confirm():
                module.fail_json(msg=f"{path} had been put back already, before it could be confirmed", path=str(path))
        elif module.params["phase"] == "restore":
            rollback.restore()
        else:
            result = apply(module, path)
    except (Refused, rollback.Failed, OSError) as error:
        module.fail_json(msg=f"the settings of sshd were not changed: {error}", path=str(path))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
