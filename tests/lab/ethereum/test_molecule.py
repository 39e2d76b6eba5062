"""The layer's Molecule scenario on the lab: verify in the short form, converge and idempotence too in full."""

from __future__ import annotations

import os
import re
import subprocess

from tests.lab.site import BIN, ROOT


def test_scenario(full_length: bool) -> None:
    command = "test" if full_length else "verify"
    done = subprocess.run(
        [BIN / "molecule", command, "-s", "ethereum"],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=900,
        env=os.environ | {"NO_COLOR": "1"},
    )
    assert done.returncode == 0, done.stdout[-6000:]
    # its verifier reports success when it finds no test at all
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed and int(passed[1]) >= 20, done.stdout[-3000:]
