# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads node records (EIP-778, ``enr:…``): the name under which Lighthouse takes a peer.

Signatures are not checked: the client does that, and a record is only read here to know whose it is.
"""

from __future__ import annotations

import base64
import binascii

from .peerid import peer_id_of_public_key

MAX_BYTES = 300  # EIP-778


def _items(data: bytes) -> list[bytes]:
    """The byte strings of an RLP list (all that a record holds); ValueError for anything else."""
    content, rest = _take(data, 0xC0)
    if rest:
        raise ValueError("bytes after its end")
    items = []
    while content:
        item, content = _take(content, 0x80)
        items.append(item)
    return items


def _take(data: bytes, base: int) -> tuple[bytes, bytes]:
    """The first string (base 0x80) or list (base 0xc0), and what follows it."""
    if not data:
        raise ValueError("it is cut off")
    first = data[0]
    if base == 0x80 and first < 0x80:
        return data[:1], data[1:]
    if not base <= first < base + 0x40:
        raise ValueError("a list where a string should be, or the reverse")
    if first <= base + 55:
        start, length = 1, first - base
    else:
        start = 1 + first - base - 55
        length = int.from_bytes(data[1:start], "big")
    if len(data) < start + length:
        raise ValueError("it is cut off")
    return data[start : start + length], data[start + length :]


def fields(text: str) -> dict[str, bytes]:
    """Keys and values of a record; ValueError says what is wrong with it."""
    if not text.startswith("enr:"):
        raise ValueError(f"{text[:40]!r} is no node record: it begins with enr:")
    try:
        encoded = text[4:]
        data = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
        if len(data) > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES} bytes")
        items = _items(data)
        if len(items) < 2 or len(items) % 2:
            raise ValueError("keys without values")
        return {key.decode("ascii"): value for key, value in zip(items[2::2], items[3::2], strict=True)}
    except (ValueError, binascii.Error) as error:
        raise ValueError(f"{text[:40]!r}… is no node record: {error}") from None


def peer_id(text: str) -> str:
    """The libp2p peer id of the node that a record is of."""
    key = fields(text).get("secp256k1")
    if key is None:
        raise ValueError(f"{text[:40]!r}… holds no secp256k1 key")
    return peer_id_of_public_key(key)
