"""The collection's modules on a lab host, run by its own Python without the second that ansible-playbook takes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from functools import cached_property
from pathlib import Path
from typing import Any

import ansible
from ansible_collections.chainops.infra.plugins.module_utils.lab.machine import Machine
from ansible_collections.chainops.infra.plugins.module_utils.lab.site import Site as Lab

from tests.lab.site import ROOT

PLACE = "/run/chainops-test"
CALL = """\
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
from ansible.module_utils.testing import patch_module_args
module = importlib.import_module(f"ansible_collections.chainops.infra.plugins.modules.{sys.argv[2]}")
with patch_module_args(json.load(sys.stdin)):
    module.main()
"""


class OnHost:
    """One host of the lab, with the collection's modules on it."""

    def __init__(self, host: str) -> None:
        self.host = host

    @cached_property
    def _machine(self) -> Machine:
        # in this process: tools/lab run takes two tenths of a second to start
        return Lab.load(os.environ.get("LAB_PREFIX") or "lab").machine(self.host)

    def sh(self, script: str, check: bool = True, data: bytes = b"", timeout: float = 60) -> str:
        """Run a shell script as root; its output."""
        done = subprocess.run(
            self._machine.enter(["sh", "-c", script]),
            input=data,
            check=False,
            capture_output=True,
            timeout=timeout,
        )
        text = done.stdout.decode()
        assert not check or done.returncode == 0, (
            f"{script}: exit status {done.returncode}: {text}{done.stderr.decode()}"
        )
        return text

    def write(self, path: str, text: str) -> None:
        self.sh(f"mkdir -p $(dirname {path}) && cat > {path}", data=text.encode())

    @cached_property
    def place(self) -> str:
        """Where the modules are on the host."""
        archive = io.BytesIO()
        core, plugins = Path(ansible.__file__).parent, ROOT / "plugins"
        with tarfile.open(fileobj=archive, mode="w:gz") as tar:
            for base, name, sources in (
                (core, "ansible", (core / "module_utils",)),
                (ROOT, "ansible_collections/chainops/infra", (plugins / "modules", plugins / "module_utils")),
            ):
                for source in sources:
                    for file in sorted(source.rglob("*.py")):
                        tar.add(file, f"{name}/{file.relative_to(base)}")
            # the core's own __init__ wants more of the core than a module gets on a host
            for name, text in (("ansible/__init__.py", ""), ("call.py", CALL)):
                entry = tarfile.TarInfo(name)
                entry.size = len(text)
                tar.addfile(entry, io.BytesIO(text.encode()))
        self.sh(f"rm -rf {PLACE} && mkdir -p {PLACE} && tar -xz -C {PLACE}", data=archive.getvalue())
        return PLACE

    def call(self, module: str, check: bool = False, diff: bool = False, **arguments: Any) -> dict[str, Any]:
        """Run a module; its result."""
        arguments |= {"_ansible_check_mode": check, "_ansible_diff": diff}
        output = self.sh(
            f"python3 {self.place}/call.py {self.place} {module}",
            check=False,
            data=json.dumps(arguments).encode(),
            timeout=600,
        )
        try:
            return json.loads(output.splitlines()[-1])
        except (IndexError, ValueError):
            print(output, file=sys.stderr)
            raise
