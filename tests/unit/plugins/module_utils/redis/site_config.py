"""Configuration and files of one host of a fake site, as the roles write them."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

from ansible_collections.chainops.infra.plugins.module_utils.redis import config as configuration
from ansible_collections.chainops.infra.plugins.module_utils.redis.config import Config

from tests.unit.plugins.module_utils.redis import certificates
from tests.unit.plugins.module_utils.redis.fake_redis import PASSWORD, Fake, Site


def entry(each: Fake) -> dict[str, Any]:
    return {"name": each.name, "address": each.node.address, "port": each.node.port}


class OnDisk:
    """A fake site behind TLS, and the files of its hosts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tls = certificates.make(path / "tls")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.tls.certificate, self.tls.key)
        self.site = Site(context)
        (path / "secrets").mkdir()
        for user in ("sentinel", "agent", "admin"):
            (path / "secrets" / user).write_text(f"{PASSWORD}\n")

    def agent(self, index: int = 0, **other: Any) -> Config:
        server = self.site.servers[index]
        data = {
            "name": server.name,
            "watched": "main",
            "node": {"address": server.node.address, "port": server.node.port},
            "sentinels": [entry(each) for each in self.site.sentinels],
            "secrets": str(self.path / "secrets"),
            "ca": self.tls.ca,
            "certificate": self.tls.certificate,
            "key": self.tls.key,
            "listen": "127.0.0.1",
            "interval": 0.05,
            "timeout": 0.3,
            "max_age": 0.6,
            "pending": str(self.path / "pending"),
        }
        file = self.path / "agent.json"
        file.write_text(json.dumps(data | other))
        return configuration.load(str(file))

    def topology(self, **other: Any) -> dict[str, Any]:
        secret = str(self.path / "secrets" / "sentinel")
        return {
            "watched": "main",
            "servers": [entry(each) for each in self.site.servers],
            "sentinels": [entry(each) for each in self.site.sentinels],
            "founding": "db-a",
            "quorum": 2,
            "settings": {"down-after-milliseconds": "3000"},
            "user": "sentinel",
            "password_file": secret,
            "sentinel_user": "sentinel",
            "sentinel_password_file": secret,
            "ca": self.tls.ca,
            "certificate": self.tls.certificate,
            "key": self.tls.key,
        } | other
