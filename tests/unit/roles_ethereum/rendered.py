"""The variables of a role on one host, worked out as a run does, without a run."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROOT = Path(__file__).resolve().parents[3]
HOSTS = {"eth-a": "10.87.1.11", "eth-b": "10.87.2.11", "eth-c": "10.87.3.11"}
DEVNET = "/etc/ethereum/devnet"


@cache
def _files(role: str) -> dict[str, Any]:
    loader = DataLoader()
    read: dict[str, Any] = {}
    for name in ("defaults", "vars"):
        path = ROOT / "roles" / role / name / "main.yml"
        read |= loader.load_from_file(str(path), trusted_as_template=True) or {}
    return read


class Role:
    """A role with some variables set, as on host eth-a."""

    def __init__(self, role: str, **variables: Any) -> None:
        self.name = role
        given = {
            "ansible_facts": {"memtotal_mb": 65536},
            "ansible_managed": "Ansible managed",
            "groups": {"ethereum": list(HOSTS), "prysm": list(HOSTS), "devnet": ["eth-c"]},
            "hostvars": {host: {"ansible_host": address} for host, address in HOSTS.items()},
            "inventory_hostname": "eth-a",
            "role_path": str(ROOT / "roles" / role),
        }
        self._templar = Templar(loader=DataLoader(), variables={**given, **_files(role), **variables})

    def value(self, name: str) -> Any:
        return self._templar.template(self._templar.available_variables[name])

    def template(self, name: str) -> str:
        """A template of the role, rendered."""
        source = (ROOT / "roles" / self.name / "templates" / name).read_text(encoding="utf-8")
        return str(self._templar.template(trust_as_template(source)))
