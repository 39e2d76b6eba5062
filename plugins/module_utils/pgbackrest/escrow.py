# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The passphrase of a repository, and a commitment to it that gives nothing away."""

from __future__ import annotations

import hashlib
import hmac
import re
import typing as t

LEAST = 32
# 16 MiB and some 50 ms a guess; a passphrase from a random generator would not even need that.
COST = {"n": 2**14, "r": 8, "p": 1}


def passphrase_of(text: str) -> str:
    """The passphrase in a file's text; ValueError, which does not show it, where it is none."""
    passphrase = text.strip()
    if not re.fullmatch(r"[\x21-\x7e]+", passphrase):
        raise ValueError("must be one line of printable ASCII without blanks, as openssl rand -base64 48 prints it")
    if len(passphrase) < LEAST:
        raise ValueError(f"must have at least {LEAST} characters, as openssl rand -base64 48 prints them")
    return passphrase


def commitment(text: str, label: str) -> dict[str, t.Any]:
    """What can be published of a passphrase, so that a copy of it can be checked: scrypt with the label as its salt."""
    salt = f"chainops.infra pgbackrest {label}"
    digest = hashlib.scrypt(passphrase_of(text).encode(), salt=salt.encode(), dklen=32, **COST)
    return {"salt": salt, "scrypt": {**COST}, "value": digest.hex()}


def matches(text: str, known: dict[str, t.Any]) -> bool:
    """Whether a copy is the passphrase that the commitment is of."""
    try:
        digest = hashlib.scrypt(text.strip().encode(), salt=known["salt"].encode(), dklen=32, **known["scrypt"])
        return hmac.compare_digest(digest.hex(), known["value"])
    except (KeyError, TypeError, ValueError):
        return False
