# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Run a module's main() in this process, with its real argument specification."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

from ansible.module_utils import basic


class _Ended(Exception):
    def __init__(self, result: dict[str, Any]) -> None:
        super().__init__()
        self.result = result


def run_module(module: ModuleType, check: bool = False, **options: Any) -> dict[str, Any]:
    """What it returned; ``failed`` is set where it failed, ``warnings`` where it gave some."""
    warnings: list[str] = []

    class Module(basic.AnsibleModule):
        def exit_json(self, **result: Any) -> None:
            raise _Ended(result)

        def fail_json(self, msg: str, **result: Any) -> None:
            raise _Ended(result | {"msg": msg, "failed": True})

        def warn(self, warning: str) -> None:
            warnings.append(warning)

    arguments = {"ANSIBLE_MODULE_ARGS": options | {"_ansible_check_mode": check}}
    before = basic._ANSIBLE_ARGS, basic._ANSIBLE_PROFILE, module.AnsibleModule
    basic._ANSIBLE_ARGS, basic._ANSIBLE_PROFILE = json.dumps(arguments).encode(), "legacy"
    module.AnsibleModule = Module
    try:
        module.main()
    except _Ended as ended:
        return ended.result | ({"warnings": warnings} if warnings else {})
    finally:
        basic._ANSIBLE_ARGS, basic._ANSIBLE_PROFILE, module.AnsibleModule = before
    raise AssertionError("the module ended without a result")
