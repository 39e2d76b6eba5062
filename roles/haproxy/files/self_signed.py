# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Makes the certificate that a balancer signs itself, for labs: once, and again when the names change.

Its key is made on the host and never leaves it. /etc/haproxy/tls/self-signed.names says which names it is for.
"""

from __future__ import annotations

import grp
import ipaddress
import os
import subprocess
import sys
import tempfile
from pathlib import Path

DIRECTORY = Path("/etc/haproxy/tls")
DAYS = 3650


def subject(name: str) -> str:
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"


def main() -> int:
    names = (DIRECTORY / "self-signed.names").read_text(encoding="utf-8").split()
    certificate = DIRECTORY / "self-signed.pem"
    made_for = DIRECTORY / "self-signed.made-for"
    if certificate.exists() and made_for.exists() and made_for.read_text(encoding="utf-8").split() == names:
        return 0
    os.umask(0o077)
    with tempfile.TemporaryDirectory(dir=DIRECTORY) as work:
        key, cert = Path(work, "key"), Path(work, "cert")
        done = subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
                *("-days", str(DAYS), "-subj", f"/CN={names[0]}", "-keyout", str(key), "-out", str(cert)),
                *("-addext", "subjectAltName=" + ",".join(subject(name) for name in names)),
                *("-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            print(f"self-signed: openssl failed: {done.stderr}", file=sys.stderr)
            return 1
        both = Path(work, "both")
        both.write_text(cert.read_text(encoding="ascii") + key.read_text(encoding="ascii"), encoding="ascii")
        os.chown(both, 0, grp.getgrnam("haproxy").gr_gid)
        both.chmod(0o640)
        both.rename(certificate)
    made_for.write_text("\n".join(names) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
