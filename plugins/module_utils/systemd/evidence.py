# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a process was started from what is on disk now.

After a start by the module C(unit) a record holds a digest of each file and the unit's invocation id. While systemd
reports the same id, digests decide. Another id means that systemd or a person has started the unit since; then a file
that changed after that start (by its ctime, which no copy or rename can set back) has not been read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fnmatch
import hashlib
import json
import os
import re
import typing as t
from pathlib import Path

from .systemctl import Unit

ABSENT = "absent"
# Times of files lag behind the clock by up to one tick of the kernel.
TICK = 0.02
INSTALL = re.compile(r"^\s*(WantedBy|RequiredBy)\s*=([^\n]*)$", re.MULTILINE)
UNIT_DIRECTORIES = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
)
CREDENTIAL = re.compile(r"^\s*LoadCredential(?:Encrypted)?\s*=\s*[^:\s]+:(\S+)", re.MULTILINE)


def state_directory() -> Path:
    if os.environ.get("CHAINOPS_STATE"):
        return Path(os.environ["CHAINOPS_STATE"], "units")
    return Path("/var/lib/chainops/units")


@dataclasses.dataclass
class Record:
    """What a unit was started from. Digests of secrets are in it: only root can read it."""

    invocation: str = ""
    restart: dict[str, str] = dataclasses.field(default_factory=dict)
    reload: dict[str, str] = dataclasses.field(default_factory=dict)
    release: str = ""

    @classmethod
    def read(cls, name: str) -> Record:
        try:
            return cls(**json.loads(path_of(name).read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            # none, or one of another version: times of files decide
            return cls()

    def write(self, name: str) -> None:
        path = path_of(name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".new")
        with open(temporary, "w", opener=lambda file, flags: os.open(file, flags, 0o600)) as handle:
            json.dump(dataclasses.asdict(self), handle)
        temporary.replace(path)


def path_of(name: str) -> Path:
    return state_directory() / f"{name.replace('/', '-')}.json"


@dataclasses.dataclass
class Evidence:
    """The files a unit depends on, as they are on disk."""

    unit: Unit
    restart: dict[str, str]
    reload: dict[str, str]
    release: str

    @classmethod
    def collect(cls, unit: Unit, restart_on: list[str], reload_on: list[str], release: str | None) -> Evidence:
        implied = implied_files(unit)
        reload = {path: digest(path) for path in expand(reload_on) if path not in implied}
        restart = {path: digest(path) for path in [*implied, *expand(restart_on)] if path not in reload}
        return cls(unit, restart, reload, str(Path(release).resolve()) if release else "")

    def record(self, invocation: str) -> Record:
        return Record(invocation, self.restart, self.reload, self.release)

    def waiting(self, record: Record, invocation: str) -> Record:
        """What a process that was not restarted was started from, as far as the last record knows that."""
        if not self._same(record.invocation):
            return record
        return Record(invocation, record.restart, self.reload, record.release)

    def add_made_by_start(self, after: Evidence) -> None:
        """Take in files that were not there before a start and were when the main process began: the start made them,
        or a unit that it waits for did, as a secret that is made on the host."""
        for known, found in ((self.restart, after.restart), (self.reload, after.reload)):
            for path, digested in found.items():
                absent = known.get(path, ABSENT) == ABSENT and digested != ABSENT
                if absent and changed_at(path) <= after.unit.main_started:
                    known[path] = digested

    def differences(self, record: Record) -> tuple[list[str], list[str]]:
        """Why the unit's processes are not what the disk says: reasons to restart, and reasons to reload."""
        return (
            list(self._changed(self.restart, record.restart, record.invocation, 0.0)),
            list(self._changed(self.reload, record.reload, record.invocation, self.unit.reloaded)),
        )

    def _changed(self, now: dict[str, str], then: dict[str, str], invocation: str, reloaded: float) -> t.Iterator[str]:
        """Files that are not as they were when they were read; a reload that somebody else made has read them too."""
        same = self._same(invocation)
        for path, found in now.items():
            if same and path in then:
                if found == ABSENT and then[path] != ABSENT and removed_at(path) > reloaded - TICK:
                    yield f"{path} was removed"
                elif found not in (ABSENT, then[path]) and changed_at(path) > reloaded - TICK:
                    yield f"{path} changed"
            elif found != ABSENT and changed_at(path) > max(self.unit.started, reloaded) - TICK:
                yield f"{path} changed after the start"
        for path, digested in then.items():
            if (same and path in now) or digested == ABSENT or Path(path).exists():
                continue
            if removed_at(path) > (reloaded if same else max(self.unit.started, reloaded)) - TICK:
                yield f"{path} was removed"

    def _same(self, invocation: str) -> bool:
        return bool(invocation) and invocation == self.unit.invocation

    def program(self, record: Record, release: str | None) -> str:
        """Why the program that runs is not the one on disk, or nothing."""
        pid = self.unit.number("MainPID")
        try:
            running = str(Path(f"/proc/{pid}/exe").readlink()) if pid else ""
        except OSError:
            running = ""
        if release and running.startswith(f"{Path(release).parent}/"):
            if not running.startswith(f"{self.release}/"):
                return f"it runs {running.removesuffix(' (deleted)')}, and {release} is {self.release}"
        elif release and os.path.lexists(release):  # in check mode it may not be there yet
            # an interpreter, or no main process
            if self._same(record.invocation) and record.release:
                changed = record.release != self.release
            else:
                changed = Path(release).lstat().st_ctime > self.unit.started - TICK
            if changed:
                return f"{release} is {self.release} now"
        return (
            f"its program {running.removesuffix(' (deleted)')} was replaced" if running.endswith(" (deleted)") else ""
        )

    def planned(self, wish: t.Any) -> tuple[list[str], list[str]]:
        """What files that an earlier task would change in check mode would lead to: restart, reload."""
        restart, reload = [], []
        template = re.sub(r"@.*(?=\.)", "@", self.unit.name)
        for path in wish.planned:
            name, folder = Path(path).name, Path(path).parent.name.removesuffix(".d")
            if path in self.reload or matches(path, wish.reload_on):
                reload.append(f"{path} would change")
            elif (
                path in self.restart
                or path == wish.release
                or matches(path, wish.restart_on)
                or {name, folder} & {self.unit.name, template}
            ):
                restart.append(f"{path} would change")
        return restart, reload


def matches(path: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatch(path, pattern) or path.startswith(f"{pattern}/") for pattern in patterns)


def missing_links(unit: Unit) -> bool:
    """Whether the [Install] section asks for a start that no link in the unit directories stands for yet."""
    fragment = unit.get("FragmentPath")
    if not fragment or "@" in unit.name:
        return False
    try:
        text = Path(fragment).read_text(errors="replace")
    except OSError:
        return False
    for kind, targets in INSTALL.findall(text):
        folder = "wants" if kind == "WantedBy" else "requires"
        for target in targets.split():
            if "%" not in target and not any(
                Path(base, f"{target}.{folder}", unit.name).is_symlink() for base in UNIT_DIRECTORIES
            ):
                return True
    return False


def implied_files(unit: Unit) -> list[str]:
    """The unit's file, its drop-ins, and the files those read at a start."""
    files = [
        path
        for path in (unit.get("FragmentPath"), unit.get("SourcePath"), *unit.get("DropInPaths").split())
        if path and path != "/dev/null"
    ]
    read: list[str] = []
    for line in unit.properties.get("EnvironmentFiles", []):
        path = line.rpartition(" (")[0] or line
        if path:
            read += expand([path])
    for file in files:
        with contextlib.suppress(OSError):
            # systemctl show does not print credentials
            read += [path for path in CREDENTIAL.findall(Path(file).read_text(errors="replace")) if path[0] == "/"]
    return [*files, *read]


def expand(patterns: list[str]) -> list[str]:
    """Files named by paths, patterns and directories; a path that is not there stays, as its absence can change."""
    found: list[str] = []
    for pattern in patterns:
        path = Path(pattern)
        if any(character in pattern for character in "*?["):
            matches = sorted(Path("/").glob(pattern.lstrip("/")))
        else:
            matches = [path]
        for match in matches:
            if match.is_dir():
                found += sorted(str(file) for file in match.rglob("*") if file.is_file())
            else:
                found.append(str(match))
    return found


def digest(path: str) -> str:
    try:
        with open(path, "rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT


def changed_at(path: str) -> float:
    """When a file, or a link on its place, changed last."""
    return max(Path(path).stat().st_ctime, Path(path).lstat().st_ctime)


def removed_at(path: str) -> float:
    """The latest time at which a path that is gone can have been removed."""
    parent = Path(path).parent
    while not parent.exists():
        parent = parent.parent
    return parent.stat().st_mtime
