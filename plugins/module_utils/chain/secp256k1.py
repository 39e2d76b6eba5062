# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Public key of a secp256k1 private key, with nothing but the standard library.

For the keys that identify a node on its peer-to-peer network, computed once a play. The arithmetic is not
constant-time: never use it where an attacker can time it, or for keys that hold value.
"""

from __future__ import annotations

P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)

Point = tuple[int, int]


def add(left: Point | None, right: Point | None) -> Point | None:
    """The sum of two points; None is the point at infinity."""
    if left is None:
        return right
    if right is None:
        return left
    (x1, y1), (x2, y2) = left, right
    if x1 == x2 and (y1 + y2) % P == 0:
        return None
    slope = 3 * x1 * x1 * pow(2 * y1, -1, P) if left == right else (y2 - y1) * pow(x2 - x1, -1, P)
    x = (slope * slope - x1 - x2) % P
    return x, (slope * (x1 - x) - y1) % P


def multiply(scalar: int, point: Point = G) -> Point:
    """``scalar`` times ``point``, for 0 < scalar < N."""
    result: Point | None = None
    addend: Point | None = point
    while scalar:
        if scalar & 1:
            result = add(result, addend)
        addend = add(addend, addend)
        scalar >>= 1
    if result is None:
        raise ValueError("the scalar is a multiple of the group's order")
    return result


def secret_scalar(private_key: str | bytes) -> int:
    """The number in a private key: 32 bytes, or 64 hexadecimal digits with or without 0x, white space around ignored.

    The message of the ValueError never holds the key.
    """
    if isinstance(private_key, str):
        digits = private_key.strip().removeprefix("0x")
        if len(digits) != 64:
            raise ValueError(f"a secp256k1 private key has 64 hexadecimal digits, this one has {len(digits)}")
        try:
            private_key = bytes.fromhex(digits)
        except ValueError:
            raise ValueError("a secp256k1 private key has hexadecimal digits only, this one does not") from None
    if len(private_key) != 32:
        raise ValueError(f"a secp256k1 private key has 32 bytes, this one has {len(private_key)}")
    scalar = int.from_bytes(private_key, "big")
    if not 0 < scalar < N:
        raise ValueError("this number is no secp256k1 private key: it is zero or not below the group's order")
    return scalar


def public_point(private_key: str | bytes) -> Point:
    return multiply(secret_scalar(private_key))


def uncompressed(point: Point) -> bytes:
    """64 bytes: x and y, without the prefix 04."""
    return point[0].to_bytes(32, "big") + point[1].to_bytes(32, "big")


def compressed(point: Point) -> bytes:
    """33 bytes: the parity of y, then x."""
    return bytes([2 + (point[1] & 1)]) + point[0].to_bytes(32, "big")


def point_of(public_key: bytes) -> Point:
    """The point of a public key given in 33 bytes (compressed), 64 bytes, or 65 bytes (prefix 04)."""
    if len(public_key) == 33 and public_key[0] in (2, 3):
        x = int.from_bytes(public_key[1:], "big")
        y = pow(x**3 + 7, (P + 1) // 4, P)
        if y & 1 != public_key[0] & 1:
            y = P - y
    elif len(public_key) == 64 or (len(public_key) == 65 and public_key[0] == 4):
        x, y = int.from_bytes(public_key[-64:-32], "big"), int.from_bytes(public_key[-32:], "big")
    else:
        raise ValueError(f"a secp256k1 public key has 33, 64 or 65 bytes, this one has {len(public_key)}")
    if x >= P or y >= P or (y * y - x**3 - 7) % P:
        raise ValueError("these bytes are no point of the curve secp256k1")
    return x, y
