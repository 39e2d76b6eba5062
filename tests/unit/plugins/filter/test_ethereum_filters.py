"""Filters of the clients' roles: sizes from memory, keys of a lab, where a genesis comes from."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.chainops.infra.plugins.filter.devnet_source import devnet_source
from ansible_collections.chainops.infra.plugins.filter.geth_cache_mb import geth_cache_mb
from ansible_collections.chainops.infra.plugins.filter.geth_open_files import geth_open_files
from ansible_collections.chainops.infra.plugins.filter.seeded_node_key import seeded_node_key
from ansible_collections.chainops.infra.plugins.filter.seeded_peers import seeded_peers
from ansible_collections.chainops.infra.plugins.module_utils.chain import peerid


@pytest.mark.parametrize(
    ("memory", "cache", "files"),
    [
        (1024, 512, 16384),
        (4096, 512, 16384),
        (16_000, 1792, 16384),
        (32_000, 3840, 32768),
        (64_000, 7936, 65536),
        (65_536, 8192, 65536),
        (131_072, 16384, 131072),
        (1_048_576, 16384, 131072),
    ],
)
def test_sizes_follow_the_memory(memory: int, cache: int, files: int) -> None:
    assert (geth_cache_mb(memory), geth_open_files(memory)) == (cache, files)


@pytest.mark.parametrize("memory", range(2048, 300_000, 4999))
def test_the_cache_is_never_what_geth_would_lower(memory: int) -> None:
    assert geth_cache_mb(memory) <= memory // 3


@pytest.mark.parametrize("value", [None, "64000", 0, -1, True, 1.5])
@pytest.mark.parametrize("function", [geth_cache_mb, geth_open_files])
def test_what_is_no_memory_is_refused(function: Any, value: Any) -> None:
    with pytest.raises(AnsibleFilterError, match="MiB"):
        function(value)


def test_keys_differ_by_seed_client_and_host() -> None:
    keys = {seeded_node_key(host, seed, client) for host in "ab" for seed in "xy" for client in ("geth", "prysm")}
    assert len(keys) == 8
    assert all(len(key) == 64 and int(key, 16) for key in keys)
    assert seeded_node_key("a", "x", "geth") == seeded_node_key("a", "x", "geth")


@pytest.mark.parametrize(
    ("host", "seed", "client"), [("", "x", "geth"), ("a", "", "geth"), ("a", None, "geth"), ("a", "x", "")]
)
def test_an_empty_seed_makes_no_key(host: str, seed: Any, client: str) -> None:
    with pytest.raises(AnsibleFilterError):
        seeded_node_key(host, seed, client)


def test_peers_have_the_address_of_the_site() -> None:
    hostvars = {"b": {"ansible_host": "10.0.0.2", "site_address": "192.0.2.2"}, "a": {"ansible_host": "10.0.0.1"}}
    key = {host: seeded_node_key(host, "x", "geth") for host in "abc"}
    assert seeded_peers(["c", "b", "a"], hostvars, "x", "geth", 30303) == [
        peerid.enode(key["a"], "10.0.0.1", 30303),
        peerid.enode(key["b"], "192.0.2.2", 30303),
        peerid.enode(key["c"], "c", 30303),
    ]


def test_peers_of_a_consensus_client_are_multiaddrs() -> None:
    peers = seeded_peers(["a"], {"a": {"ansible_host": "10.0.0.1"}}, "x", "prysm", 13000, form="multiaddr")
    assert peers == [peerid.multiaddr(seeded_node_key("a", "x", "prysm"), "10.0.0.1", 13000)]


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="multiaddr"):
        seeded_peers(["a"], {}, "x", "geth", 1, form="enr")


HAS = {"present": True, "digest": "1" * 64}
OTHER = {"present": True, "digest": "2" * 64}
HAS_NOT = {"present": False, "digest": None}


def test_a_genesis_is_made_at_home_when_everybody_was_asked() -> None:
    assert devnet_source({"a": HAS_NOT, "c": HAS_NOT}, ["a", "c"], "c") == "c"


@pytest.mark.parametrize(
    ("read", "source"), [({"a": HAS, "c": HAS}, "c"), ({"a": HAS, "c": HAS_NOT}, "a"), ({"a": HAS}, "a")]
)
def test_a_genesis_that_exists_is_taken(read: dict[str, Any], source: str) -> None:
    assert devnet_source(read, ["a", "b", "c"], "c") == source


def test_nothing_is_made_while_somebody_cannot_be_asked() -> None:
    with pytest.raises(AnsibleFilterError, match="b cannot be asked"):
        devnet_source({"a": HAS_NOT, "c": HAS_NOT}, ["a", "b", "c"], "c")


def test_two_chains_are_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="different chains.*a 111.*b 222"):
        devnet_source({"a": HAS, "b": OTHER}, ["a", "b"], "a")
