# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The release that a role installs with the module release: <role>_version names an entry of <role>_releases.

Beside them a role may have <role>_release_checksum, which stands in for the entry's, and <role>_release_base_url, which
a relative URL is joined to.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.chainops.infra.plugins.module_utils.release import openpgp
from ansible_collections.chainops.infra.plugins.module_utils.release.errors import ReleaseError

from .mistake import HIDDEN, show
from .rules import release_option
from .spec import Problem

ENTRY = "url, checksum, signature_url, fingerprint and binaries"
Found = tuple[Problem, list[str]]


def check_release(
    release: str, options: t.Container[str], values: dict[str, t.Any], hidden: t.Container[str] = ()
) -> list[Found]:
    """What is wrong with the entry that is to run, each with the options that it is about.

    options are the role's, values those of them that are good: one that is wrong by itself, or waits for facts, is
    taken as given.
    """
    chosen = release_option(release, "version")
    if chosen not in values or release not in values:
        return []
    version, known = HIDDEN if chosen in hidden else values[chosen], values[release]
    if values[chosen] not in known:
        has = ", ".join(map(str, known)) or "nothing"
        return [
            (
                Problem(chosen, f"= {version} is not in {release}, which has {has}: add an entry with {ENTRY}"),
                [chosen, release],
            )
        ]
    entry, at, secret = known[values[chosen]], f"{release}['{version}']", release in hidden
    if not isinstance(entry, dict):
        return [(Problem(at, f"= {show(entry, secret)}: must be a dictionary with {ENTRY}"), [chosen, release])]

    def given(option: str) -> bool:
        return option in options and bool(values.get(option, True))

    def wrong(key: str, text: str, *others: str) -> Found:
        return Problem(f"{at}.{key}", f"= {show(entry.get(key, ''), secret)} {text}"), [chosen, release, *others]

    checksum, base_url = release_option(release, "release_checksum"), release_option(release, "release_base_url")
    found = []
    if not given(checksum) and not re.fullmatch("sha256:[0-9a-f]{64}", str(entry.get("checksum"))):
        target = checksum if checksum in options else f"{at}.checksum"
        text = "is no SHA-256 (sha256: and 64 lower-case hexadecimal digits)"
        if not secret:
            text += f": {how_to_get_it(entry)}, then set {target} to sha256:<what sha256sum prints>"
        found.append(wrong("checksum", text, checksum))
    if entry.get("signature_url") and not whole(entry.get("fingerprint")):
        text = "is no whole fingerprint of 40 hexadecimal digits, which its signature_url needs"
        found.append(wrong("fingerprint", f"{text}: give that of the signing key or subkey"))
    if not given(base_url) and not str(entry.get("url")).startswith("https://"):
        text = f"is no https:// URL, and {base_url}, which a relative one is joined to, is empty"
        found.append(wrong("url", text, base_url))
    return found


def how_to_get_it(entry: dict[str, t.Any]) -> str:
    """How a person comes to a checksum to trust."""
    text = f"download {entry.get('url') or 'the file'}"
    if entry.get("signature_url"):
        key = entry.get("fingerprint") or "named there"
        text += f" and {entry['signature_url']}, verify the file with gpg against the key {key}"
    return text


def whole(fingerprint: t.Any) -> bool:
    """Whether the module release would take it for a fingerprint."""
    try:
        openpgp.normalised(str(fingerprint))
    except ReleaseError:
        return False
    return True
