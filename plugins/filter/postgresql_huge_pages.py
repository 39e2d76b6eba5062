# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.chainops.infra.plugins.plugin_utils.postgresql.memory import huge_pages


def postgresql_huge_pages(settings: Any) -> int:
    """vm.nr_hugepages for a PostgreSQL with these settings, which is alone in using them."""
    if not isinstance(settings, dict):
        raise AnsibleFilterError(f"postgresql_huge_pages wants settings by name, not {settings!r}")
    try:
        return huge_pages(settings)
    except ValueError as error:
        raise AnsibleFilterError(f"postgresql_huge_pages: {error}") from error


class FilterModule:
    def filters(self) -> dict[str, Callable[..., int]]:
        return {"postgresql_huge_pages": postgresql_huge_pages}
