# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Detached OpenPGP signatures, checked by gpgv against one pinned key.

gpgv wants a binary keyring and hosts have no gpg, so the armor is taken off here, and fingerprints are computed here,
to tell a key that does not belong to its fingerprint before anything is downloaded. RFC 9580 sections 4.2 (packets),
5.5.4 (fingerprints) and 6 (armor).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from .errors import ReleaseError

_BLOCK = re.compile(
    r"-----BEGIN PGP PUBLIC KEY BLOCK-----[^\n]*\n(?:[A-Za-z]+:[^\n]*\n)*\s*\n?(?P<body>[A-Za-z0-9+/=\s]+?)"
    r"\n(?:=(?P<sum>[A-Za-z0-9+/]{4})\s*\n)?\s*-----END PGP PUBLIC KEY BLOCK-----"
)


def _crc24(data: bytes) -> int:
    value = 0xB704CE
    for byte in data:
        value ^= byte << 16
        for _bit in range(8):
            value <<= 1
            if value & 0x1000000:
                value ^= 0x1864CFB
    return value


def dearmor(text: str) -> bytes:
    """The keys of one or more armored public key blocks, in binary."""
    lines = "\n".join(line.strip() for line in text.strip().splitlines()) + "\n"
    keys = b""
    for block in _BLOCK.finditer(lines):
        try:
            data = base64.b64decode("".join(block["body"].split()), validate=True)
        except binascii.Error as error:
            raise ReleaseError(f"signing_key: the armored key is damaged: {error}") from None
        if block["sum"] and _crc24(data) != int.from_bytes(base64.b64decode(block["sum"]), "big"):
            raise ReleaseError("signing_key: the armored key is damaged: its checksum does not fit")
        keys += data
    if not keys:
        raise ReleaseError(
            "signing_key: must hold an armored OpenPGP public key (-----BEGIN PGP PUBLIC KEY BLOCK-----)"
        )
    return keys


def _length(data: bytes, at: int) -> tuple[int, int]:
    """A new-format packet length at an offset: (length, where the body begins)."""
    first = data[at]
    if first < 192:
        return first, at + 1
    if first < 224:
        return ((first - 192) << 8) + data[at + 1] + 192, at + 2
    if first == 255:
        return int.from_bytes(data[at + 1 : at + 5], "big"), at + 5
    raise ValueError("a key in pieces of partial length")


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(tag, body) of every packet."""
    at = 0
    while at < len(data):
        header = data[at]
        if not header & 0x80:
            raise ValueError("no packet where one should begin")
        if header & 0x40:
            tag = header & 0x3F
            size, start = _length(data, at + 1)
        else:
            tag, kind = (header >> 2) & 0x0F, header & 3
            if kind == 3:
                raise ValueError("a packet of indeterminate length")
            width = 1 << kind
            size, start = int.from_bytes(data[at + 1 : at + 1 + width], "big"), at + 1 + width
        if start + size > len(data):
            raise ValueError("it breaks off")
        yield tag, data[start : start + size]
        at = start + size


def _fingerprint(body: bytes) -> str:
    """Fingerprint of a public key packet, upper case hex."""
    if body[0] == 4:
        return hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body, usedforsecurity=False).hexdigest().upper()
    prefix = {5: b"\x9a", 6: b"\x9b"}.get(body[0])
    if prefix is None:
        raise ValueError(f"a key of version {body[0]}, which nobody makes any more")
    return hashlib.sha256(prefix + len(body).to_bytes(4, "big") + body).hexdigest().upper()


def fingerprints(keys: bytes) -> list[tuple[str, list[str]]]:
    """(primary fingerprint, fingerprints of its subkeys) of every key."""
    found: list[tuple[str, list[str]]] = []
    try:
        for tag, body in _packets(keys):
            if tag == 6:
                found.append((_fingerprint(body), []))
            elif tag == 14 and found:
                found[-1][1].append(_fingerprint(body))
            elif tag in {5, 7}:
                raise ReleaseError(
                    "signing_key: this is a SECRET key; give the public one, and consider that one burnt"
                )
    except (ValueError, IndexError) as error:
        raise ReleaseError(f"signing_key: the key cannot be read: {error}") from None
    return found


def normalised(fingerprint: str) -> str:
    """40 (or 64) hex digits in upper case; blanks and colons between them are people's."""
    plain = re.sub(r"[\s:]", "", fingerprint).upper().removeprefix("0X")
    if not re.fullmatch(r"[0-9A-F]{40}|[0-9A-F]{64}", plain):
        text = f"must be a whole fingerprint of 40 hex digits, found {fingerprint!r} (a short key id can be forged)"
        raise ReleaseError(f"fingerprint: {text}")
    return plain


