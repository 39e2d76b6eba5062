# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

from ansible.errors import AnsibleFilterError

LEAST = 24


def htpasswd_line(user: str, password: str) -> str:
    """A line of an htpasswd file. The messages hold no part of the password."""
    if not user or ":" in user or "\n" in user:
        raise AnsibleFilterError(f"htpasswd_line: {user!r} is no user name")
    if len(password) < LEAST or "\n" in password:
        raise AnsibleFilterError(
            f"htpasswd_line: the password of {user} must be one line of {LEAST} characters or more"
        )
    # The format has no salt, so the password must be one that nobody can guess; the same password gives the same line.
    digest = hashlib.sha1(password.encode(), usedforsecurity=False).digest()
    return f"{user}:{{SHA}}{base64.b64encode(digest).decode()}"


class FilterModule:
    def filters(self) -> dict[str, Callable[..., str]]:
        return {"htpasswd_line": htpasswd_line}
