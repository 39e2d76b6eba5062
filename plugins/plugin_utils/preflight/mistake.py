# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One mistake, and how values are shown in it."""

from __future__ import annotations

import difflib
import json
import os
import typing as t
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ansible.parsing.vault import VaultHelper

try:
    from ansible._internal._datatag._tags import Origin
except ImportError:  # the tag is not public API: without it a message does not say in which file the value stands
    Origin = None

HIDDEN = "(hidden)"
SHOWN = 100


@dataclass(frozen=True)
class Mistake:
    """One wrong thing on one host.

    variable is the name a reader looks for, text the whole sentence after it, role whose documentation helps
    ("" for none), where the files and lines it was set in, as far as they are known.
    """

    host: str
    role: str
    variable: str
    text: str
    where: tuple[str, ...] = ()


def show(value: t.Any, hidden: bool = False) -> str:
    """The value as a person would write it in an inventory, on one line and not too long."""
    if hidden:
        return HIDDEN
    try:
        text = json.dumps(value, default=str, ensure_ascii=False)
    except (TypeError, ValueError):
        text = str(value)
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def from_vault(value: t.Any) -> bool:
    """Whether a value, or a part of it, was encrypted with Ansible Vault where it was set."""
    if isinstance(value, dict):
        return any(from_vault(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return any(from_vault(item) for item in value)
    return VaultHelper.get_ciphertext(value, with_tags=False) is not None


def origin(value: t.Any, outside: str = "") -> str:
    """File and line a value was read from, relative to the working directory where that is shorter.

    "" where it is not known, or for a file under the directory outside.
    """
    tag = Origin.get_tag(value) if Origin else None
    if not tag:
        return ""
    if not tag.path:
        return (tag.description or "").strip("<>")
    if outside and Path(tag.path).resolve().is_relative_to(Path(outside).resolve()):
        return ""
    path = os.path.relpath(tag.path)
    path = tag.path if path.startswith("../..") else path
    return f"{path}:{tag.line_num}" if tag.line_num else path


def suggest(name: str, known: Iterable[str], cutoff: float = 0.7) -> str:
    """The known name nearest to this one, or ""."""
    names = [str(item) for item in known]
    anagrams = [item for item in names if item != name and sorted(item) == sorted(name)]
    found = anagrams or difflib.get_close_matches(name, names, n=1, cutoff=cutoff)
    return found[0] if found else ""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """ "; did you mean …?" for the nearest known name, or ""."""
    nearest = suggest(name, known)
    return f"; did you mean {nearest}?" if nearest else ""
