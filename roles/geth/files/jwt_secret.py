# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Makes the secret that authenticates a pair's engine link, where there is none. It is never shown and never leaves.

    jwt_secret PATH GROUP

The file appears by one link(2), so that it is whole or not there, and a secret that exists is never replaced, not even
by two of these at once. It must be a regular file of 64 hexadecimal digits; anything else is refused, as the clients
would refuse it one by one, with messages that do not say which of them is wrong.
"""

from __future__ import annotations

import contextlib
import grp
import os
import re
import secrets
import stat
import sys
from pathlib import Path

MODE = 0o640
_SECRET = re.compile(r"(0x)?[0-9a-fA-F]{64}\s*")


def ensure(path: Path, gid: int) -> str:
    """Make the secret if there is none; the text says what was done and holds nothing secret."""
    done = "kept"
    if not os.path.lexists(path):
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                os.fchown(file.fileno(), -1, gid)
                os.fchmod(file.fileno(), MODE)
                file.write(secrets.token_hex(32))
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):  # another one was faster: its secret counts
                os.link(temporary, path)
                done = "made"
        finally:
            temporary.unlink()
    check(path)
    if (path.stat().st_gid, stat.S_IMODE(path.stat().st_mode)) != (gid, MODE):
        os.chown(path, -1, gid)
        path.chmod(MODE)
        done = f"{done}, group and mode set"
    return done


def check(path: Path) -> None:
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise ValueError(f"{path} is no regular file: remove it, and a secret is made at the next start")
    if not _SECRET.fullmatch(path.read_text(encoding="ascii", errors="replace")):
        raise ValueError(
            f"{path} does not hold 64 hexadecimal digits: remove it, start this unit, then restart both clients"
        )


def main(arguments: list[str]) -> int:
    path, group = Path(arguments[0]), arguments[1]
    try:
        done = ensure(path, grp.getgrnam(group).gr_gid)
    except KeyError:
        print(f"there is no group {group}", file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        print(f"engine secret: {error}", file=sys.stderr)
        return 1
    print(f"engine secret {path}: {done}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
