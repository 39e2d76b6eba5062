# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Print lines as they are; documented in plugins/modules/print_lines.py."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Speaks on the control node only."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={"lines": {"type": "list", "elements": "str", "required": True}}
        )
        # what a remote host said must not move the cursor or colour the terminal
        lines = ["".join(c if c.isprintable() else "?" for c in line) for line in arguments["lines"]]
        self._display.display("\n".join(["", *lines, ""]))
        result.update(changed=False, lines=lines)
        return result
