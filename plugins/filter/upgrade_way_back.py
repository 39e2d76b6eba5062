# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.chainops.infra.plugins.module_utils import upgrade


def upgrade_way_back(
    steps: list[Mapping[str, str]],
    now: Mapping[str, Mapping[str, str]],
    releases: Mapping[str, Mapping[str, Any]],
    data_dirs: Mapping[str, str],
) -> dict[str, Any]:
    """What has to go back, and what cannot."""
    try:
        return upgrade.way_back(steps, now, releases, data_dirs)
    except (KeyError, TypeError, AttributeError) as error:
        raise AnsibleFilterError(f"upgrade_way_back: {error!r}") from error


class FilterModule:
    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        return {"upgrade_way_back": upgrade_way_back}
