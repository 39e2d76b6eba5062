"""An operation run by ansible-playbook on simulated hosts, in a directory that holds collection, inventory and home."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def run(directory: Path, operation: str, *arguments: str, variables: dict[str, Any] | None = None) -> tuple[int, str]:
    """Exit status and output. ``ansible.cfg`` of the directory is taken where there is one."""
    config = directory / "ansible.cfg"
    environment = os.environ | {
        "ANSIBLE_COLLECTIONS_PATH": str(directory),
        "ANSIBLE_HOME": str(directory / "home"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOCALHOST_WARNING": "0",
        **({"ANSIBLE_CONFIG": str(config)} if config.exists() else {}),
    }
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", directory / "inventory.json"]
    given = ["-e", json.dumps(variables)] if variables else []
    done = subprocess.run(
        [*command, f"chainops.infra.operations.{operation}", *given, *arguments],
        cwd=directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout
