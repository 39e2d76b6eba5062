"""What the production example needs beside its inventory: the secrets, made as its README says."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.support.preflight import ROOT

EXAMPLE = ROOT / "inventories" / "example"


def make_secrets(directory: Path) -> Path:
    """Run the README's own commands in this directory; where the secrets are then."""
    (commands,) = re.findall(r"```sh\n(.*?)```", (EXAMPLE / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    subprocess.run(["/bin/sh", "-eu", "-c", commands], cwd=directory, check=True)
    return directory / "example-files" / "secrets"
