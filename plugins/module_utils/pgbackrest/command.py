# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""pgBackRest and PostgreSQL's programs, run as the user whose files they are."""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
import typing as t
from dataclasses import dataclass

# What an error shows of a program's output: the end, where the reason is.
SHOWN = 1500
LOCKED = 50


class PgbackrestError(Exception):
    """What went wrong, in words for whoever reads the play's output."""


class NotThere(PgbackrestError):
    """A user or a program is missing, as before a first run."""


@dataclass(frozen=True)
class Done:
    """How a program ended."""

    code: int
    out: str
    err: str

    @property
    def reason(self) -> str:
        """The end of what it said, from which the lines of all is well are left out."""
        lines = [line for line in (self.err + "\n" + self.out).splitlines() if line.strip() and " INFO: " not in line]
        return "\n".join(lines)[-SHOWN:] or f"it ended with status {self.code} and said nothing"


def identity(user: str | None) -> dict[str, t.Any]:
    """The arguments of subprocess that make a program run as this user; none where this process is the user already."""
    if not user or os.geteuid() != 0:
        return {}
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise NotThere(f"the user {user} is not on this host") from None
    groups = [group.gr_gid for group in grp.getgrall() if user in group.gr_mem]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": groups}


def run(words: list[str], user: str | None = None, text: str = "", timeout: float | None = None) -> Done:
    """Run a program without a shell; PgbackrestError if it is missing or takes longer than it may."""
    # Settings of the caller's environment (PGBACKREST_*, PG*) must not reach it.
    env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8", "HOME": "/"}
    try:
        done = subprocess.run(
            words,
            input=text.encode(),
            capture_output=True,
            check=False,
            timeout=timeout,
            env=env,
            cwd="/",
            **identity(user),
        )
    except FileNotFoundError:
        raise NotThere(f"{words[0]} is not on this host") from None
    except PermissionError as error:
        raise PgbackrestError(f"{words[0]} cannot be run as {user or 'this user'}: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise PgbackrestError(f"{words[0]} did not end within {timeout:g} s") from None
    return Done(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


@dataclass(frozen=True)
class Pgbackrest:
    """pgBackRest for one cluster."""

    stanza: str
    user: str | None = None
    config: str | None = None
    program: str = "pgbackrest"

    def run(self, command: str, *options: str, timeout: float | None = None) -> Done:
        config = [f"--config={self.config}"] if self.config else []
        return run(
            [self.program, *config, f"--stanza={self.stanza}", "--log-level-console=warn", *options, command],
            self.user,
            timeout=timeout,
        )

    def must(self, command: str, *options: str, timeout: float | None = None) -> Done:
        """Run it, and raise with its own words if it fails."""
        done = self.run(command, *options, timeout=timeout)
        if done.code:
            raise PgbackrestError(f"pgbackrest {command} ended with status {done.code}: {done.reason}")
        return done
