# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.pgbackrest.escrow import commitment


def passphrase_commitment(text: Any, label: str) -> dict[str, Any]:
    """A commitment to the passphrase in a file's text. An error does not show it."""
    try:
        return commitment(str(text), str(label))
    except ValueError as error:
        raise AnsibleFilterError(f"the passphrase of the repository {error}") from None


class FilterModule:
    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        return {"passphrase_commitment": passphrase_commitment}
