# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The authority signs what the inventory says of a host, and nothing else; with real keys."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from ansible_collections.chainops.infra.plugins.filter import certificate_names, certificate_requests

from tests.unit.plugins.modules.certificate_place import NAMES, Place, openssl


def good_after(path: Path, days: int) -> bool:
    return "will not expire" in openssl("x509", "-in", str(path), "-noout", "-checkend", str(days * 86400))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_authority_is_made_when_it_is_first_needed(place: Place) -> None:
    assert not place.sign()["changed"] and not (place.authority / "ca.key").exists()
    signed = place.sign(place.request(), site="east-west")
    assert signed["changed"] and signed["created"]
    assert stat.S_IMODE((place.authority / "ca.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(place.authority.stat().st_mode) == 0o700
    text = openssl("x509", "-in", str(place.authority / "ca.pem"), "-noout", "-text")
    assert "CN = east-west CA 2" in text or "CN=east-west CA 2" in text
    assert "CA:TRUE, pathlen:0" in text and "NIST CURVE: P-256" in text
    again = place.sign(place.request("db-b"))
    assert not again["created"] and again["ca"] == signed["ca"]


def test_every_certificate_is_noted(place: Place) -> None:
    place.enrol("db-a")
    place.enrol("db-b")
    lines = [json.loads(line) for line in (place.authority / "issued.jsonl").read_text().splitlines()]
    assert [line["host"] for line in lines] == ["db-a", "db-b"] and len({line["serial"] for line in lines}) == 2


@pytest.mark.parametrize(
    ("requested", "inventory", "words"),
    [
        (NAMES, NAMES[:1], "asks for DNS:localhost, IP:10.10.1.31, which the inventory does not give it"),
        (NAMES, [*NAMES, "10.10.1.100"], "lacks IP:10.10.1.100"),
    ],
)
def test_a_host_gets_the_inventory_s_names_only(place: Place, requested: list, inventory: list, words: str) -> None:
    refused = place.sign(place.request(names=inventory))
    assert refused["failed"] and words in refused["msg"]
    assert not (place.authority / "ca.key").exists()


def test_a_host_cannot_get_another_s_name(place: Place) -> None:
    stolen = place.request("db-a") | {"name": "db-b"}
    refused = place.sign(place.request("db-c"), stolen)
    assert "db-b: the request is for CN=db-a, not for CN=db-b" in refused["msg"]
    assert not (place.authority / "issued.jsonl").exists(), "the good request beside it was not signed either"


def test_a_request_must_be_signed_with_its_own_key(place: Place) -> None:
    good = place.request()
    lines = good["csr"].splitlines()
    lines[-2] = lines[-2][:-8] + ("AAAA" if lines[-2][-8:-4] != "AAAA" else "BBBB") + lines[-2][-4:]
    refused = place.sign(good | {"csr": "\n".join(lines)})
    assert "not signed with its own key" in refused["msg"]
    assert "not signed with its own key" in place.sign(good | {"csr": "nonsense"})["msg"]


def test_weak_keys_are_not_signed(place: Place, tmp_path: Path) -> None:
    config = tmp_path / "req.cnf"
    config.write_text(
        "[req]\nprompt=no\ndistinguished_name=dn\nreq_extensions=v3\n[dn]\nCN=db-a\n[v3]\n"
        "subjectAltName=DNS:db-a,DNS:db-a.example.org,IP:10.10.1.31,DNS:localhost\n"
    )
    key = ["-newkey", "rsa:1024", "-nodes", "-keyout", str(tmp_path / "weak.key")]
    csr = openssl("req", "-new", "-config", str(config), *key)
    assert "not on P-256" in place.sign({"name": "db-a", "csr": csr, "names": NAMES})["msg"]


def test_extensions_of_a_request_are_not_copied(place: Place, tmp_path: Path) -> None:
    """One that asks to be an authority itself becomes a host like any other."""
    config = tmp_path / "req.cnf"
    config.write_text(
        "[req]\nprompt=no\ndistinguished_name=dn\nreq_extensions=v3\n[dn]\nCN=db-a\n[v3]\nbasicConstraints=CA:TRUE\n"
        "subjectAltName=DNS:db-a,DNS:db-a.example.org,IP:10.10.1.31,DNS:localhost\n"
    )
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(tmp_path / "host.key")]
    csr = openssl("req", "-new", "-config", str(config), *key)
    signed = place.sign({"name": "db-a", "csr": csr, "names": NAMES})
    (tmp_path / "signed.pem").write_text(signed["certificates"]["db-a"])
    assert "CA:FALSE" in openssl("x509", "-in", str(tmp_path / "signed.pem"), "-noout", "-text")


@pytest.mark.parametrize("days", [0, 826])
def test_the_time_is_bounded(place: Place, days: int) -> None:
    assert f"days = {days}: must be from 1 to 825" in place.sign(place.request(), days=days)["msg"]


def test_a_lost_authority_is_not_replaced(place: Place) -> None:
    refused = place.sign(place.request(), create=False)
    assert refused["failed"] and "restore the directory" in refused["msg"]
    place.enrol()
    (place.authority / "ca.key").unlink()
    refused = place.sign(place.request("db-b"))
    assert refused["failed"] and "ca.key is missing beside the other half" in refused["msg"]


def test_a_key_that_never_signed_is_begun_anew(place: Place) -> None:
    """What a run leaves that was killed between key and certificate of a new authority."""
    place.sign(place.request())
    (place.authority / "ca.pem").unlink()
    (place.authority / "issued.jsonl").unlink()
    assert place.sign(place.request())["created"]


def test_an_authority_that_is_not_right_does_not_sign(place: Place) -> None:
    place.enrol()
    (place.authority / "ca.key").chmod(0o644)
    assert "can be read by others" in place.sign(place.request("db-b"))["msg"]
    other = Place(place.root / "other")
    other.enrol()
    (place.authority / "ca.key").write_bytes((other.authority / "ca.key").read_bytes())
    assert "is not that of" in place.sign(place.request("db-b"))["msg"]


def test_no_certificate_outlives_the_authority(place: Place, tmp_path: Path) -> None:
    place.sign(place.request())
    key, pem = place.authority / "ca.key", place.authority / "ca.pem"
    extensions = ["-addext", "basicConstraints=critical,CA:TRUE"]
    config = tmp_path / "ca.cnf"
    config.write_text("[req]\nprompt=no\ndistinguished_name=dn\n[dn]\nCN=short\n")
    short = ["req", "-x509", "-new", "-key", str(key), "-days", "20", "-config", str(config), *extensions]
    pem.write_text(openssl(*short))
    signed = place.sign(place.request("db-b"))
    assert "ends in 20 days" in signed["warnings"][0]
    (tmp_path / "leaf.pem").write_text(signed["certificates"]["db-b"])
    assert not good_after(tmp_path / "leaf.pem", 20) and good_after(tmp_path / "leaf.pem", 18)


def test_in_check_mode_requests_are_checked_and_nothing_is_signed(place: Place) -> None:
    asked = place.request()
    checked = place.sign(asked, check=True)
    assert checked["changed"] and checked["certificates"] == {} and not place.authority.exists()
    assert place.sign(asked | {"name": "db-b"}, check=True)["failed"]


def test_names_are_the_inventory_s() -> None:
    names = certificate_names.FilterModule().filters()["certificate_names"]
    hostvars = {
        "db-a": {
            "ansible_host": "10.10.1.31",
            "site_address": "192.0.2.31",
            "site_domain": "example.org",
            "host_certificate_extra_names": ["db.example.org"],
            "ansible_facts": {"fqdn": "db-b"},
        },
        "db-b": {},
    }
    loopback = ["localhost", "127.0.0.1", "::1"]
    assert names("db-a", hostvars) == [
        "db-a", "db-a.example.org", "192.0.2.31", "10.10.1.31", "db.example.org", *loopback,
    ]  # fmt: skip
    assert names("db-b", hostvars) == ["db-b", *loopback]


def test_only_hosts_that_ask_are_brought_to_the_authority() -> None:
    requests = certificate_requests.FilterModule().filters()["certificate_requests"]
    hostvars = {
        "db-a": {"asked": {"needs_signing": True, "csr": "A"}},
        "db-b": {"asked": {"needs_signing": False, "csr": ""}},
        "db-c": {"asked": {"needs_signing": True, "csr": ""}},
        "db-d": {},
    }
    found = requests(list(hostvars), hostvars, "asked")
    assert found == [{"name": "db-a", "csr": "A", "names": ["db-a", "localhost", "127.0.0.1", "::1"]}]
