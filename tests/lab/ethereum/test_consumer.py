"""The collection as its users get it: built, checked, installed, and run by name with the lab's inventory alone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.lab.site import RECAP, ROOT


@pytest.mark.full
def test_the_installed_collection_changes_nothing_on_the_site_that_the_checkout_made() -> None:
    done = subprocess.run(
        [ROOT / "tools" / "consumer", "chainops.infra.site"],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=1200,
        # the lab's releases are there, and the consumer's HOME is empty
        env={"CHAINOPS_CACHE": str(Path.home() / ".cache" / "chainops")} | os.environ,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    recap = {match["host"]: match["changed"] for match in RECAP.finditer(done.stdout)}
    assert len(recap) == 8, done.stdout[-3000:]
    assert set(recap.values()) == {"0"}, recap
