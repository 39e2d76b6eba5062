# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The program openssl: what is asked of it, and what it says. No private key passes through here, only its path."""

from __future__ import annotations

import datetime
import ipaddress
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

CURVE = "P-256"
TIMEOUT = 60
SHOWN = ("-subject", "-nameopt", "RFC2253", "-pubkey", "-text")
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\n.+?\n-----END CERTIFICATE-----\n", re.DOTALL)
_PUBLIC = re.compile(r"-----BEGIN PUBLIC KEY-----\n.+?\n-----END PUBLIC KEY-----\n", re.DOTALL)
_NAMES = re.compile(r"X509v3 Subject Alternative Name:[^\n]*\n\s*([^\n]+)")
_ADDRESS = re.compile(r"[0-9.]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*")
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?"
_HOST = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*")


class CertificateError(Exception):
    """What is wrong, in words that hold nothing secret."""


class NoOpenssl(CertificateError):
    """The program is not there (yet)."""


def attempt(*arguments: str, data: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run openssl, whatever it answers; not with the caller's environment, as OPENSSL_CONF would change the answers."""
    environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"}
    try:
        return subprocess.run(
            ["openssl", *arguments],
            input=data if data is not None else "",
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
            env=environment,
        )
    except FileNotFoundError as error:
        raise NoOpenssl("the program openssl is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise CertificateError(f"openssl {arguments[0]} did not end within {TIMEOUT} s") from error


def openssl(*arguments: str, data: str | None = None) -> str:
    """Run openssl and return what it prints."""
    done = attempt(*arguments, data=data)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise CertificateError(f"openssl {arguments[0]}: {reason}")
    return done.stdout


def alternative_name(name: str) -> str:
    """A name as subjectAltName has it: IP:… or DNS:…; what is neither an address nor a host name is refused."""
    text = str(name).strip()
    if _ADDRESS.fullmatch(text):
        try:
            return f"IP:{ipaddress.ip_address(text)}"
        except ValueError as error:
            raise CertificateError(f"{text!r} is no IP address") from error
    if len(text) > 253 or not _HOST.fullmatch(text):
        raise CertificateError(f"{text!r} is neither a host name nor an IP address")
    return f"DNS:{text.lower()}"


def alternative_names(names: Iterable[str]) -> list[str]:
    """All of them once, in the order given."""
    return list(dict.fromkeys(alternative_name(name) for name in names))


def _names_in(text: str) -> list[str]:
    """The subjectAltNames in openssl's words, in the form of alternative_name."""
    found = _NAMES.search(text)
    if not found:
        return []
    names = []
    for item in found[1].split(","):
        kind, _colon, value = item.strip().partition(":")
        if kind == "IP Address":
            names.append(f"IP:{ipaddress.ip_address(value)}")
        else:
            names.append(f"{kind}:{value.lower() if kind == 'DNS' else value}")
    return names


def _field(text: str, name: str) -> str:
    """What stands after name= in a line of its own; openssl's versions write one name in capitals or not."""
    found = re.search(rf"^{name}=(.*)$", text, re.MULTILINE | re.IGNORECASE)
    if not found:
        raise CertificateError(f"openssl does not tell the {name}")
    return found[1].strip()


def _public_key_in(text: str) -> str:
    found = _PUBLIC.search(text)
    if not found:
        raise CertificateError("openssl does not tell the public key")
    return found[0]


class Certificate:
    """One certificate in PEM."""

    def __init__(self, pem: str) -> None:
        self.pem = pem
        dates = ["-enddate", "-serial", "-fingerprint", "-sha256"]
        text = openssl("x509", "-noout", *SHOWN, *dates, data=pem)
        self.subject, self.names, self.public_key = _field(text, "subject"), _names_in(text), _public_key_in(text)
        self.serial, self.fingerprint = _field(text, "serial").lower(), _field(text, "sha256 Fingerprint")
        ends = datetime.datetime.strptime(_field(text, "notAfter"), "%b %d %H:%M:%S %Y %Z")
        self.ends = ends.replace(tzinfo=datetime.UTC)

    @property
    def common_name(self) -> str:
        return next((part[3:] for part in self.subject.split(",") if part.startswith("CN=")), "")

    def days_left(self, now: datetime.datetime | None = None) -> float:
        return (self.ends - (now or datetime.datetime.now(datetime.UTC))).total_seconds() / 86400


class Request:
    """One certificate signing request in PEM, whose signature shows that the asker has the key."""

    def __init__(self, pem: str) -> None:
        checked = attempt("req", "-verify", "-noout", *SHOWN, data=pem)
        if checked.returncode or "verify OK" not in checked.stdout + checked.stderr:
            raise CertificateError("it is no signing request, or not signed with its own key")
        self.pem, text = pem, checked.stdout
        self.subject, self.names, self.public_key = _field(text, "subject"), _names_in(text), _public_key_in(text)
        self.curve = (re.search(r"NIST CURVE: (\S+)", text) or ["", ""])[1]


def certificates_in(text: str) -> list[str]:
    """Each certificate of a bundle; whatever stands between them is left out."""
    return _PEM.findall(text.replace("\r\n", "\n") + "\n")


def public_key_of(key: Path) -> str:
    """The public half of a private key. An empty password makes an encrypted key an error instead of a question."""
    return openssl("pkey", "-in", str(key), "-pubout", "-passin", "pass:")


def make_key(path: Path) -> None:
    """A new private key, in a file that exists with mode 0600 before the key is in it."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    curve = ["-pkeyopt", f"ec_paramgen_curve:{CURVE}", "-pkeyopt", "ec_param_enc:named_curve"]
    openssl("genpkey", "-algorithm", "EC", *curve, "-out", str(path))
    path.chmod(0o600)
    if not path.stat().st_size:  # OpenSSL 3.5 ends with status 0 when it cannot write
        raise CertificateError(f"openssl genpkey wrote nothing to {path}")


def make_request(key: Path, common_name: str, names: Iterable[str]) -> str:
    """A signing request for a key, as PEM."""
    config = (
        "[req]\nprompt = no\nutf8 = yes\nstring_mask = utf8only\ndistinguished_name = dn\nreq_extensions = v3\n"
        f"[dn]\nCN = {common_name}\n[v3]\nsubjectAltName = {', '.join(names)}\n"
    )
    with tempfile.NamedTemporaryFile("w", suffix=".cnf") as file:
        file.write(config)
        file.flush()
        return openssl("req", "-new", "-sha256", "-key", str(key), "-passin", "pass:", "-config", file.name)


def verifies(leaf: str, bundle: str, chain: str = "") -> str:
    """Why a certificate is not one of these authorities' for servers and clients; empty if it is.

    Whether it has expired is another question, which whoever calls this asks in days.
    """
    with tempfile.TemporaryDirectory() as scratch:
        paths = []
        for name, text in (("ca.pem", bundle), ("leaf.pem", leaf), ("chain.pem", chain)):
            Path(scratch, name).write_text(text, encoding="ascii", errors="replace")
            paths.append(str(Path(scratch, name)))
        base = ["verify", "-no_check_time", "-no-CApath", "-no-CAstore", "-CAfile", paths[0]]
        base += ["-untrusted", paths[2]] if chain else []
        for purpose in ("sslserver", "sslclient"):
            done = attempt(*base, "-purpose", purpose, paths[1])
            if done.returncode:
                errors = [line for line in (done.stderr + done.stdout).splitlines() if line.startswith("error ")]
                reason = re.sub(r"^error \d+ at \d+ depth lookup: ?", "", errors[0]) if errors else "unreadable"
                return f"{purpose}: {reason}"
    return ""
