# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.pgbackrest.escrow import passphrase_of


def repository_passphrase(text: Any) -> str:
    """The passphrase in a file's text. An error does not show it."""
    try:
        return passphrase_of(str(text))
    except ValueError as error:
        raise AnsibleFilterError(f"the passphrase of the repository {error}") from None


class FilterModule:
    def filters(self) -> dict[str, Callable[..., str]]:
        return {"repository_passphrase": repository_passphrase}