def pinned_key(signing_key: str, fingerprint: str) -> tuple[bytes, str]:
    """(binary keys, normalised fingerprint), or ReleaseError if the one is not the other's."""
    wanted = normalised(fingerprint)
    keys = dearmor(signing_key)
    found = fingerprints(keys)
    if not any(wanted in {primary, *subkeys} for primary, subkeys in found):
        names = ", ".join(primary for primary, _subkeys in found) or "none"
        raise ReleaseError(f"fingerprint: {wanted} is not in signing_key, which holds {names}")
    return keys, wanted


def _day(stamp: str) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(int(stamp))) if stamp.isdigit() else stamp


def _status(output: str) -> dict[str, list[str]]:
    """gpgv's machine-readable lines: keyword to the arguments of its last occurrence."""
    lines = [line.split() for line in output.splitlines() if line.startswith("[GNUPG:] ")]
    return {words[1]: words[2:] for words in lines if len(words) > 1}


def judge(status: dict[str, list[str]], wanted: str, stderr: str) -> None:
    """Raise ReleaseError unless gpgv found a good signature by the pinned key, and the key is still valid."""
    valid = status.get("VALIDSIG", [])
    signer = (valid[-1] if valid else "").upper()  # the primary key's fingerprint is the last argument
    named = (status[word][0] for word in ("ERRSIG", "BADSIG", "EXPKEYSIG", "REVKEYSIG") if status.get(word))
    key = signer or next(named, "?")
    if "BADSIG" in status:
        raise ReleaseError(f"signature: does not fit the file: it was made by {key} for other bytes")
    if "REVKEYSIG" in status:
        raise ReleaseError(f"signature: the signing key {key} has been revoked: do not install, ask upstream")
    if "EXPKEYSIG" in status:
        # KEYEXPIRED alone says nothing: it is also there for subkeys that expired long ago and did not sign
        on = f" on {_day(status['KEYEXPIRED'][0])}" if status.get("KEYEXPIRED") else ""
        text = f"the signing key {key} expired{on}: put upstream's renewed key into signing_key"
        raise ReleaseError(f"signature: {text}")
    if "EXPSIG" in status:
        raise ReleaseError(f"signature: the signature itself has expired (key {key})")
    if "NO_PUBKEY" in status:
        raise ReleaseError(f"signature: wrong signer: made by key {status['NO_PUBKEY'][0]}, pinned is {wanted}")
    if "GOODSIG" not in status or not valid:
        last = (stderr.strip().splitlines() or ["gpgv said nothing"])[-1]
        raise ReleaseError(f"signature: cannot be checked: {last.removeprefix('gpgv: ')}")
    if wanted not in {signer, valid[0].upper()}:
        raise ReleaseError(f"signature: wrong signer: made by {signer}, pinned is {wanted}")


def verify(gpgv: str, keys: bytes, wanted: str, *, signature: Path, data: Path) -> None:
    """Check a detached signature (armored or binary) of a file. Raises ReleaseError with what is wrong with it."""
    with tempfile.TemporaryDirectory(dir=signature.parent) as home:
        keyring = Path(home, "pinned.gpg")
        keyring.write_bytes(keys)
        command = [gpgv, "--homedir", home, "--status-fd", "1", "--keyring", str(keyring), str(signature), str(data)]
        environment = {**os.environ, "LC_ALL": "C"}
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ReleaseError(f"signature: {gpgv} did not run: {error}") from None
    judge(_status(done.stdout), wanted, done.stderr)
    if done.returncode:
        raise ReleaseError(f"signature: gpgv refused it with code {done.returncode}")
