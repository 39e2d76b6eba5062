# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The release mirror's certificate: its own, from a CA made here, or one that is given.

Run by a daily timer, before the mirror starts, and when its configuration changes. It changes nothing while the
certificate in place is right: signed by the CA, for exactly these names, and good for another 30 days.

    <state>/ca/ca.key        the CA's key; never leaves this host, readable by root only
    <state>/tls/ca.pem       the CA's certificate, which other hosts are given; absent where the certificate is given
    <state>/tls/server.pem   key and certificate in one file, so that one rename replaces both
"""

from __future__ import annotations

import argparse
import grp
import ipaddress
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

GROUP = "artifact_mirror"
CA_DAYS = 3650
DAYS = 90
RENEW_BEFORE = 30 * 86400  # seconds
CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
# Python 3.13 and later check what RFC 5280 demands of a chain: key identifiers and key usages must be there.
CA_EXTENSIONS = """basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
"""
SERVER_EXTENSIONS = """basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
subjectAltName = {names}
"""


class CertificateError(Exception):
    """What is wrong, for the journal and for whoever ran it."""


def openssl(*arguments: str, data: str | None = None) -> str:
    """Run openssl and return what it prints."""
    done = subprocess.run(["openssl", *arguments], input=data, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[0]
        raise CertificateError(f"openssl {arguments[0]}: {reason}")
    return done.stdout


def holds(*arguments: str) -> bool:
    """Whether openssl agrees."""
    return subprocess.run(["openssl", *arguments], capture_output=True, check=False, timeout=60).returncode == 0


def put(path: Path, text: str, mode: int, group: int = 0) -> None:
    """Replace a file whole; it never exists with a wider mode than it is to have."""
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), mode)
            if os.geteuid() == 0:
                os.fchown(file.fileno(), 0, group)
            os.fsync(file.fileno())
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def alternative_name(name: str) -> str:
    """A name as subjectAltName has it."""
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        return f"DNS:{name.lower()}"


def names_in(certificate: Path) -> set[str]:
    """The subjectAltNames of a certificate."""
    text = openssl("x509", "-in", str(certificate), "-noout", "-ext", "subjectAltName")
    found = re.findall(r"(DNS|IP Address):([^,\s]+)", text)
    return {alternative_name(value) for _kind, value in found}


def covers(certificate: Path, name: str) -> bool:
    """Whether a certificate is good for a name, wildcards included."""
    kind = "-checkip" if alternative_name(name).startswith("IP:") else "-checkhost"
    command = ["openssl", "x509", "-in", str(certificate), "-noout", kind, name]
    # OpenSSL 3.5 (Debian 13) also exits with 1 where the name does not match, 3.0 with 0: its words are the same
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return "does match" in done.stdout


def request(subject: str, extensions: str, *arguments: str, key: Path, out: Path) -> None:
    """Make a key and a certificate for it."""
    with tempfile.NamedTemporaryFile("w", suffix=".cnf", dir=key.parent) as config:
        config.write(f"[req]\nprompt = no\ndistinguished_name = dn\nx509_extensions = v3\n[dn]\nCN = {subject}\n[v3]\n")
        config.write(extensions)
        config.flush()
        openssl("req", "-x509", "-config", config.name, *CURVE, *arguments, "-keyout", str(key), "-out", str(out))


class Mirror:
    """The certificate files of one mirror."""

    def __init__(self, state: Path, config: dict):
        self.names: list[str] = config["names"]
        self.given = (Path(config["certificate"]), Path(config["key"])) if config.get("certificate") else None
        self.ca_key, self.ca = state / "ca" / "ca.key", state / "tls" / "ca.pem"
        self.server = state / "tls" / "server.pem"
        for directory, mode in ((state / "ca", 0o700), (state / "tls", 0o755)):
            directory.mkdir(mode=mode, parents=True, exist_ok=True)
            directory.chmod(mode)

    def update(self) -> str:
        """Bring the files to what the configuration says; returns what was done."""
        return self._take_given(*self.given) if self.given else self._make_own()

    def _install(self, key: str, certificate: str) -> None:
        group = grp.getgrnam(GROUP).gr_gid if os.geteuid() == 0 else 0
        put(self.server, f"{key.strip()}\n{certificate.strip()}\n", 0o640, group)

    def _take_given(self, certificate: Path, key: Path) -> str:
        for path in (certificate, key):
            if not path.is_file():
                raise CertificateError(f"{path} does not exist")
        if not holds("x509", "-in", str(certificate), "-noout", "-checkend", "0"):
            raise CertificateError(f"{certificate} has expired, or is no PEM certificate")
        public = openssl("pkey", "-in", str(key), "-pubout", "-passin", "pass:")
        if public != openssl("x509", "-in", str(certificate), "-noout", "-pubkey"):
            raise CertificateError(f"{key} is not the key of {certificate}")
        if missing := [name for name in self.names if not covers(certificate, name)]:
            raise CertificateError(f"{certificate} is not for {', '.join(missing)} (artifact_mirror_names)")
        wanted = f"{key.read_text().strip()}\n{certificate.read_text().strip()}\n"
        self.ca.unlink(missing_ok=True)  # hosts that trusted our CA would be told the wrong thing
        if self.server.exists() and self.server.read_text() == wanted:
            return "the given certificate is in place"
        self._install(key.read_text(), certificate.read_text())
        return f"took {certificate}"

    def _make_own(self) -> str:
        if not (self.ca.exists() and self.ca_key.exists()):
            self._make_ca()
        elif not holds("x509", "-in", str(self.ca), "-noout", "-checkend", str(365 * 86400)):
            print(
                f"warning: the CA in {self.ca} ends within a year: remove {self.ca_key} to make another",
                file=sys.stderr,
            )
        reason = self._why_renew()
        if not reason:
            return "the certificate is in place"
        names = ", ".join(sorted({alternative_name(name) for name in self.names}))
        with tempfile.TemporaryDirectory(dir=self.ca_key.parent) as scratch:
            key, out = Path(scratch, "key"), Path(scratch, "pem")
            signer = ["-CA", str(self.ca), "-CAkey", str(self.ca_key), "-days", str(DAYS)]
            request("release mirror", SERVER_EXTENSIONS.format(names=names), *signer, key=key, out=out)
            self._install(key.read_text(), out.read_text())
        return f"made a certificate for {names}: {reason}"

    def _make_ca(self) -> None:
        with tempfile.TemporaryDirectory(dir=self.ca_key.parent) as scratch:
            key, out = Path(scratch, "key"), Path(scratch, "pem")
            request("release mirror CA", CA_EXTENSIONS, "-days", str(CA_DAYS), key=key, out=out)
            put(self.ca_key, key.read_text(), 0o600)
            put(self.ca, out.read_text(), 0o644)

    def _why_renew(self) -> str:
        """Why the certificate in place will not do; empty if it will."""
        if not self.server.exists():
            return "there was none"
        if not holds("verify", "-CAfile", str(self.ca), str(self.server)):
            return "the one there was not from this CA"
        if not holds("x509", "-in", str(self.server), "-noout", "-checkend", str(RENEW_BEFORE)):
            return "the one there ends within 30 days"
        if names_in(self.server) != {alternative_name(name) for name in self.names}:
            return "the one there was for other names"
        return ""


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Make, renew or take the release mirror's certificate.")
    parser.add_argument("config", type=Path, help="JSON with names, certificate and key")
    parser.add_argument("--state", type=Path, default=Path("/var/lib/artifact_mirror"), help="where the files are")
    options = parser.parse_args()
    os.umask(0o077)
    try:
        print(Mirror(options.state, json.loads(options.config.read_text())).update())
    except (CertificateError, OSError, KeyError, ValueError) as error:
        print(f"certificate: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
