# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Commands of a bundle: validators and what follows a change. No shell, bounded time, output without secrets."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence

TIMEOUT = 300  # seconds; a daemon-reload or a sysctl --system takes a few, a hung one must not hang the play
OUTPUT_LINES = 20
OUTPUT_CHARACTERS = 4000

ENVIRONMENT = {
    **os.environ,
    "LC_ALL": "C.UTF-8",
    # a user's PATH lacks the directories that most validators live in
    "PATH": os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/local/sbin:/usr/sbin:/sbin",
}


class CommandFailed(Exception):
    """A command that is not there, failed or took too long; the text says which and what it printed."""


def exists(argv: Sequence[str]) -> bool:
    return shutil.which(argv[0], path=ENVIRONMENT["PATH"]) is not None


def run(argv: Sequence[str], mask: Sequence[str] = (), hide: bool = False) -> None:
    """Run a command; mask takes words out of its output, hide all of it."""
    name = shlex.join(argv)
    if not exists(argv):
        raise CommandFailed(f"{name}: there is no command {argv[0]} on this host")
    try:
        done = subprocess.run(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=ENVIRONMENT,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"{name}: not finished after {TIMEOUT} s, killed") from None
    except OSError as error:
        raise CommandFailed(f"{name}: {error.strerror}") from None
    if done.returncode:
        ending = f"exit status {done.returncode}" if done.returncode > 0 else f"killed by signal {-done.returncode}"
        output = "(its output is hidden: the file is secret)" if hide else shorten(done.stdout, mask)
        raise CommandFailed(f"{name}: {ending}: {output or '(no output)'}")


def shorten(output: bytes, mask: Sequence[str] = ()) -> str:
    """The last lines of an output, without the words of mask."""
    text = output.decode(errors="replace").strip()
    # the longest first: a word may be part of another
    for word in sorted(mask, key=len, reverse=True):
        text = text.replace(word, "********")
    return "\n".join(text.splitlines()[-OUTPUT_LINES:])[-OUTPUT_CHARACTERS:]
