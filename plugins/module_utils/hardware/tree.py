# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files below a root directory. With any root but / there is no running kernel, so no command and no system call."""

from __future__ import annotations

import errno
import fnmatch
import os
import shutil
import subprocess
from pathlib import Path

from .reading import Unreadable

REASONS = {
    errno.ENOENT: "there is no such file",
    errno.EACCES: "permission denied; run the module as root",
    errno.EPERM: "permission denied; run the module as root",
    errno.EINVAL: "the kernel has no value for it (the device is down)",
    errno.ENODEV: "the device is gone",
}
COMMAND_TIMEOUT = 20
"""Seconds; an IPMI controller that is busy takes several to list its sensors."""


def why(error: OSError) -> str:
    return REASONS.get(error.errno or 0, error.strerror or str(error))


class Tree:
    """Reads /sys, /proc and the like below root."""

    def __init__(self, root: str = "/") -> None:
        self.root = Path(root)
        self.live = self.root.resolve() == Path("/")

    def _real(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def data(self, path: str) -> bytes:
        try:
            return self._real(path).read_bytes()
        except OSError as error:
            raise Unreadable(path, why(error)) from error

    def text(self, path: str) -> str:
        return self.data(path).decode("utf-8", "replace").strip("\0 \n")

    def number(self, path: str) -> int:
        text = self.text(path)
        try:
            return int(text, 0)
        except ValueError as error:
            raise Unreadable(path, f"{text!r} is no number") from error

    def exists(self, path: str) -> bool:
        return self._real(path).exists()

    def names(self, path: str, pattern: str = "*") -> list[str]:
        """Sorted names in a directory."""
        try:
            entries = [entry.name for entry in self._real(path).iterdir()]
        except OSError as error:
            raise Unreadable(path, why(error)) from error
        return sorted(fnmatch.filter(entries, pattern))

    def target(self, path: str) -> str:
        """Where a symbolic link of sysfs leads, as a path below root ("/sys/devices/pci0000:00/…")."""
        try:
            return "/" + str(self._real(path).resolve(strict=True).relative_to(self.root.resolve()))
        except OSError as error:
            raise Unreadable(path, why(error)) from error
        except ValueError as error:
            raise Unreadable(path, f"it leads out of {self.root}") from error

    def command(self, *argv: str) -> str:
        """The output of a program of the host."""
        shown = " ".join(argv)
        if not self.live:
            raise Unreadable(shown, "no command is run for another root than /")
        if shutil.which(argv[0]) is None:
            raise Unreadable(shown, f"{argv[0]} is not installed")
        try:
            done = subprocess.run(
                argv,
                capture_output=True,
                text=True,
                timeout=COMMAND_TIMEOUT,
                check=False,
                env={**os.environ, "LC_ALL": "C"},
            )
        except subprocess.TimeoutExpired as error:
            raise Unreadable(shown, f"no answer within {COMMAND_TIMEOUT} s") from error
        if done.returncode != 0:
            last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
            raise Unreadable(shown, f"it ended with status {done.returncode}: {last}")
        return done.stdout
