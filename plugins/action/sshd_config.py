# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keep new settings of sshd only if a new connection gets in; documented in plugins/modules/sshd_config.py."""

from __future__ import annotations

import time
import typing as t

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import connection_loader
from ansible_collections.chainops.infra.plugins.module_utils.host.sshd import lockouts

MODULE = "chainops.infra.sshd_config"
BY_SSH = ("ssh", "paramiko", "paramiko_ssh")
PAUSE = 1.0
"""Seconds before the second try of a new connection."""
# Before all others: a new connection that goes through the master of the old one would prove nothing.
UNSHARED = "-o ControlMaster=no -o ControlPath=none"


class ActionModule(ActionBase):
    """apply → a new connection → confirm over it, or restore over the old one, or the host's own timer."""

    _supports_check_mode = True
    _supports_diff = True
    _connection: t.Any

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        variables = task_vars or {}
        if "phase" in self._task.args:
            raise AnsibleActionFail("phase is for the plugin's own use; leave it out")
        arguments = dict(self._task.args)
        by_ssh = self._connection.transport in BY_SSH or self._connection.ansible_name.split(".")[-1] in BY_SSH
        if by_ssh:
            reasons = lockouts(arguments.get("settings") or {}, self._user(), self._by_password(variables))
            if reasons:
                reason = "; ".join(reasons)
                return {**result, "failed": True, "msg": f"refused, as it would lock you out: {reason}"}

        applied = self._phase("apply", arguments, variables)
        on_trial = applied.pop("pending", False)
        result.update(applied)
        if result.get("failed") or not on_trial:
            return result
        trial, problem = self._try(arguments, variables) if by_ssh else (self._connection, "")
        result["tried"] = by_ssh
        if not problem:
            problem = self._confirm(trial, arguments, variables)
        if problem:
            result.update(failed=True, **self._back(problem, arguments, variables))
        return result

    def _phase(self, phase: str, arguments: dict[str, t.Any], variables: dict[str, t.Any]) -> dict[str, t.Any]:
        return self._execute_module(module_name=MODULE, module_args={**arguments, "phase": phase}, task_vars=variables)

    def _user(self) -> str:
        """Who the connection belongs to; "" where ssh's own configuration decides."""
        return self._get_remote_user() or ""

    def _by_password(self, variables: dict[str, t.Any]) -> bool:
        """Whether Ansible was given a password for the connection."""
        given = [variables.get(name) for name in ("ansible_password", "ansible_ssh_pass", "ansible_ssh_password")]
        return any(given) or bool(self._option("password"))

    def _option(self, name: str) -> t.Any:
        return self._connection.get_option(name) if name in self._connection.option_definitions else None

    def _second(self, timeout: int) -> t.Any:
        """A connection like the present one that shares nothing with it."""
        options = {name: self._connection.get_option(name) for name in self._connection.option_definitions}
        if "ssh_args" in options:
            options["ssh_args"] = f"{UNSHARED} {options['ssh_args'] or ''}".strip()
        for name, value in (("timeout", timeout), ("reconnection_retries", 0)):
            if name in options:
                options[name] = value
        connection = connection_loader.get(self._connection.ansible_name, self._play_context)
        connection.set_options(direct=options)
        connection._shell = self._connection._shell
        if self._connection.become:
            connection.set_become_plugin(self._connection.become)
        return connection

    def _try(self, arguments: dict[str, t.Any], variables: dict[str, t.Any]) -> tuple[t.Any, str]:
        """A new connection that ran a command, or why there is none."""
        connection = self._second(int(arguments.get("connect_timeout") or 15))
        for last in (False, True):
            try:
                status, _out, err = connection.exec_command("true", sudoable=False)
                break
            except AnsibleError as error:
                if last:
                    return None, f"a new connection was refused: {error}"
                # A reload closes sshd's port for a moment, so one refusal says nothing.
                time.sleep(PAUSE)
        if status != 0:
            said = err.decode("utf-8", "replace").strip()
            return None, f"a new connection got in, but could not run a command: {said}"
        return connection, ""

    def _confirm(self, trial: t.Any, arguments: dict[str, t.Any], variables: dict[str, t.Any]) -> str:
        """Confirm over the new connection, which also shows that it can become root; "" or what is wrong."""
        old, self._connection = self._connection, trial
        try:
            confirmed = self._phase("confirm", arguments, variables)
        except AnsibleError as error:
            return f"the new connection got in, but could not confirm: {error}"
        finally:
            self._connection = old
            if trial is not old:
                trial.close()
        return str(confirmed.get("msg") or "it failed without a word") if confirmed.get("failed") else ""

    def _back(self, problem: str, arguments: dict[str, t.Any], variables: dict[str, t.Any]) -> dict[str, t.Any]:
        """Put the file back over the old connection."""
        after = arguments.get("rollback_after") or 60
        try:
            restored = self._phase("restore", arguments, variables)
            reason = restored.get("msg") if restored.get("failed") else ""
        except AnsibleError as error:
            reason = str(error)
        words = f"the new settings of sshd do not work: {problem}"
        if reason:
            text = f"{words}; the old connection cannot put the ones before back ({reason}): the host does in {after} s"
            return {"restored": False, "changed": True, "msg": text}
        return {"restored": True, "changed": False, "msg": f"{words}; the ones before are back in force"}
