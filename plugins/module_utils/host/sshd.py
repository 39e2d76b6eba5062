# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can be known of an sshd configuration before anybody tries to get in with it. Pure."""

from __future__ import annotations

import fnmatch
import typing as t

HEADER = "# Managed by Ansible (chainops.infra.sshd_config); it is put back if no new connection succeeds with it.\n"
LISTS = ("allowusers", "denyusers", "allowgroups", "denygroups")
# Options whose value sshd -T prints as it is written, so that the two can be compared.
COMPARABLE = ("yes", "no")


def render(settings: dict[str, t.Any], extra: str = "") -> str:
    """The text of the file. A list is one line; true and false are yes and no; null is left out."""
    lines = [f"{key} {words(value)}\n" for key, value in settings.items() if value not in (None, [], "")]
    return HEADER + "".join(lines) + (f"\n{extra.strip()}\n" if extra.strip() else "")


def words(value: t.Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def lowered(settings: dict[str, t.Any]) -> dict[str, t.Any]:
    return {key.lower(): value for key, value in settings.items()}


def lockouts(settings: dict[str, t.Any], user: str, by_password: bool) -> list[str]:
    """Why the user that Ansible itself comes as would not get in any more, as far as the settings alone tell."""
    own = lowered(settings)
    passwords, root = words(own.get("passwordauthentication", "yes")), words(own.get("permitrootlogin", "yes"))
    found = []
    if by_password and passwords == "no":
        found.append("PasswordAuthentication = no, but this connection uses a password: give the user a key first")
    if user == "root" and root == "no":
        found.append("PermitRootLogin = no, but this connection is root's: connect as a user with sudo first")
    if user == "root" and by_password and root in ("prohibit-password", "without-password"):
        found.append(f"PermitRootLogin = {root}, but this connection uses root's password: give root a key first")
    if not user:
        return found
    allowed = items(own.get("allowusers"))
    if allowed and not any(matches(user, pattern) for pattern in allowed):
        found.append(f"AllowUsers = {' '.join(allowed)} does not have {user}, who this connection belongs to")
    denied = [pattern for pattern in items(own.get("denyusers")) if "@" not in pattern and matches(user, pattern)]
    if denied:
        found.append(f"DenyUsers = {' '.join(denied)} has {user}, who this connection belongs to")
    return found


def items(value: t.Any) -> list[str]:
    return str(words(value)).split() if value else []


def matches(user: str, pattern: str) -> bool:
    """Whether a pattern of AllowUsers may fit; the part after @ depends on the address, which only a try can tell."""
    return fnmatch.fnmatchcase(user, pattern.split("@", maxsplit=1)[0])


def effective(report: str) -> dict[str, list[str]]:
    """sshd -T's report as {option: values}."""
    found: dict[str, list[str]] = {}
    for line in report.splitlines():
        key, _space, value = line.partition(" ")
        found.setdefault(key.lower(), []).append(value)
    return found


def overridden(settings: dict[str, t.Any], report: str) -> list[str]:
    """Settings of yes or no that are not in force, since sshd takes the first value and an earlier file has another."""
    found = effective(report)
    wrong = []
    for key, value in settings.items():
        actual = found.get(key.lower(), [])
        if words(value) in COMPARABLE and actual and actual[0] != words(value):
            wrong.append(f"{key} would be {actual[0]}, not {words(value)}: a file that is read earlier sets it")
    return wrong
