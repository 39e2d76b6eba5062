# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hosts and their authority in directories of a test, with the real program openssl."""

from __future__ import annotations

import grp
import os
import subprocess
from pathlib import Path
from typing import Any

from ansible_collections.chainops.infra.plugins.modules import certificate_sign, host_certificate

from tests.unit.plugins.modules.in_process import run_module

GROUP = grp.getgrgid(os.getgid()).gr_name
NAMES = ["db-a.example.org", "10.10.1.31", "localhost"]


def openssl(*arguments: str) -> str:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    # a certificate that ends too soon is an answer too
    assert done.returncode == 0 or "-checkend" in arguments, done.stderr
    return done.stdout


class Place:
    """Directories of one authority and of some hosts."""

    def __init__(self, root: Path) -> None:
        self.root, self.authority = root, root / "ca"

    def tls(self, host: str = "db-a") -> Path:
        return self.root / host / "tls"

    def metrics(self, host: str = "db-a") -> Path:
        return self.root / host / "node_exporter" / "host_certificate.prom"

    def ask(self, host: str = "db-a", check: bool = False, **options: Any) -> dict[str, Any]:
        given = {"path": str(self.tls(host)), "common_name": host, "names": NAMES, "group": GROUP}
        return run_module(host_certificate, check, **(given | {"metrics": str(self.metrics(host))} | options))

    def sign(self, *requests: dict[str, Any], check: bool = False, **options: Any) -> dict[str, Any]:
        return run_module(certificate_sign, check, path=str(self.authority), requests=list(requests), **options)

    def request(self, host: str = "db-a", names: list[str] | None = None, **options: Any) -> dict[str, Any]:
        csr = self.ask(host, **options)["csr"]
        return {"name": host, "csr": csr, "names": NAMES if names is None else names}

    def enrol(self, host: str = "db-a", days: int = 397, **options: Any) -> dict[str, Any]:
        """What the role does."""
        signed = self.sign(self.request(host, **options), days=days)
        return self.ask(host, certificate=signed["certificates"][host], ca=signed["ca"])
