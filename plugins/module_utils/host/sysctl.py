# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kernel parameters below /proc/sys: compared, written where they differ, and read back."""

from __future__ import annotations

import errno
import typing as t
from dataclasses import asdict, dataclass
from pathlib import Path

OK, CHANGED, UNAVAILABLE = "ok", "changed", "unavailable"
REASONS = {
    errno.ENOENT: "this kernel (or this container) does not have it",
    errno.EROFS: "it is read-only here, as it belongs to the machine that this container runs on",
    errno.EACCES: "permission denied: it belongs to the machine, or the module does not run as root",
    errno.EPERM: "permission denied: it belongs to the machine, or the module does not run as root",
    errno.EINVAL: "the kernel refuses the value",
}


@dataclass
class Result:
    """state is ok, changed or unavailable; found is the value after all that was done, None where there is none."""

    name: str
    wanted: str
    read_from: str
    before: str | None = None
    found: str | None = None
    state: str = OK
    reason: str = ""

    def as_dict(self) -> dict[str, t.Any]:
        return asdict(self)


def path_of(name: str, root: Path = Path("/proc/sys")) -> Path:
    """The file of a parameter; a dot in an interface's name is a slash in it ("net.ipv4.conf.eth0/1.rp_filter")."""
    return root / name.translate(str.maketrans("./", "/."))


def normal(value: object) -> str:
    """A value as the kernel would print it, but for white space."""
    return " ".join(str(int(value) if isinstance(value, bool) else value).split())


def bring(values: dict[str, object], check: bool, root: Path = Path("/proc/sys")) -> list[Result]:
    """Every parameter at its value, as far as the kernel lets it; with check nothing is written."""
    return [bring_one(name, normal(value), check, root) for name, value in values.items()]


def bring_one(name: str, wanted: str, check: bool, root: Path) -> Result:
    file = path_of(name, root)
    result = Result(name, wanted, str(file))
    try:
        result.before = result.found = normal(file.read_text())
        if result.found == wanted:
            return result
        result.state = CHANGED
        if check:
            # Whether the kernel would take it shows only by writing; that it may be written at all can be seen.
            with file.open("r+"):
                return result
        file.write_text(f"{wanted}\n")
        result.found = normal(file.read_text())
        if result.found != wanted:
            result.state, result.reason = UNAVAILABLE, f"it is {result.found} after writing {wanted}"
    except OSError as error:
        result.state, result.reason = UNAVAILABLE, REASONS.get(error.errno or 0, error.strerror or str(error))
    return result


def describe(result: Result) -> str:
    """A result that is not as wanted, in one sentence."""
    found = "" if result.found is None else f", it is {result.found}"
    return f"{result.name} = {result.wanted} could not be applied{found} ({result.read_from}: {result.reason})"
