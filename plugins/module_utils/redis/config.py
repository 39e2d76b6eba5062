# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The configuration of the programs beside a server, as the role writes it (JSON)."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .resp import Access, Node, read_password, tls_context
from .topology import Host


@dataclass(frozen=True)
class Config:
    name: str
    watched: str
    node: Node
    sentinels: list[Host]
    secrets: str
    ca: str
    certificate: str
    key: str
    listen: str = "0.0.0.0"
    port: int = 6380
    interval: float = 0.25
    timeout: float = 0.5
    max_age: float = 1.5
    max_lag: float = 10.0
    pending: str = "/run/redis/restart_pending"

    def access(self, user: str) -> Access:
        """Its password is a credential of the unit where there is one, else a file of the secrets' directory."""
        directory = os.environ.get("CREDENTIALS_DIRECTORY")
        given = Path(directory, user) if directory else Path(self.secrets, user)
        context = tls_context(self.ca, self.certificate, self.key)
        return Access(user, read_password(str(given if given.exists() else Path(self.secrets, user))), context)


def load(path: str) -> Config:
    """ValueError says what is wrong."""
    data: dict[str, Any] = json.loads(Path(path).read_text())
    try:
        data["node"] = Node(**data["node"])
        data["sentinels"] = [Host(each["name"], Node(each["address"], each["port"])) for each in data["sentinels"]]
        config = Config(**data)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None
    if not config.sentinels:
        raise ValueError(f"{path}: no Sentinels, without which nobody is primary")
    if not 0 < config.timeout <= config.max_age:
        raise ValueError(f"{path}: timeout = {config.timeout} must be above 0 and at most max_age = {config.max_age}")
    return config
