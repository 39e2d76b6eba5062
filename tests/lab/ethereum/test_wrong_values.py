"""Wrong variable values are refused before any host is touched, in words that help.

The cases stand in wrong_values.yml. All are evaluated in this process with the lab's inventory: nothing here could
reach a host, and the lab need not be up. One real run shows that the action opens no connection either.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.preflight import ROOT, CheckedInventory, Outcome, lab_inventory, message, noise

TABLE = Path(__file__).with_name("wrong_values.yml")
CASES = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
LAYERS = ("baseline", "ethereum")
LAB = ROOT / "inventories" / "lab" / "ethereum.yml"


@pytest.fixture(scope="module")
def inventory() -> Iterator[CheckedInventory]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LAB_PREFIX", "LAB_NETWORK", "LAB_HOSTS", "LAYERS"):
            patch.delenv(name, raising=False)
        yield lab_inventory("ethereum")


@pytest.fixture(scope="module")
def trusted() -> dict[str, dict[str, Any]]:
    """The cases with values that may be templates, as an inventory's may."""
    return {case["name"]: case for case in CheckedInventory(LAB).yaml(TABLE)}


@pytest.fixture(scope="module")
def control(inventory: CheckedInventory) -> Outcome:
    """What is found without any change."""
    return inventory.check(*LAYERS)


def test_the_lab_s_own_values_are_good(inventory: CheckedInventory, control: Outcome) -> None:
    """With no change there is nothing to refuse, and nothing was left out."""
    assert message(control.mistakes) == ""
    assert control.notes == []
    assert len(control.hosts) == len(inventory.inventory.get_hosts("all"))


def test_there_are_at_least_thirty_cases() -> None:
    assert len({case["name"] for case in CASES}) == len(CASES) >= 30


@pytest.mark.parametrize("name", [case["name"] for case in CASES])
def test_refused(inventory: CheckedInventory, control: Outcome, trusted: dict[str, dict[str, Any]], name: str) -> None:
    case = trusted[name]
    with inventory.changed(case["targets"], case["vars"]):
        found = inventory.check(*LAYERS).mistakes
    new = [mistake for mistake in found if mistake not in control.mistakes]
    text = message(new)
    assert text, "accepted"
    for words in case["expect"]:
        assert words in text, text
    assert not any(words in text for words in case.get("hidden", [])), "a secret is shown"
    assert noise(case, new) == []


def test_no_connection_is_opened(tmp_path: Path) -> None:
    """A real run, in which ssh is a program that leaves a mark when it is started."""
    mark, ssh, playbook = tmp_path / "connected", tmp_path / "ssh", tmp_path / "playbook.yml"
    ssh.write_text(f"#!/bin/sh\ntouch {mark}\nexit 255\n")
    ssh.chmod(0o755)
    task = {"chainops.infra.preflight": {"layers": list(LAYERS)}, "run_once": True}
    playbook.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": [task]}]))
    argv = [Path(sys.executable).with_name("ansible-playbook"), playbook, "-i", LAB]
    extra = ["-e", f"ansible_ssh_executable={ssh}", "-e", "geth_network=mainet"]
    done = subprocess.run([*argv, *extra], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    assert 'geth_network = "mainet": must be one of mainnet, hoodi, sepolia, custom; did you mean mainnet?' in (
        done.stdout + done.stderr
    )
    assert not mark.exists()
