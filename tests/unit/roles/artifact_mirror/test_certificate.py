"""The mirror's certificate: made, renewed, given; and taken by a Python client that is as strict as Python 3.13."""

from __future__ import annotations

import json
import os
import socket
import ssl
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support.releases import certificate

SCRIPT = Path(__file__).resolve().parents[4] / "roles" / "artifact_mirror" / "files" / "certificate.py"
# The group of the service does not exist where tests run; everything else is as on a host.
RUNNER = """
import grp, os, runpy, sys
grp.getgrnam = lambda name: grp.getgrgid(os.getgid())
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


class Mirror:
    """A state directory and the script."""

    def __init__(self, root: Path):
        self.root, self.state, self.config = root, root / "state", root / "config.json"
        self.ca, self.server = self.state / "tls" / "ca.pem", self.state / "tls" / "server.pem"

    def run(self, *names: str, given: tuple[Path, Path] | None = None) -> tuple[int, str]:
        """Run it with a configuration; returns its exit code and what it says."""
        pair = [str(path) for path in given] if given else ["", ""]
        self.config.write_text(json.dumps({"names": list(names), "certificate": pair[0], "key": pair[1]}))
        command = [sys.executable, "-c", RUNNER, str(SCRIPT), str(self.config), "--state", str(self.state)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout + done.stderr

    def makes(self, *names: str, **how) -> str:
        code, output = self.run(*names, **how)
        assert code == 0, output
        return output


@pytest.fixture
def mirror(tmp_path):
    return Mirror(tmp_path)


def shake_hands(server: Path, ca: Path, name: str) -> None:
    """Connect as a client that checks the name and, as Python 3.13 does, every rule of RFC 5280."""
    inside, outside = socket.socketpair()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server)

    def serve() -> None:
        try:
            context.wrap_socket(inside, server_side=True).close()
        except OSError:
            inside.close()

    thread = threading.Thread(target=serve)
    thread.start()
    client = ssl.create_default_context(cafile=str(ca))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    try:
        client.wrap_socket(outside, server_hostname=name).close()
    finally:
        outside.close()
        thread.join()


def test_made_once_and_strict_clients_take_it(mirror):
    assert "made a certificate for DNS:mirror-c, IP:10.87.3.31: there was none" in mirror.makes(
        "10.87.3.31", "mirror-c"
    )
    before = mirror.ca.read_bytes() + mirror.server.read_bytes()
    assert "in place" in mirror.makes("10.87.3.31", "mirror-c")
    assert mirror.ca.read_bytes() + mirror.server.read_bytes() == before
    for name in ("10.87.3.31", "mirror-c"):
        shake_hands(mirror.server, mirror.ca, name)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(mirror.server, mirror.ca, "10.87.3.32")


def test_keys_are_never_readable_by_others(mirror):
    mirror.makes("mirror-c")
    modes = {
        path.relative_to(mirror.state).as_posix(): stat.S_IMODE(path.stat().st_mode) for path in mirror.state.rglob("*")
    }
    assert modes == {"ca": 0o700, "ca/ca.key": 0o600, "tls": 0o755, "tls/ca.pem": 0o644, "tls/server.pem": 0o640}


def test_other_names_are_another_certificate_of_the_same_ca(mirror):
    mirror.makes("mirror-c")
    ca = mirror.ca.read_bytes()
    assert "for other names" in mirror.makes("mirror-c", "fd00::1")
    assert mirror.ca.read_bytes() == ca
    shake_hands(mirror.server, mirror.ca, "fd00::1")


def test_renewed_a_month_before_it_ends(mirror):
    mirror.makes("mirror-c")
    ca = mirror.ca.read_bytes()
    text = SCRIPT.read_text().replace("DAYS = 90\n", "DAYS = 29\n")
    short = mirror.root / "short.py"
    short.write_text(text)
    mirror.server.unlink()
    command = [sys.executable, "-c", RUNNER, str(short), str(mirror.config), "--state", str(mirror.state)]
    subprocess.run(command, check=True, capture_output=True)
    assert "ends within 30 days" in mirror.makes("mirror-c")
    assert mirror.ca.read_bytes() == ca
    shake_hands(mirror.server, mirror.ca, "mirror-c")


@pytest.mark.parametrize("lost", ["ca.key", "ca.pem"])
def test_a_lost_ca_is_replaced_and_its_certificate_with_it(mirror, lost):
    mirror.makes("mirror-c")
    next(mirror.state.rglob(lost)).unlink()
    assert "not from this CA" in mirror.makes("mirror-c")
    shake_hands(mirror.server, mirror.ca, "mirror-c")


def test_a_half_written_certificate_is_replaced(mirror):
    mirror.makes("mirror-c")
    mirror.server.write_text(mirror.server.read_text()[:300])
    mirror.makes("mirror-c")
    shake_hands(mirror.server, mirror.ca, "mirror-c")


def test_a_given_certificate_is_taken_and_followed(mirror):
    mirror.makes("mirror-c")
    pem = certificate(mirror.root, "mirror.example.net")
    given = (pem, mirror.root / "mirror.example.net.key")
    assert "took" in mirror.makes("mirror.example.net", given=given)
    assert not mirror.ca.exists(), "hosts must not be told a CA that signed nothing"
    assert "in place" in mirror.makes("mirror.example.net", given=given)
    certificate(mirror.root, "mirror.example.net")  # renewed in place
    assert "took" in mirror.makes("mirror.example.net", given=given)


def test_a_given_certificate_that_will_not_do_is_refused_and_the_old_one_stays(mirror):
    mirror.makes("mirror-c")
    before = mirror.server.read_bytes()
    pem, other = certificate(mirror.root, "a.example.net"), certificate(mirror.root, "b.example.net")
    key = mirror.root / "a.example.net.key"
    cases = {
        "is not the key of": ("a.example.net", pem, mirror.root / "b.example.net.key"),
        "is not for c.example.net": ("c.example.net", pem, key),
        "does not exist": ("a.example.net", mirror.root / "none.pem", key),
        "has expired, or is no PEM certificate": ("a.example.net", key, key),
    }
    assert other.exists()
    for expected, (name, certificate_path, key_path) in cases.items():
        code, output = mirror.run(name, given=(certificate_path, key_path))
        assert code == 1 and expected in output, output
        assert mirror.server.read_bytes() == before


def test_it_says_what_is_wrong_with_its_configuration(mirror):
    mirror.config.write_text("{")
    command = [sys.executable, str(SCRIPT), str(mirror.config), "--state", str(mirror.state)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == 1 and done.stderr.startswith("certificate: ")
