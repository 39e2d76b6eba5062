# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Node keys into the names that peers use, against vectors of other implementations."""

from __future__ import annotations

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.chain import peerid, secp256k1
from eth_keys import keys

# EIP-778's example key
KEY = "b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291"

# private key, peer id: made with js-libp2p (README of github.com/mingder78/libp2p-ethereum)
JS_LIBP2P = (
    "0xdb82e7408fbe37e0641087557f3535a34049d19d27f6939f43b47418cd981434",
    "16Uiu2HAmE1zdG92om3Y49m3ZeT5T3jAZCZ1w7JGWi93NWGRbjmW1",
)


def test_peer_id_equals_that_of_js_libp2p():
    assert peerid.peer_id(JS_LIBP2P[0]) == JS_LIBP2P[1]


def test_public_key_of_eip_778():
    point = secp256k1.public_point(KEY)
    assert secp256k1.compressed(point).hex() == "03ca634cae0d49acb401d8a4c6b6fe8c55b70d115bf400769cc1400f3258cd3138"


@pytest.mark.parametrize("scalar", [1, 2, 3, 7, 2**128 + 1, secp256k1.N // 2, secp256k1.N - 1])
def test_public_keys_equal_those_of_an_independent_library(scalar):
    secret = scalar.to_bytes(32, "big")
    reference = keys.PrivateKey(secret).public_key
    point = secp256k1.public_point(secret)
    assert secp256k1.uncompressed(point) == reference.to_bytes()
    assert secp256k1.compressed(point) == reference.to_compressed_bytes()


def test_a_public_key_has_one_peer_id_in_every_encoding():
    point = secp256k1.public_point(KEY)
    encodings = (
        secp256k1.compressed(point),
        secp256k1.uncompressed(point),
        b"\x04" + secp256k1.uncompressed(point),
    )
    assert {peerid.peer_id_of_public_key(encoding) for encoding in encodings} == {peerid.peer_id(KEY)}
    assert peerid.public_key_of_peer_id(peerid.peer_id(KEY)) == encodings[0]


@pytest.mark.parametrize("key", [KEY, "0x" + KEY, f"  {KEY.upper()}\n", bytes.fromhex(KEY)])
def test_a_key_is_read_as_files_hold_it(key):
    assert peerid.enode_id(key) == peerid.enode_id(KEY)


@pytest.mark.parametrize(
    "key",
    ["", "0x", KEY[:-1], KEY + "0", "g" * 64, "0" * 64, f"{secp256k1.N:x}", "f" * 64, bytes(31), bytes(32)],
)
def test_what_is_no_private_key_is_refused_without_being_shown(key):
    with pytest.raises(ValueError, match="key") as refusal:
        peerid.peer_id(key)
    if len(key) > 2:
        assert str(key) not in str(refusal.value)


@pytest.mark.parametrize(
    "data",
    [b"", bytes(32), b"\x05" + bytes(32), b"\x02" + b"\xff" * 32, b"\x02" + (5).to_bytes(32, "big"), bytes(64)],
)
def test_bytes_that_are_no_point_are_refused(data):
    with pytest.raises(ValueError, match="secp256k1"):
        secp256k1.point_of(data)


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0a", b"hello", bytes(range(40))])
def test_base58_there_and_back(data):
    assert peerid.base58_decode(peerid.base58(data)) == data


def test_base58_of_a_known_string():
    # draft-msporny-base58
    assert peerid.base58(b"Hello World!") == "2NEpo7TZRRrLZSi2U"
    with pytest.raises(ValueError, match="'0'"):
        peerid.base58_decode("10")


@pytest.mark.parametrize("text", ["12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN", "QmYyQSo1c1Ym7orWxLYvCrM2"])
def test_peer_ids_of_other_keys_are_refused(text):
    with pytest.raises(ValueError, match="not the peer id of a secp256k1 key"):
        peerid.public_key_of_peer_id(text)


@pytest.mark.parametrize(
    ("host", "start"),
    [("10.0.0.1", "/ip4/10.0.0.1/"), ("fd00::1", "/ip6/fd00::1/"), ("eth-a.site", "/dns4/eth-a.site/")],
)
def test_multiaddr_names_the_kind_of_address(host, start):
    assert peerid.multiaddr(KEY, host, 13000) == f"{start}tcp/13000/p2p/{peerid.peer_id(KEY)}"


@pytest.mark.parametrize("host", ["10.0.0.1", "fd00::1", "eth-a.site"])
def test_enode_is_read_back(host):
    assert peerid.parse_enode(peerid.enode(KEY, host, 30304)) == (peerid.enode_id(KEY), host, 30304)


def test_enode_with_another_discovery_port_is_read():
    assert peerid.parse_enode(peerid.enode(KEY, "10.0.0.1") + "?discport=30301")[2] == 30303


@pytest.mark.parametrize(
    "url",
    ["", "enode://ab@10.0.0.1:1", peerid.enode(KEY, "10.0.0.1", 65536), peerid.enode(KEY, ""), "enr:-IS4Q"],
)
def test_what_is_no_enode_is_refused(url):
    with pytest.raises(ValueError, match="enode|port"):
        peerid.parse_enode(url)
