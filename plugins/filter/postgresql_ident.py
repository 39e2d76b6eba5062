# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.chainops.infra.plugins.module_utils.patroni import access


def postgresql_ident(members: Any, replication_user: str, rewind_user: str, mapped_users: Any = ()) -> list[str]:
    """Lines of pg_ident.conf: which certificates are members or mapped users, and which local user may replicate."""
    try:
        return access.ident(members, replication_user, rewind_user, mapped_users)
    except (ValueError, KeyError, TypeError) as error:
        raise AnsibleFilterError(f"postgresql_ident: {error}") from error


class FilterModule:
    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"postgresql_ident": postgresql_ident}
