# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Names of a node on its peer-to-peer network, derived from its key.

A consensus client without discovery does not tell its peer id over its API, and a geth that has not started tells
nothing: with the key known, both names are known before the first start, and peers can be written into configuration.
"""

from __future__ import annotations

import ipaddress
import re

from . import secp256k1

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
# libp2p: PublicKey { Type = Secp256k1 (2), Data = 33 bytes }, in protobuf
_LIBP2P_SECP256K1 = b"\x08\x02\x12\x21"
# a multihash of the function "identity" (0x00); keys of up to 42 bytes are not hashed
_IDENTITY_MULTIHASH = b"\x00\x25"

_ENODE = re.compile(
    r"^enode://(?P<id>[0-9a-fA-F]{128})@(?P<host>\[[0-9a-fA-F:.]+\]|[^:\[\]@?/]+):(?P<port>\d{1,5})(\?.*)?$"
)


def base58(data: bytes) -> str:
    number = int.from_bytes(data, "big")
    text = ""
    while number:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def base58_decode(text: str) -> bytes:
    number = 0
    for character in text:
        digit = BASE58.find(character)
        if digit < 0:
            raise ValueError(f"{character!r} is not a base58 character")
        number = number * 58 + digit
    zeros = len(text) - len(text.lstrip("1"))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")


def peer_id_of_public_key(public_key: bytes) -> str:
    """The libp2p peer id of a secp256k1 public key (33, 64 or 65 bytes)."""
    point = secp256k1.point_of(public_key)
    return base58(_IDENTITY_MULTIHASH + _LIBP2P_SECP256K1 + secp256k1.compressed(point))


def peer_id(private_key: str | bytes) -> str:
    """The libp2p peer id (16Uiu2HA…) of a consensus client whose node key is ``private_key``."""
    return peer_id_of_public_key(secp256k1.compressed(secp256k1.public_point(private_key)))


def public_key_of_peer_id(text: str) -> bytes:
    """The 33 bytes of the secp256k1 key inside a peer id; ValueError for a peer id of another kind."""
    data = base58_decode(text)
    prefix = _IDENTITY_MULTIHASH + _LIBP2P_SECP256K1
    if len(data) != len(prefix) + 33 or not data.startswith(prefix):
        raise ValueError(f"{text} is not the peer id of a secp256k1 key, which begins with 16Uiu2HA")
    return data[len(prefix) :]


def enode_id(private_key: str | bytes) -> str:
    """The 128 hexadecimal digits that follow ``enode://``, for a geth whose node key is ``private_key``."""
    return secp256k1.uncompressed(secp256k1.public_point(private_key)).hex()


def host_in_url(host: str) -> str:
    """An address as it stands in a URL: IPv6 in brackets."""
    try:
        return f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    except ValueError:
        return host


def enode(private_key: str | bytes, host: str, port: int = 30303) -> str:
    return f"enode://{enode_id(private_key)}@{host_in_url(host)}:{port}"


def parse_enode(url: str) -> tuple[str, str, int]:
    """(id in lower case, host, TCP port) of an enode URL; ValueError says what is wrong with it."""
    match = _ENODE.match(url)
    if not match:
        raise ValueError(f"{url!r} is not enode://<128 hexadecimal digits>@<host>:<port>")
    port = int(match["port"])
    if not 0 < port < 65536:
        raise ValueError(f"{url!r}: port {port} is not between 1 and 65535")
    return match["id"].lower(), match["host"].strip("[]"), port


def multiaddr(private_key: str | bytes, host: str, port: int = 13000) -> str:
    """What ``--peer`` of a consensus client takes: address, TCP port and peer id; a name becomes /dns4/."""
    try:
        kind = f"ip{ipaddress.ip_address(host).version}"
    except ValueError:
        kind = "dns4"
    return f"/{kind}/{host}/tcp/{port}/p2p/{peer_id(private_key)}"
