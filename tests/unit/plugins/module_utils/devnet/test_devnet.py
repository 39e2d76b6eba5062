"""Genesis of a lab chain: its hashes, its accounts, and the directory that is whole or absent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from ansible_collections.chainops.infra.plugins.module_utils.devnet import accounts, directory, genesis
from ansible_collections.chainops.infra.plugins.module_utils.devnet.keccak import keccak256
from eth_account import Account
from eth_utils import keccak

from tests.lab.load import accounts as load

PARAMETERS = genesis.Parameters("devnet", 32382, 2, 6, 16, 60_000_000, 3, "chainops load", 1000)
FILES = {name: f"content of {name}".encode() for name in directory.FILES}


@pytest.mark.parametrize("size", [0, 1, 55, 135, 136, 137, 272, 500])
def test_keccak_is_ethereum_s(size: int) -> None:
    data = bytes(range(256)) * 2
    assert keccak256(data[:size]) == keccak(data[:size])


def test_accounts_are_those_of_the_load_generator() -> None:
    expected = [account.address.lower() for account in load.accounts(3)]
    assert accounts.addresses(load.SEED, 3) == expected


def test_addresses_are_those_of_their_keys() -> None:
    key = accounts.private_key("any seed", 7)
    assert accounts.address(key) == Account.from_key(key).address.lower()


def test_system_contracts_have_the_code_hashes_of_public_chains() -> None:
    hashes = {address[-8:]: keccak256(bytes.fromhex(code)).hex()[:16] for address, code in genesis.CONTRACTS.items()}
    assert hashes["d0beac02"] == "f57acd40259872606d76197ef052f3d35588dadf919ee1f0e3cb9b62d3f4b02c"[:16]
    assert hashes["20002935"] == "6e49e66782037c0555897870e29fa5e552daf4719552131a0abce779daec0a5d"[:16]
    assert hashes["26c0b4956c"[-8:]] == "2fa86add0aed31f33a762c9d88e807c475bd51d0f52bd0955754b2608f7e4989"[:16]


def test_execution_genesis_holds_contracts_and_money() -> None:
    made = genesis.execution_genesis(PARAMETERS, ["0x" + "12" * 20])
    assert made["config"]["chainId"] == 32382
    assert made["alloc"]["0x" + "12" * 20] == {"balance": hex(1000 * 10**18)}
    assert set(genesis.CONTRACTS) < set(made["alloc"])
    assert set(made["config"]["blobSchedule"]) == {"cancun", "prague"}


def test_beacon_config_is_read_as_it_is_meant() -> None:
    config = yaml.safe_load(genesis.beacon_config(PARAMETERS))
    assert (config["SECONDS_PER_SLOT"], config["SLOTS_PER_EPOCH"], config["ELECTRA_FORK_EPOCH"]) == (2, 6, 0)
    assert config["REORG_MAX_EPOCHS_SINCE_FINALIZATION"] == 0
    assert config["FULU_FORK_EPOCH"] == 2**64 - 1
    versions = [config[f"{fork}_FORK_VERSION"] for fork in genesis.FORKS]
    assert versions == sorted(set(versions))


def summary() -> dict:
    return directory.summarise(PARAMETERS, 1_800_000_000, ["0x" + "12" * 20], FILES)


def test_a_directory_is_read_as_it_was_placed(tmp_path: Path) -> None:
    path = tmp_path / "ethereum" / "devnet"
    directory.place(path, FILES, summary())
    assert directory.read_summary(path) == summary()
    assert directory.read_files(path) == FILES
    assert [entry.name for entry in path.parent.iterdir()] == ["devnet"]
    assert path.stat().st_mode & 0o777 == 0o755
    assert {entry.stat().st_mode & 0o777 for entry in path.iterdir()} == {0o644}


@pytest.mark.parametrize("harm", ["missing", "altered", "no summary", "no JSON"])
def test_a_directory_that_is_not_whole_is_none_and_is_repaired(tmp_path: Path, harm: str) -> None:
    path = tmp_path / "devnet"
    directory.place(path, FILES, summary())
    if harm == "missing":
        (path / "genesis.ssz").unlink()
    elif harm == "altered":
        (path / "genesis.json").write_text("{}")
    elif harm == "no summary":
        (path / directory.SUMMARY).unlink()
    else:
        (path / directory.SUMMARY).write_text("{")
    assert directory.read_summary(path) is None
    directory.place(path, FILES, summary())
    assert directory.read_files(path) == FILES
    assert [entry.name for entry in tmp_path.iterdir()] == ["devnet"]


def test_what_a_killed_run_left_is_swept_up(tmp_path: Path) -> None:
    (tmp_path / ".devnet.abc").mkdir()
    (tmp_path / ".devnet.abc" / "genesis.ssz").write_text("half")
    directory.place(tmp_path / "devnet", FILES, summary())
    assert [entry.name for entry in tmp_path.iterdir()] == ["devnet"]


def test_a_bundle_brings_everything() -> None:
    assert directory.unpack(directory.pack(FILES, summary())) == (FILES, summary())


@pytest.mark.parametrize("bundle", ["", "no base64!", "aGVsbG8="])
def test_a_bundle_that_is_none_is_refused(bundle: str) -> None:
    with pytest.raises(directory.Conflict, match="bundle"):
        directory.unpack(bundle)


def test_a_bundle_with_an_altered_file_is_refused() -> None:
    with pytest.raises(directory.Conflict, match="bundle"):
        directory.unpack(directory.pack({**FILES, "genesis.ssz": b"other"}, summary()))


def test_other_parameters_are_refused_with_both_values() -> None:
    other = genesis.Parameters(**{**json.loads(json.dumps(PARAMETERS.__dict__)), "slot_seconds": 4})
    with pytest.raises(directory.Conflict, match="slot_seconds 2, not 4"):
        directory.refuse_other_parameters(Path("/etc/ethereum/devnet"), summary(), other)
    directory.refuse_other_parameters(Path("/x"), summary(), PARAMETERS)
