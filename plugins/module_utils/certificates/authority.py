# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The site's authority: one key on one host, which signs for hosts what the inventory says of them and nothing else.

    <directory>/ca.key         its private key, root's alone
    <directory>/ca.pem         what hosts trust: the certificate of that key first, then any others (a rotation)
    <directory>/chain.pem      optional: what hosts send along with their certificate, if the key is an intermediate's
    <directory>/issued.jsonl   one line for each certificate that was ever signed

Serial numbers are random, as RFC 5280 allows and browsers demand, so that there is no counter to lose in a restore.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import secrets
import tempfile
import typing as t
from collections.abc import Iterator
from pathlib import Path

from . import files
from .openssl import (
    CURVE,
    Certificate,
    CertificateError,
    Request,
    alternative_names,
    certificates_in,
    make_key,
    openssl,
    public_key_of,
)

CA_DAYS = 3650
DAYS_MAX = 825  # what Apple's and other clients take at most of a private authority
# Clients from Python 3.13 on demand what RFC 5280 does: key identifiers and key usages must be there.
CA_EXTENSIONS = """basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
"""
HOST_EXTENSIONS = """basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
subjectAltName = {names}
"""


class Asked(t.NamedTuple):
    """A host's request, and what the inventory says that the host is called."""

    name: str
    csr: str
    names: list[str]


class Authority:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.key, self.bundle, self.chain = directory / "ca.key", directory / "ca.pem", directory / "chain.pem"
        self.issued = directory / "issued.jsonl"

    @property
    def exists(self) -> bool:
        """Half an authority is an error: neither another key nor another certificate may silently take its place.

        A key alone that never signed anything is what a run leaves that was killed while it made one.
        """
        have = [path.exists() for path in (self.key, self.bundle)]
        if have == [True, False] and not self.issued.exists():
            return False
        if any(have) and not all(have):
            missing = self.bundle if have[0] else self.key
            raise CertificateError(f"{missing} is missing beside the other half: restore it from a backup")
        return all(have)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """One signer at a time; two plays may run."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def found(self, site: str) -> None:
        """Make the authority. The certificate comes last, so that a run that is killed before it is begun anew."""
        subject = f"{site} CA {datetime.datetime.now(datetime.UTC):%Y-%m-%d} {secrets.token_hex(3)}"
        config = (
            f"[req]\nprompt = no\ndistinguished_name = dn\nx509_extensions = v3\n[dn]\nCN = {subject[-64:]}\n[v3]\n"
        )
        with tempfile.TemporaryDirectory(dir=self.directory) as scratch:
            key, request = Path(scratch, "ca.key"), Path(scratch, "ca.cnf")
            make_key(key)
            request.write_text(config + CA_EXTENSIONS, encoding="utf-8")
            serial = ["-set_serial", f"0x{secrets.randbits(126) | 1:x}"]
            signed = ["req", "-x509", "-new", "-sha256", "-key", str(key), "-days", str(CA_DAYS), *serial]
            pem = openssl(*signed, "-config", str(request))
            key.replace(self.key)
            files.put(self.bundle, pem, 0o644)

    def certificate(self) -> Certificate:
        """The authority's own certificate: the first of the bundle, and it must be that of the key."""
        bundle = certificates_in(self.bundle.read_text(encoding="ascii", errors="replace"))
        if not bundle:
            raise CertificateError(f"{self.bundle} holds no certificate")
        first = Certificate(bundle[0])
        if first.public_key != public_key_of(self.key):
            raise CertificateError(f"the first certificate of {self.bundle} is not that of {self.key}")
        if self.key.stat().st_mode & 0o077:
            raise CertificateError(
                f"{self.key} can be read by others than its owner: chmod 0600 it, and think of a new one"
            )
        return first

    def trusted(self) -> str:
        return "".join(certificates_in(self.bundle.read_text(encoding="ascii", errors="replace")))

    def check(self, asked: Asked) -> Request:
        """Refuse what the inventory does not say of this host, whatever the request says."""
        wanted = alternative_names([asked.name, *asked.names])
        try:
            request = Request(asked.csr)
        except CertificateError as error:
            raise CertificateError(f"{asked.name}: {error}") from error
        if request.subject != f"CN={asked.name}":
            raise CertificateError(f"{asked.name}: the request is for {request.subject}, not for CN={asked.name}")
        foreign = sorted(set(request.names) - set(wanted))
        if foreign or set(request.names) != set(wanted):
            lacking = sorted(set(wanted) - set(request.names))
            parts = [f"asks for {', '.join(foreign)}, which the inventory does not give it"] if foreign else []
            parts += [f"lacks {', '.join(lacking)}"] if lacking else []
            raise CertificateError(f"{asked.name}: the request {' and '.join(parts)}")
        if request.curve != CURVE:
            raise CertificateError(
                f"{asked.name}: the request's key is on {request.curve or 'no curve'}, not on {CURVE}"
            )
        return request

    def sign(self, asked: Asked, days: int) -> tuple[str, Certificate]:
        """A certificate with its chain. Its names are the inventory's; only the public key is the request's."""
        request = self.check(asked)
        left = int(self.certificate().days_left())
        if left < 1:
            raise CertificateError(f"the authority in {self.bundle} has expired: rotate it")
        extensions = HOST_EXTENSIONS.format(names=", ".join(alternative_names([asked.name, *asked.names])))
        serial = secrets.randbits(126) | 1
        with tempfile.TemporaryDirectory(dir=self.directory) as scratch:
            given, wanted = Path(scratch, "host.csr"), Path(scratch, "host.cnf")
            given.write_text(request.pem, encoding="ascii")
            wanted.write_text(extensions, encoding="utf-8")
            signer = ["-CA", str(self.bundle), "-CAkey", str(self.key), "-set_serial", f"0x{serial:x}", "-sha256"]
            period = ["-days", str(min(days, left))]
            pem = openssl("x509", "-req", "-in", str(given), *signer, *period, "-extfile", str(wanted))
        leaf = Certificate(pem)
        self._note(asked, leaf)
        chain = self.chain.read_text(encoding="ascii") if self.chain.exists() else ""
        return pem + "".join(certificates_in(chain)), leaf

    def _note(self, asked: Asked, leaf: Certificate) -> None:
        line = {
            "serial": leaf.serial,
            "host": asked.name,
            "names": leaf.names,
            "signed": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "ends": leaf.ends.isoformat(timespec="seconds"),
            "sha256": leaf.fingerprint,
        }
        with open(self.issued, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
