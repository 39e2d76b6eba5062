# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""SCRAM-SHA-256 verifiers (RFC 5802, RFC 7677) as PostgreSQL keeps them, and whether one is that of a password."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import stringprep
import unicodedata

FORM = re.compile(r"SCRAM-SHA-256\$([1-9]\d{0,6}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)")
ITERATIONS = 4096


def is_verifier(text: str) -> bool:
    match = FORM.fullmatch(text)
    if not match:
        return False
    try:
        _salt, stored, server = (base64.b64decode(part, validate=True) for part in match.groups()[1:])
    except ValueError:
        return False
    return len(stored) == len(server) == 32


def make(password: str, iterations: int = ITERATIONS, salt: bytes = b"") -> str:
    """A verifier with a salt of its own."""
    salt = salt or os.urandom(16)
    stored, server = _keys(password, salt, iterations)
    parts = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${iterations}:{parts[0]}${parts[1]}:{parts[2]}"


def matches(password: str, verifier: str) -> bool:
    """Whether a verifier was made of this password, by its own salt and iterations."""
    match = FORM.fullmatch(verifier)
    if not match or not is_verifier(verifier):
        return False
    made = make(password, int(match[1]), base64.b64decode(match[2]))
    return hmac.compare_digest(made.encode(), verifier.encode())


def _keys(password: str, salt: bytes, iterations: int) -> tuple[bytes, bytes]:
    salted = hashlib.pbkdf2_hmac("sha256", saslprep(password).encode(), salt, iterations)
    client = hmac.digest(salted, b"Client Key", "sha256")
    return hashlib.sha256(client).digest(), hmac.digest(salted, b"Server Key", "sha256")


PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,
)


def saslprep(password: str) -> str:
    """RFC 4013. A password that it forbids is used as it is, which is what PostgreSQL does too."""
    if password.isascii():
        return password
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char for char in password if not stringprep.in_table_b1(char)
    )
    prepared = unicodedata.normalize("NFKC", mapped)
    if not prepared or any(forbidden(char) for char in prepared for forbidden in PROHIBITED):
        return password
    if any(map(stringprep.in_table_d1, prepared)):
        ends = stringprep.in_table_d1(prepared[0]) and stringprep.in_table_d1(prepared[-1])
        if not ends or any(map(stringprep.in_table_d2, prepared)):
            return password
    return prepared
