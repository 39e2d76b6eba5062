# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a host has a bundle already, asked by one shell command: a module takes three times as long to say the same.

Only a plain yes counts. Whatever else there may be, down to the traces of a run that was killed, is for the module.
"""

from __future__ import annotations

import hashlib
import shlex
import stat
from collections.abc import Sequence
from pathlib import PurePath

from ansible_collections.chainops.infra.plugins.module_utils.bundle.model import Bundle, Owned
from ansible_collections.chainops.infra.plugins.module_utils.bundle.stage import STAGE_PREFIX

STAT = "%f %u %g %U %G"
# Root alone, since owners that are not named are those of the user; no entry of the journal; nothing that must not be.
SCRIPT = """
test "$(id -u)" = 0 || exit 1
for trace in "${{CHAINOPS_STATE:-/var/lib/chainops}}"/templates/*.json {stages}; do test -e "$trace" && exit 1; done
for path in {absent}; do if test -e "$path" || test -L "$path"; then exit 1; fi; done
{facts}
"""
NOTHING_TO_DO = {
    "changed": False,
    "changed_files": [],
    "changed_directories": [],
    "completed": False,
    "commands": [],
    "backup_files": {},
}


def question(bundle: Bundle) -> str:
    """The shell command; empty where it could not tell."""
    if bundle.purge:
        return ""
    files = shlex.join(file.path for file in bundle.files)
    directories = shlex.join(directory.path for directory in bundle.directories)
    parents = sorted({str(PurePath(path).parent) for path in bundle.paths})
    facts = []
    if files:
        facts += [f"stat -c '{STAT}' -- {files}", f"sha256sum -- {files}"]
    if directories:
        facts.append(f"stat -L -c '{STAT}' -- {directories}")
    return SCRIPT.format(
        stages=" ".join(f"{shlex.quote(parent)}/{STAGE_PREFIX}*" for parent in parents),
        absent=shlex.join(bundle.absent),
        facts=" && ".join(facts) or ":",
    )


def is_there(bundle: Bundle, answer: str) -> bool:
    """Whether the command's output says that all is as the bundle wants it."""
    lines = answer.splitlines()
    count = len(bundle.files)
    if len(lines) != 2 * count + len(bundle.directories):
        return False
    files, sums, directories = lines[:count], lines[count : 2 * count], lines[2 * count :]
    digests = [hashlib.sha256(file.content).hexdigest() for file in bundle.files]
    return (
        all_owned(bundle.files, stat.S_IFREG, files)
        and all_owned(bundle.directories, stat.S_IFDIR, directories)
        and [line.split(" ")[0] for line in sums] == digests
    )


def all_owned(wanted: Sequence[Owned], kind: int, lines: list[str]) -> bool:
    return all(owned(entry, kind, line) for entry, line in zip(wanted, lines, strict=True))


def owned(entry: Owned, kind: int, line: str) -> bool:
    """Whether a line of stat shows this kind, mode, owner and group."""
    mode, uid, gid, user, group = line.split(" ")
    return (
        int(mode, 16) == kind | entry.mode
        and (entry.owner or "0") in (uid, user)
        and (entry.group or "0") in (gid, group)
    )
