"""What is written to hosts: geth's configuration as geth reads it, and units that are what the roles promise."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from tests.unit.roles_ethereum.rendered import Role
from tests.unit.roles_ethereum.test_flags import EVERYTHING, LAB


def config(**variables: Any) -> dict[str, Any]:
    return tomllib.loads(Role("geth", **variables).template("config.toml.j2"))


def test_only_reads_and_transactions_are_offered() -> None:
    node = config()["Node"]
    assert node["HTTPModules"] == node["WSModules"] == ["eth", "net", "web3"]
    assert (node["AuthAddr"], node["AuthVirtualHosts"], node["HTTPVirtualHosts"]) == (
        "127.0.0.1",
        ["localhost"],
        ["localhost"],
    )
    assert (node["HTTPHost"], node["WSHost"], node["HTTPCors"], node["WSOrigins"]) == ("127.0.0.1", "127.0.0.1", [], [])
    assert node["JWTSecret"] == "/var/lib/ethereum/jwt.hex"


def test_limits_are_in_the_units_that_geth_has() -> None:
    eth = config(geth_rpc_evm_timeout_s=7)["Eth"]
    assert (eth["RPCEVMTimeout"], eth["RPCTxFeeCap"], eth["RPCGasCap"]) == (7_000_000_000, 1.0, 50_000_000)


def test_websocket_can_be_off() -> None:
    assert config(geth_ws_enabled=False)["Node"]["WSHost"] == ""


def test_nat_is_no_key_as_geth_crashes_on_none() -> None:
    assert "NAT" not in config()["Node"]["P2P"]
    assert "--nat=none" in Role("geth").value("__geth_flags")


def test_a_public_network_keeps_its_own_boot_nodes() -> None:
    assert "BootstrapNodes" not in config()["Node"]["P2P"]
    assert config(**LAB["geth"])["Node"]["P2P"]["BootstrapNodes"] == []


def test_an_archive_keeps_everything() -> None:
    eth = config(geth_gc_mode="archive", geth_sync_mode="full")["Eth"]
    assert (eth["NoPruning"], eth["StateHistory"], eth["TransactionHistory"], eth["LogHistory"]) == (True, 0, 0, 0)


def test_metrics_can_be_off() -> None:
    assert config()["Metrics"] == {"Enabled": True, "HTTP": "127.0.0.1", "Port": 6060}
    assert "Metrics" not in config(geth_metrics_port=0)


def test_static_peers_of_a_seeded_mesh_are_there() -> None:
    p2p = config(**LAB["geth"])["Node"]["P2P"]
    assert len(p2p["StaticNodes"]) == 2
    assert p2p["NoDiscovery"] is True
    assert (p2p["DiscoveryV4"], p2p["DiscoveryV5"]) == (False, False)


UNITS = [("geth", "geth.service.j2"), ("prysm", "prysm.service.j2"), ("lighthouse", "lighthouse.service.j2")]


@pytest.mark.parametrize(("role", "name"), UNITS)
@pytest.mark.parametrize("which", [{}, LAB, EVERYTHING], ids=["public", "lab", "everything"])
def test_units_can_be_read_by_systemd(role: str, name: str, which: dict[str, Any]) -> None:
    text = Role(role, **which.get(role, {})).template(name)
    assert "{{" not in text and "{%" not in text
    start = re.search(r"^ExecStart=((?:.*\\\n)*.*)$", text, re.MULTILINE)
    assert start
    command = start[1].replace("\\\n", " ").split()
    assert command[0].startswith(("/opt/chainops/", "/usr/bin/python3"))
    assert [
        word for word in command if "%" in word and word not in ("--nodekey=%d/nodekey", "--p2p-priv-key=%d/nodekey")
    ] == []


@pytest.mark.parametrize("role", ["geth", "prysm"])
def test_a_key_is_given_to_the_service_alone(role: str) -> None:
    unit = f"{role}.service.j2"
    assert "LoadCredential" not in Role(role).template(unit)
    assert f"LoadCredential=nodekey:/etc/{role}/nodekey\n" in Role(role, **LAB[role]).template(unit)
    named = Role(role, **{f"{role}_node_key_file": "/root/key"}).template(unit)
    assert "LoadCredential=nodekey:/root/key\n" in named
    assert "%d/nodekey" in named


def test_geth_is_stopped_as_it_wants_and_stays_down_after_a_clean_exit() -> None:
    text = Role("geth").template("geth.service.j2")
    assert "KillSignal=SIGINT\n" in text
    assert "TimeoutStopSec=300\n" in text
    assert "Restart=on-failure\n" in text


@pytest.mark.parametrize(("role", "name"), UNITS)
def test_users_share_nothing_but_the_engine_s_group(role: str, name: str) -> None:
    assert re.search(rf"^u {role} ", Role(role).template("sysusers.conf.j2"), re.MULTILINE)
    assert f"m {role} ethereum\n" in Role(role).template("sysusers.conf.j2") + "\n"
    text = Role(role).template(name)
    assert f"User={role}\n" in text
    assert "SupplementaryGroups=ethereum\n" in text
    assert "StateDirectory" not in text
    assert f"ReadWritePaths=/var/lib/{role}\n" in text
