# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A program that takes restic's words and keeps each copy as a directory, so that a test can alter one."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import sys
from pathlib import Path

REPOSITORY = Path(os.environ["RESTIC_REPOSITORY"])


def main() -> None:
    words = [word for word in sys.argv[1:] if word not in ("--quiet", "--retry-lock=30m")]
    if not Path(os.environ["RESTIC_PASSWORD_FILE"]).is_file():
        sys.exit("Fatal: no password")
    if words[0] == "init":
        REPOSITORY.mkdir(parents=True)
        return
    if not REPOSITORY.is_dir():
        sys.stderr.write("Fatal: repository does not exist: unable to open config file\n")
        sys.exit(10)
    copies = sorted(REPOSITORY.iterdir())
    if words[0] == "backup":
        target = REPOSITORY / f"{len(copies):08x}"
        shutil.copytree(".", target, ignore=shutil.ignore_patterns("work"))
    elif words[0] == "snapshots":
        now = datetime.datetime.now(datetime.UTC)
        found = []
        for index, copy in enumerate(copies):
            when = now - datetime.timedelta(hours=len(copies) - 1 - index)
            found.append(
                {"id": copy.name * 4, "short_id": copy.name, "time": when.strftime("%Y-%m-%dT%H:%M:%S.123456789Z")}
            )
        print(json.dumps(found))
    elif words[0] == "restore":
        source = REPOSITORY / words[1][:8]
        if (source / "unreadable").exists():
            sys.exit("Fatal: ciphertext verification failed")
        shutil.copytree(source, words[3].removeprefix("--target="), dirs_exist_ok=True)


if __name__ == "__main__":
    main()
