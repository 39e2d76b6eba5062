# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Install Debian packages, quickly where they are there; documented in plugins/modules/packages.py."""

from __future__ import annotations

import shlex
import typing as t

from ansible.plugins.action import ActionBase

# A day: what is missing then is rather looked up anew than not found.
LISTS_VALID_SECONDS = 86400


class ActionModule(ActionBase):
    """Asks dpkg by a bare command; apt, which takes a second to read its lists, runs only if something is missing."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={
                "name": {"type": "list", "elements": "str", "required": True},
                "policy_rc_d": {"type": "int"},
                "release": {"type": "dict", "default": {}},
            }
        )
        missing = self._missing(arguments["name"])
        if missing:
            apt = {
                "name": missing,
                "install_recommends": False,
                "update_cache": True,
                "cache_valid_time": LISTS_VALID_SECONDS,
                "policy_rc_d": arguments["policy_rc_d"],
            }
            result.update(self._execute_module("ansible.builtin.apt", apt, task_vars=task_vars))
        else:
            result["changed"] = False
        result["missing"] = missing
        if arguments["release"] and not result.get("failed"):
            self._add_release(result, arguments["release"], task_vars)
        return result

    def _add_release(
        self, result: dict[str, t.Any], wanted: dict[str, t.Any], task_vars: dict[str, t.Any] | None
    ) -> None:
        """In the same task: where a program is a package or a release, a role needs no task more for the choice."""
        done = self._execute_module("chainops.infra.release", wanted, task_vars=task_vars)
        result["release"] = done
        result["changed"] = bool(result["changed"] or done.get("changed"))
        result |= {key: done[key] for key in ("failed", "msg") if key in done}
        if "diff" in done:
            before = result.get("diff") or []
            result["diff"] = [*(before if isinstance(before, list) else [before]), done["diff"]]

    def _missing(self, names: list[str]) -> list[str]:
        """The packages that dpkg does not know as installed."""
        words = ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\\n", "--", *names]
        answer = self._low_level_execute_command(shlex.join(words))
        installed = {line.split()[1] for line in answer["stdout"].splitlines() if line.startswith("installed ")}
        return [name for name in names if name not in installed]
