# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.chainops.infra.plugins.module_utils import upgrade


def upgrade_plan(
    current: Mapping[str, str], wanted: Mapping[str, str], drain: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The clients of a pair whose version changes."""
    if not isinstance(current, Mapping) or not isinstance(wanted, Mapping):
        raise AnsibleFilterError("upgrade_plan wants two dictionaries of versions by client")
    return upgrade.plan(current, wanted, drain or None)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        return {"upgrade_plan": upgrade_plan}
