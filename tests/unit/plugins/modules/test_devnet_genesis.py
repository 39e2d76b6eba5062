"""The module with a stand-in for prysmctl: made once, kept, brought to others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.devnet import directory
from ansible_collections.chainops.infra.plugins.modules import devnet_genesis

PARAMETERS = {
    "name": "devnet",
    "chain_id": 32382,
    "slot_seconds": 2,
    "slots_per_epoch": 6,
    "validators": 16,
    "gas_limit": 60_000_000,
    "accounts": 2,
    "account_seed": "chainops load",
    "account_balance_ether": 1000,
}
# writes what it was told, as prysmctl writes a state that follows from its input
PRYSMCTL = """#!/bin/sh
while [ $# -gt 0 ]; do
  case "$1" in
    --genesis-time) time=$2; shift;;
    --output-ssz) ssz=$2; shift;;
    --geth-genesis-json-in) in=$2; shift;;
    --geth-genesis-json-out) out=$2; shift;;
  esac
  shift
done
cp "$in" "$out" && echo "state of $time" > "$ssz"
"""


class Module:
    """As much of AnsibleModule as run() uses."""

    def __init__(self, check_mode: bool = False, **params: Any) -> None:
        self.params = {"parameters": PARAMETERS, "prysmctl": None, "delay": 30, "bundle": None, **params}
        self.check_mode = check_mode


@pytest.fixture
def prysmctl(tmp_path: Path) -> str:
    program = tmp_path / "prysmctl"
    program.write_text(PRYSMCTL)
    program.chmod(0o755)
    return str(program)


def run(**params: Any) -> dict[str, Any]:
    return devnet_genesis.run(Module(**params))


def test_made_once_and_kept(tmp_path: Path, prysmctl: str) -> None:
    path = str(tmp_path / "etc" / "devnet")
    first = run(path=path, state="created", prysmctl=prysmctl)
    second = run(path=path, state="created", prysmctl="/nowhere")
    assert (first["changed"], first["present"], second["changed"], second["present"]) == (True, False, False, True)
    assert (second["digest"], second["bundle"], second["genesis_time"]) == (
        first["digest"],
        first["bundle"],
        first["genesis_time"],
    )
    assert len(first["accounts"]) == 2
    assert (tmp_path / "etc" / "devnet" / "genesis.ssz").read_text() == f"state of {first['genesis_time']}\n"


def test_read_changes_nothing(tmp_path: Path) -> None:
    result = run(path=str(tmp_path / "devnet"), state="read")
    assert (result["changed"], result["present"], result["digest"], result["genesis_time"]) == (
        False,
        False,
        None,
        None,
    )
    assert not (tmp_path / "devnet").exists()


def test_check_mode_makes_nothing(tmp_path: Path) -> None:
    result = run(path=str(tmp_path / "devnet"), state="created", check_mode=True)
    assert result["changed"]
    assert "bundle" not in result
    assert run(path=str(tmp_path / "devnet"), state="placed", check_mode=True)["changed"]
    assert not (tmp_path / "devnet").exists()


def test_brought_to_another_host(tmp_path: Path, prysmctl: str) -> None:
    made = run(path=str(tmp_path / "a"), state="created", prysmctl=prysmctl)
    first = run(path=str(tmp_path / "b"), state="placed", bundle=made["bundle"])
    second = run(path=str(tmp_path / "b"), state="placed", bundle=made["bundle"])
    assert (first["changed"], second["changed"], first["digest"]) == (True, False, made["digest"])
    assert directory.read_files(tmp_path / "a") == directory.read_files(tmp_path / "b")


def test_another_chain_is_refused(tmp_path: Path, prysmctl: str) -> None:
    run(path=str(tmp_path / "a"), state="created", prysmctl=prysmctl)
    other = run(path=str(tmp_path / "b"), state="created", prysmctl=prysmctl, delay=31)
    with pytest.raises(directory.Conflict, match="another chain"):
        run(path=str(tmp_path / "a"), state="placed", bundle=other["bundle"])


def test_other_parameters_are_refused_even_by_read(tmp_path: Path, prysmctl: str) -> None:
    run(path=str(tmp_path / "a"), state="created", prysmctl=prysmctl)
    with pytest.raises(directory.Conflict, match="validators 16, not 8"):
        run(path=str(tmp_path / "a"), state="read", parameters={**PARAMETERS, "validators": 8})


@pytest.mark.parametrize(
    ("script", "words"), [(None, "did not run"), ("#!/bin/sh\necho broken >&2; exit 3\n", "status 3.*broken")]
)
def test_a_prysmctl_that_fails_leaves_nothing(tmp_path: Path, script: str | None, words: str) -> None:
    program = tmp_path / "broken"
    if script:
        program.write_text(script)
        program.chmod(0o755)
    with pytest.raises(directory.Conflict, match=f"(?s){words}"):
        run(path=str(tmp_path / "a"), state="created", prysmctl=str(program))
    assert not (tmp_path / "a").exists()


def test_placed_needs_a_bundle(tmp_path: Path) -> None:
    with pytest.raises(directory.Conflict, match="needs a bundle"):
        run(path=str(tmp_path / "a"), state="placed")


def test_created_needs_parameters(tmp_path: Path) -> None:
    with pytest.raises(directory.Conflict, match="needs parameters"):
        run(path=str(tmp_path / "a"), state="created", parameters=None)
