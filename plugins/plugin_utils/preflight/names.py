# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Variables that nobody reads: a misspelt option is silently ignored by Ansible, and the default applies."""

from __future__ import annotations

from collections.abc import Iterable

from .mistake import suggest
from .places import SITE_OPTIONS

# A site may have site_* variables of its own: only what is nearly one of ours is taken for a slip of the pen.
SITE_CUTOFF = 0.9


def owner(name: str, roles: Iterable[str]) -> str:
    """The role a variable belongs to by its prefix, the longest one where several fit; "" if none does."""
    fitting = [role for role in roles if name.startswith(f"{role}_")]
    return max(fitting, key=len, default="")


def unknown(names: Iterable[str], options: dict[str, set[str]]) -> dict[str, tuple[str, str]]:
    """{name: (role, nearest known name or "")} of those names that no role reads.

    options is {role: names of its options}. A name counts if it has a role's prefix, or if its letters are those of a
    known option in another order (gteh_http_port), or if it is nearly the name of a site variable.
    """
    known = {name for each in options.values() for name in each}
    everything = known | set(SITE_OPTIONS)
    by_letters = {"".join(sorted(name)): name for name in everything}
    result = {}
    for name in names:
        if name in everything or name.startswith("_"):
            continue
        role = owner(name, options)
        if role:
            result[name] = (role, suggest(name, options[role]) or suggest(name, known))
        elif name.startswith("site_"):
            nearest = suggest(name, SITE_OPTIONS, SITE_CUTOFF)
            if nearest:
                result[name] = ("", nearest)
        elif "".join(sorted(name)) in by_letters:
            result[name] = ("", by_letters["".join(sorted(name))])
    return result
