# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Run commands of the machine, with errors that say which command and why."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

SBIN = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class LabError(Exception):
    """Something the user can act on; its text is the whole message."""


def environment() -> dict[str, str]:
    """A small, fixed environment: the caller's locale, proxies for root and PYTHON* must not leak into hosts."""
    return {"PATH": SBIN, "LC_ALL": "C.UTF-8", "HOME": "/root"}


def run(
    argv: Sequence[str | Path],
    *,
    stdin: str | None = None,
    check: bool = True,
    timeout: float = 60,
    hold: Sequence[int] = (),
) -> subprocess.CompletedProcess[str]:
    """Run ``argv`` to its end and return it; raises :class:`LabError` with its last lines when it fails.

    ``hold`` are file descriptors that the command keeps open, so that a lock outlives us as long as the command does.
    """
    command = [str(word) for word in argv]
    shown = " ".join(command)
    if len(shown) > 200:
        shown = shown[:200] + " …"
    try:
        done = subprocess.run(
            command,
            input=stdin if stdin is not None else "",
            capture_output=True,
            check=False,
            text=True,
            errors="replace",
            timeout=timeout,
            env=environment(),
            pass_fds=hold,
        )
    except FileNotFoundError as error:
        raise LabError(f"{command[0]}: command not found") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{shown}: no end after {timeout:g} s") from error
    if check and done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-8:]
        raise LabError(f"{shown} exited {done.returncode}: " + "\n".join(said))
    return done


def unshared(argv: Sequence[str | Path]) -> list[str | Path]:
    """The command line that runs ``argv`` in a mount namespace of its own, with which its mounts end."""
    return ["unshare", "--mount", "--propagation", "private", "--", *argv]


def remove_tree(path: Path) -> None:
    """Delete a directory with all that is in it, but never what is mounted there: that would be the machine's own."""
    inside = f"{path.resolve()}/"
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        point = line.split()[4]
        if f"{point}/".startswith(inside):
            raise LabError(f"{path} is to be deleted, but something is mounted at {point}; umount it first")
    shutil.rmtree(path)


def write(path: Path, content: str, mode: int = 0o644, owner: int = 0) -> bool:
    """Write a file by rename, if its content, mode or owner differ; True when it did."""
    with contextlib.suppress(FileNotFoundError):
        status = path.stat()
        as_wanted = (status.st_mode & 0o7777, status.st_uid) == (mode, owner)
        if as_wanted and path.read_text(encoding="utf-8") == content:
            return False
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.new")
    with open(temporary, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        os.fchown(file.fileno(), owner, owner)
        os.fchmod(file.fileno(), mode)
        file.write(content)
    temporary.rename(path)
    return True
