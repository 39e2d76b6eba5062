"""Wrong values of the data layer's variables are refused before any host is touched, in words that help.

The cases stand in wrong_values.yml. All are evaluated in this process with the lab's inventory: nothing here could
reach a host, and the lab need not be up. One real run shows that no connection is opened either.
"""

from __future__ import annotations

import secrets
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
LAYERS = ("data",)
LAB = ROOT / "inventories" / "lab" / "data.yml"


@pytest.fixture(scope="module")
def secrets_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What tools/lab up makes on the control node."""
    made = tmp_path_factory.mktemp("secrets")
    listed = yaml.safe_load((ROOT / "inventories/lab/group_vars/all/lab.yml").read_text(encoding="utf-8"))
    for name in listed["lab_secrets"]:
        path = made / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(secrets.token_urlsafe(40) + "\n", encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def inventory(secrets_dir: Path) -> Iterator[CheckedInventory]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LAB_PREFIX", "LAB_NETWORK", "LAB_HOSTS", "LAYERS"):
            patch.delenv(name, raising=False)
        checked = lab_inventory("data")
        with checked.changed("all", {"site_secrets_dir": str(secrets_dir)}):
            yield checked


@pytest.fixture(scope="module")
def trusted() -> dict[str, dict[str, Any]]:
    """The cases with values that may be templates, as an inventory's may."""
    return {case["name"]: case for case in CheckedInventory(LAB).yaml(TABLE)}


@pytest.fixture(scope="module")
def control(inventory: CheckedInventory) -> Outcome:
    """What is found without any change."""
    return inventory.check(*LAYERS)


def test_the_lab_s_own_values_are_good(control: Outcome) -> None:
    """With no change there is nothing to refuse, and nothing was left out."""
    assert message(control.mistakes) == ""
    assert control.notes == []


def test_the_names_of_the_cases_are_different() -> None:
    assert len({case["name"] for case in CASES}) == len(CASES) >= 25


@pytest.mark.parametrize("name", [case["name"] for case in CASES])
def test_refused(inventory: CheckedInventory, control: Outcome, trusted: dict[str, dict[str, Any]], name: str) -> None:
    case = trusted[name]
    with (
        inventory.changed("postgresql", case.get("of_all_members", {})),
        inventory.changed(case["targets"], case["vars"]),
    ):
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
    mark, ssh = tmp_path / "connected", tmp_path / "ssh"
    ssh.write_text(f"#!/bin/sh\ntouch {mark}\nexit 255\n")
    ssh.chmod(0o755)
    playbook = tmp_path / "playbook.yml"
    task = {"chainops.infra.preflight": {"layers": list(LAYERS)}, "run_once": True}
    playbook.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": [task]}]))
    argv = [Path(sys.executable).with_name("ansible-playbook"), playbook, "-i", LAB]
    extra = ["-e", f"ansible_ssh_executable={ssh}", "-e", "postgresql_rpo=zero"]
    done = subprocess.run([*argv, *extra], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    said = done.stdout + done.stderr
    assert 'postgresql_rpo = "zero": must be one of zero_host, zero_region, bounded, fast' in said
    assert not mark.exists()
