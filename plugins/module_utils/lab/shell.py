# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Run commands of the machine, with errors that say which command and why."""

from __future__ import annotations

import os
import subprocess

SBIN = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class LabError(Exception):
    """Something the user can act on; its text is the whole message."""


def environment() -> dict[str, str]:
    """A small, fixed environment: the caller's locale, proxies for root and PYTHON* must not leak into hosts."""
    return {"PATH": SBIN, "LC_ALL": "C.UTF-8", "HOME": "/root"}


def run(
    argv: list[str], *, stdin: str | None = None, check: bool = True, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run ``argv`` to its end and return it; raises :class:`LabError` with its last lines when it fails."""
    try:
        done = subprocess.run(
            argv,
            input=stdin if stdin is not None else "",
            capture_output=True,
            check=False,
            text=True,
            errors="replace",
            timeout=timeout,
            env=environment(),
        )
    except FileNotFoundError as error:
        raise LabError(f"{argv[0]}: command not found") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(argv)}: no end after {timeout:g} s") from error
    if check and done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-8:]
        raise LabError(f"{' '.join(argv)} exited {done.returncode}: " + "\n".join(said))
    return done


def write(path: str, content: str, mode: int = 0o644) -> bool:
    """Write a file by rename, if its content differs; True when it did."""
    try:
        with open(path, encoding="utf-8") as file:
            if file.read() == content and os.stat(path).st_mode & 0o7777 == mode:
                return False
    except FileNotFoundError:
        pass
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = f"{path}.new"
    with open(temporary, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
    os.rename(temporary, path)
    return True
