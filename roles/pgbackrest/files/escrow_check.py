# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Say whether the passphrase on standard input is the one that this host's repository is encrypted with.

    python3 escrow_check.py [/etc/pgbackrest/escrow.json] < COPY

It runs anywhere; bring it and the JSON file to where the copy is, not the copy to a host.
"""

from __future__ import annotations

import getpass
import hashlib
import hmac
import json
import sys
from pathlib import Path


def main() -> int:
    known = json.loads(Path(sys.argv[1] if len(sys.argv) > 1 else "/etc/pgbackrest/escrow.json").read_text())
    text = getpass.getpass("Passphrase from escrow: ") if sys.stdin.isatty() else sys.stdin.read()
    digest = hashlib.scrypt(text.strip().encode(), salt=known["salt"].encode(), dklen=32, **known["scrypt"])
    good = hmac.compare_digest(digest.hex(), known["value"])
    print("the copy is right" if good else "the copy is WRONG: it does not open this repository")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
