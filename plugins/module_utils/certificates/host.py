# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host's own key and certificate, which change together or not at all.

<directory>/versions/<time>-<random>/{host.key,host.pem,ca.pem}   each whole and never changed again
<directory>/current -> versions/…                                 turned by one rename
<directory>/{host.key,host.pem,ca.pem} -> current/…               what services are configured with
<directory>/pending/{host.key,host.csr}                           a key that waits for its certificate
"""

from __future__ import annotations

import datetime
import grp
import os
import secrets
import shutil
import stat
import typing as t
from pathlib import Path

from . import files
from .openssl import (
    Certificate,
    CertificateError,
    Request,
    alternative_names,
    certificates_in,
    make_key,
    make_request,
    public_key_of,
    verifies,
)

NAMES = ("host.key", "host.pem", "ca.pem")
KEY_MODE, FILE_MODE = 0o640, 0o644
UNREADABLE = "the one in use cannot be read"


class Wanted(t.NamedTuple):
    """What the inventory says that the certificate must be."""

    common_name: str
    names: list[str]
    renew_days: int
    renew: bool = False

    @property
    def alternative_names(self) -> list[str]:
        return alternative_names([self.common_name, *self.names])


class HostFiles:
    def __init__(self, directory: Path, group: str, check: bool = False) -> None:
        self.directory, self.check = directory, check
        self.pending, self.current = directory / "pending", directory / "current"
        self.changed = False
        self._group = group

    @property
    def group(self) -> int:
        try:
            return grp.getgrnam(self._group).gr_gid
        except KeyError as error:
            raise CertificateError(f"there is no group {self._group}: install the package ssl-cert") from error

    def text(self, name: str) -> str:
        """A file that is in use, or nothing."""
        path = self.current / name
        return path.read_text(encoding="ascii", errors="replace") if path.exists() else ""

    def leaf(self) -> Certificate | None:
        found = certificates_in(self.text("host.pem"))
        return Certificate(found[0]) if found else None

    def why_renew(self, wanted: Wanted) -> str:
        """Why the certificate in use will not do; empty if it will."""
        try:
            leaf = self.leaf()
        except CertificateError:
            return UNREADABLE
        if leaf is None or not (self.current / "host.key").exists():
            return "there is none"
        if not self._pair(leaf):
            return "the one in use is not that of its key"
        return "a new one is asked for" if wanted.renew else self._why_not(leaf, wanted)

    def _why_not(self, leaf: Certificate, wanted: Wanted) -> str:
        days = leaf.days_left()
        if days < wanted.renew_days:
            return f"the one in use ends in {days:.0f} days" if days > 0 else "the one in use has expired"
        if leaf.subject != f"CN={wanted.common_name}" or set(leaf.names) != set(wanted.alternative_names):
            return "the one in use is for other names"
        reason = verifies(leaf.pem, self.text("ca.pem"), self._chain())
        return f"the one in use is not from the authority beside it ({reason})" if reason else ""

    def _chain(self) -> str:
        return "".join(certificates_in(self.text("host.pem"))[1:])

    def _pair(self, leaf: Certificate) -> bool:
        try:
            return public_key_of(self.current / "host.key") == leaf.public_key
        except CertificateError:
            return False

    def request(self, wanted: Wanted) -> str:
        """The request for a new certificate. An unanswered one that asks for the same is asked again."""
        kept = self._unanswered(wanted)
        if kept:
            return kept
        self.changed = True
        if self.check:
            return ""
        self._directories()
        shutil.rmtree(self.pending, ignore_errors=True)  # what is left shows as an error of the next line
        self.pending.mkdir(mode=0o700)
        make_key(self.pending / "host.key")
        csr = make_request(self.pending / "host.key", wanted.common_name, wanted.alternative_names)
        files.put(self.pending / "host.csr", csr, 0o600)
        return csr

    def _unanswered(self, wanted: Wanted) -> str:
        path = self.pending / "host.csr"
        if not path.exists():
            return ""
        try:
            request = Request(path.read_text(encoding="ascii", errors="replace"))
            mine = public_key_of(self.pending / "host.key") == request.public_key
        except CertificateError:
            return ""
        same = request.subject == f"CN={wanted.common_name}" and set(request.names) == set(wanted.alternative_names)
        return request.pem if mine and same else ""

    def install(self, certificate: str, bundle: str, wanted: Wanted) -> None:
        """Put the certificate that answers the pending request in use, together with its key."""
        chain = certificates_in(certificate)
        if not chain:
            raise CertificateError("what is to be installed is no certificate")
        leaf = Certificate(chain[0])
        current = self.leaf()
        if current and current.fingerprint == leaf.fingerprint and self._pair(current):
            self.refresh(bundle)
            return
        key = self.pending / "host.key"
        if not key.exists() or public_key_of(key) != leaf.public_key:
            raise CertificateError("the certificate does not answer the request of this host: run the play again")
        if set(leaf.names) != set(wanted.alternative_names):
            raise CertificateError("the certificate is for other names than asked for")
        self._switch(key.read_bytes(), "".join(chain), "".join(certificates_in(bundle)))
        if not self.check:
            shutil.rmtree(self.pending)

    def refresh(self, bundle: str) -> None:
        """Trust what the authority's host says now, as long as the certificate in use is one of it."""
        trusted = "".join(certificates_in(bundle))
        leaf = self.leaf()
        if leaf is None or trusted == self.text("ca.pem"):
            return
        reason = verifies(leaf.pem, trusted, self._chain())
        if reason:
            raise CertificateError(
                f"the certificate in use is not from the authority that signs now ({reason}): "
                "run the play with host_certificate_renew: true once every host trusts that authority"
            )
        self._switch((self.current / "host.key").read_bytes(), self.text("host.pem"), trusted)

    def take(self, key: Path, certificate: Path, authority: Path, wanted: Wanted) -> None:
        """Use a key and a certificate that somebody else brought to this host."""
        for path in (key, certificate, authority):
            if not path.is_file():
                raise CertificateError(f"{path} does not exist on this host")
        chain = certificates_in(certificate.read_text(encoding="ascii", errors="replace"))
        bundle = certificates_in(authority.read_text(encoding="ascii", errors="replace"))
        if not chain or not bundle:
            raise CertificateError(f"{certificate if not chain else authority} holds no certificate in PEM")
        leaf = Certificate(chain[0])
        if public_key_of(key) != leaf.public_key:
            raise CertificateError(f"{key} is not the key of {certificate}")
        missing = sorted(set(wanted.alternative_names) - set(leaf.names) - set(alternative_names(["::1"])))
        if missing:
            raise CertificateError(f"{certificate} is not for {', '.join(missing)}, by which other hosts know this one")
        if leaf.days_left() <= 0:
            raise CertificateError(f"{certificate} has expired")
        reason = verifies(leaf.pem, "".join(bundle), "".join(chain[1:]))
        if reason:
            raise CertificateError(f"{certificate} is not good for both ends under {authority}: {reason}")
        content = (key.read_bytes(), "".join(chain), "".join(bundle))
        here = self.current / "host.key"
        if (here.read_bytes() if here.exists() else b"", self.text("host.pem"), self.text("ca.pem")) != content:
            self._switch(*content)

    def _switch(self, key: bytes, certificate: str, bundle: str) -> None:
        leaf, *chain = certificates_in(certificate)
        reason = verifies(leaf, bundle, "".join(chain))
        if reason:
            raise CertificateError(f"the certificate does not fit its authority: {reason}")
        self.changed = True
        if self.check:
            return
        group = self.group if os.geteuid() == 0 else -1
        self._directories()
        name = f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        version = self.directory / "versions" / name
        version.mkdir(mode=0o755)
        files.put(version / "host.key", key.decode("ascii"), KEY_MODE, group)
        files.put(version / "host.pem", certificate, FILE_MODE)
        files.put(version / "ca.pem", bundle, FILE_MODE)
        before = self.current.readlink().name if self.current.is_symlink() else ""
        files.link(self.current, f"versions/{name}")
        self._links()
        # The one before stays, for a service that is just reading it.
        for old in (self.directory / "versions").iterdir():
            if old.name not in (name, before):
                shutil.rmtree(old)

    def _directories(self) -> None:
        self.directory.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        for path in (self.directory, self.directory / "versions"):
            path.mkdir(mode=0o755, exist_ok=True)
            path.chmod(0o755)

    def _links(self) -> None:
        for name in NAMES:
            files.link(self.directory / name, f"current/{name}")

    def tend(self) -> None:
        """Put back links, group and mode that somebody changed."""
        key = self.current / "host.key"
        if not key.exists():
            return
        state = key.stat()
        wanted = (self.group if os.geteuid() == 0 else state.st_gid, KEY_MODE)
        wrong = (state.st_gid, stat.S_IMODE(state.st_mode)) != wanted
        links = [name for name in NAMES if not self._linked(name)]
        self.changed = self.changed or wrong or bool(links)
        if self.check:
            return
        if wrong:
            os.chown(key, -1, wanted[0])
            key.chmod(KEY_MODE)
        if links:
            self._links()

    def _linked(self, name: str) -> bool:
        path = self.directory / name
        return path.is_symlink() and str(path.readlink()) == f"current/{name}"

    def measure(self, path: Path) -> None:
        """When the certificate and its authorities end, for the textfile collector; it changes with them only."""
        leaf = self.leaf()
        if leaf is None:
            return
        ends = {"host": leaf.ends}
        trusted = [Certificate(pem) for pem in certificates_in(self.text("ca.pem"))]
        lines = [
            "# HELP host_certificate_not_after_seconds Unix time at which the certificate or an authority ends.\n",
            "# TYPE host_certificate_not_after_seconds gauge\n",
        ]
        lines += [
            f'host_certificate_not_after_seconds{{role="{kind}"}} {at.timestamp():.0f}\n' for kind, at in ends.items()
        ]
        for number, each in enumerate(trusted):
            labels = f'role="authority",number="{number}"'
            lines.append(f"host_certificate_not_after_seconds{{{labels}}} {each.ends.timestamp():.0f}\n")
        text = "".join(lines)
        if path.exists() and path.read_text(encoding="utf-8") == text:
            return
        self.changed = True
        if not self.check:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            files.put(path, text, FILE_MODE)
