"""pgBackRest as far as the modules use it: answers recorded from 2.55.1, and a directory in which it keeps what it did.

Beside it: info.json is what info prints, fail-COMMAND holds "STATUS TEXT" to fail with, calls lists every call.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    command = next(word for word in reversed(sys.argv[1:]) if not word.startswith("-"))
    options = dict(word[2:].partition("=")[::2] for word in sys.argv[1:] if word.startswith("--"))
    with open(HERE / "calls", "a", encoding="utf-8") as calls:
        calls.write(json.dumps([command, options, sorted(name for name in os.environ if name.startswith("PG"))]) + "\n")
    refusal = HERE / f"fail-{command}"
    if refusal.exists():
        status, _blank, words = refusal.read_text().partition(" ")
        print(words, file=sys.stderr)
        times = HERE / f"times-{command}"
        if times.exists():
            left = int(times.read_text()) - 1
            times.write_text(str(left))
            if left == 0:
                refusal.unlink()
        return int(status)
    if command == "info":
        print((HERE / "info.json").read_text())
    elif command == "stanza-create":
        (HERE / "info.json").write_text((HERE / "created.json").read_text())
    elif command == "stanza-upgrade":
        for name in ("fail-check", "fail-stanza-create"):
            (HERE / name).unlink(missing_ok=True)
    elif command == "restore":
        data = Path(options["pg1-path"])
        (data / "PG_VERSION").write_text("17\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
