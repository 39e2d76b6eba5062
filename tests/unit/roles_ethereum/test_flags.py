"""What the clients are started with: flags that they know, addresses that are meant, nothing that is not asked for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.roles_ethereum.rendered import DEVNET, Role

KNOWN = yaml.safe_load((Path(__file__).with_name("known_flags.yml")).read_text(encoding="utf-8"))
LAB: dict[str, dict[str, Any]] = {
    "geth": {
        "geth_network": "custom",
        "geth_network_id": 32382,
        "geth_genesis_file": f"{DEVNET}/genesis.json",
        "geth_node_key_seed": "lab",
        "geth_discovery": False,
    },
    "prysm": {
        "prysm_network": "custom",
        "prysm_config_file": f"{DEVNET}/config.yml",
        "prysm_genesis_state_file": f"{DEVNET}/genesis.ssz",
        "prysm_node_key_seed": "lab",
        "prysm_discovery": False,
        "prysm_quic": False,
    },
    "lighthouse": {
        "lighthouse_network": "custom",
        "lighthouse_network_dir": DEVNET,
        "lighthouse_discovery": False,
        "lighthouse_quic": False,
        "lighthouse_static_peers": ["/ip4/10.87.2.11/tcp/13000"],
    },
}
EVERYTHING: dict[str, dict[str, Any]] = {
    "geth": {"geth_extra_flags": ["--gpo.blocks=10"]},
    "prysm": {
        "prysm_checkpoint_urls": ["https://a.example", "https://b.example"],
        "prysm_p2p_external_ip": "192.0.2.1",
        "prysm_bootnodes": ["enr:abc"],
        "prysm_static_peers": ["/ip4/192.0.2.2/tcp/13000/p2p/16Uiu2HAm"],
        "prysm_suggested_fee_recipient": "0x" + "11" * 20,
        "prysm_mev_relay": "http://127.0.0.1:18550",
        "prysm_metrics_port": 0,
        "prysm_debug_api": True,
    },
    "lighthouse": {
        "lighthouse_checkpoint_urls": ["https://a.example", "https://b.example"],
        "lighthouse_p2p_external_ip": "192.0.2.1",
        "lighthouse_bootnodes": ["enr:abc"],
        "lighthouse_trusted_peers": ["16Uiu2HAm"],
        "lighthouse_suggested_fee_recipient": "0x" + "11" * 20,
        "lighthouse_builder": "http://127.0.0.1:18550",
        "lighthouse_private_discovery": True,
    },
}
CASES = [(role, case) for role in LAB for case in ({}, LAB[role], EVERYTHING[role])]


def names(flags: list[str]) -> list[str]:
    return [re.sub(r"=.*", "", flag, flags=re.DOTALL)[2:] for flag in flags if flag.startswith("--")]


@pytest.mark.parametrize(("role", "given"), CASES)
def test_every_flag_is_known_to_every_supported_version(role: str, given: dict[str, Any]) -> None:
    flags = Role(role, **given).value(f"__{role}_flags")
    assert [name for name in names(flags) if name not in KNOWN[role]] == []
    assert all(isinstance(flag, str) and not re.search(r"\s", flag) for flag in flags)


def test_the_validators_flags_are_known() -> None:
    flags = Role("devnet_validators", devnet_validators_fee_recipient="0x" + "11" * 20).value(
        "__devnet_validators_flags"
    )
    assert [name for name in names(flags) if name not in KNOWN["devnet_validators"]] == []


@pytest.mark.parametrize("role", LAB)
def test_reserved_flags_are_known_and_match_what_the_role_sets(role: str) -> None:
    reserved = Role(role).value(f"__{role}_reserved_flag")
    own = {
        name
        for given in ({}, LAB[role], EVERYTHING[role])
        for name in names(Role(role, **given).value(f"__{role}_flags"))
    }
    own -= {"accept-terms-of-use", "contract-deployment-block", "gpo.blocks", "disable-debug-rpc-endpoints"}
    assert sorted(name for name in own if not re.match(reserved, f"--{name}")) == []
    assert not re.match(reserved, "--subscribe-all-subnets")
    assert re.match(
        reserved, {"geth": "--http.api=admin", "prysm": "--force-clear-db", "lighthouse": "--purge-db"}[role]
    )


def test_what_8_0_of_lighthouse_removed_is_not_used() -> None:
    removed = {
        "eth1",
        "eth1-purge-cache",
        "disable-deposit-contract-sync",
        "light-client-server",
        "logfile",
        "terminal-total-difficulty-override",
    }
    for given in ({}, LAB["lighthouse"], EVERYTHING["lighthouse"]):
        assert removed.isdisjoint(names(Role("lighthouse", **given).value("__lighthouse_flags")))


def test_peers_of_a_seeded_mesh_are_all_the_others() -> None:
    geth = Role("geth", **LAB["geth"]).value("__geth_peers")
    assert [re.search(r"@(.*)", peer)[1] for peer in geth] == ["10.87.2.11:30303", "10.87.3.11:30303"]
    prysm = Role("prysm", **LAB["prysm"]).value("__prysm_peers")
    assert [peer.split("/p2p/")[0] for peer in prysm] == ["/ip4/10.87.2.11/tcp/13000", "/ip4/10.87.3.11/tcp/13000"]
    assert Role("geth").value("__geth_peers") == []


def test_a_public_node_starts_through_the_checkpoint_starter() -> None:
    command = Role("prysm", **EVERYTHING["prysm"]).value("__prysm_command")
    assert command[:8] == [
        "/usr/bin/python3",
        "-IB",
        "/usr/lib/chainops/prysm/checkpoint_start.py",
        "--client=prysm",
        "--data-dir=/var/lib/prysm",
        "--quorum=2",
        "--source=https://a.example",
        "--source=https://b.example",
    ]
    assert command[8:10] == ["--", "/opt/chainops/prysm/current/beacon-chain"]
    assert Role("prysm", **LAB["prysm"]).value("__prysm_command")[0] == "/opt/chainops/prysm/current/beacon-chain"


@pytest.mark.parametrize(
    ("host", "ready"),
    [
        ("127.0.0.1", "127.0.0.1:8545"),
        ("0.0.0.0", "127.0.0.1:8545"),
        ("10.1.2.3", "10.1.2.3:8545"),
        ("fd00::1", "[fd00::1]:8545"),
    ],
)
def test_readiness_is_asked_where_geth_listens(host: str, ready: str) -> None:
    assert Role("geth", geth_http_host=host).value("__geth_ready") == ready


@pytest.mark.parametrize("role", ["geth", "prysm", "lighthouse"])
def test_relative_urls_are_joined_to_the_mirror(role: str) -> None:
    given = {
        f"{role}_version": "1",
        f"{role}_releases": {"1": {"url": "x/y", "signature_url": "x/y.asc", "signing_key": "the lab's"}},
        f"{role}_release_base_url": "https://mirror:8443/",
    }
    assert Role(role, **given).value(f"__{role}_release_urls") == [
        "https://mirror:8443/x/y",
        "https://mirror:8443/x/y.asc",
    ]
    assert Role(role, **given).value(f"__{role}_signing_key") == "the lab's"


@pytest.mark.parametrize("role", ["geth", "prysm", "lighthouse"])
def test_upstream_s_urls_and_key_are_used_as_they_are(role: str) -> None:
    urls = Role(role, **{f"{role}_release_base_url": "https://mirror"}).value(f"__{role}_release_urls")
    assert all(url.startswith("https://") and "mirror" not in url for url in urls)
    assert Role(role).value(f"__{role}_signing_key").startswith("-----BEGIN PGP PUBLIC KEY BLOCK-----")


def test_without_a_signature_there_is_no_key() -> None:
    given = {"geth_version": "1", "geth_releases": {"1": {"url": "https://x/y"}}}
    assert Role("geth", **given).value("__geth_release_urls") == ["https://x/y", ""]
    assert Role("geth", **given).value("__geth_signing_key") == ""
