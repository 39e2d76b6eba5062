# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host's certificate over its life: asked for, installed, renewed, repaired; with real keys."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.unit.plugins.modules.certificate_place import NAMES, Place, openssl

EVERY_NAME = {"DNS:db-a", "DNS:db-a.example.org", "IP:10.10.1.31", "DNS:localhost"}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def names_of(path: Path) -> set[str]:
    line = openssl("x509", "-in", str(path), "-noout", "-ext", "subjectAltName").splitlines()[1]
    return {item.strip().replace("IP Address:", "IP:") for item in line.split(",")}


def tree(path: Path) -> dict[str, bytes]:
    return {str(each.relative_to(path)): each.read_bytes() for each in sorted(path.rglob("*")) if each.is_file()}


def test_a_host_without_a_certificate_asks_and_gets_one(place: Place) -> None:
    asked = place.ask()
    assert (asked["changed"], asked["needs_signing"], asked["reason"]) == (True, True, "there is none")
    assert asked["csr"].startswith("-----BEGIN CERTIFICATE REQUEST-----")
    installed = place.enrol()
    assert installed["changed"] and not installed["needs_signing"]
    tls = place.tls()
    assert names_of(tls / "host.pem") == EVERY_NAME
    text = openssl("x509", "-in", str(tls / "host.pem"), "-noout", "-text")
    assert "TLS Web Server Authentication, TLS Web Client Authentication" in text and "CA:FALSE" in text
    openssl("verify", "-x509_strict", "-CAfile", str(tls / "ca.pem"), str(tls / "host.pem"))
    assert stat.S_IMODE((tls / "host.key").stat().st_mode) == 0o640
    assert not (tls / "pending").exists()


def test_the_key_stays_on_its_host_and_is_no_part_of_any_answer(place: Place) -> None:
    answers = [place.ask(), place.enrol(), place.ask()]
    body = "".join((place.tls() / "host.key").read_text().splitlines()[1:-1])
    for answer in answers:
        assert body[:40] not in str(answer).replace("\\n", "") and "PRIVATE" not in str(answer)
    assert "PRIVATE" not in (place.authority / "issued.jsonl").read_text()


def test_nothing_is_changed_while_it_is_good(place: Place) -> None:
    place.enrol()
    before = tree(place.tls())
    again = place.ask()
    assert (again["changed"], again["needs_signing"], again["csr"]) == (False, False, "")
    assert tree(place.tls()) == before


def test_an_unanswered_request_is_asked_again(place: Place) -> None:
    first, second = place.ask(), place.ask()
    assert first["csr"] == second["csr"] and not second["changed"] and second["needs_signing"]


def test_it_is_renewed_in_time_with_a_new_key(place: Place) -> None:
    place.enrol(days=31)
    key = (place.tls() / "host.key").read_bytes()
    assert not place.ask(renew_days=30)["needs_signing"]
    asked = place.ask(renew_days=40)
    assert asked["reason"] == "the one in use ends in 31 days"
    assert (place.tls() / "host.key").read_bytes() == key, "the old pair is in use until the answer is there"
    signed = place.sign({"name": "db-a", "csr": asked["csr"], "names": NAMES})
    place.ask(certificate=signed["certificates"]["db-a"], ca=signed["ca"])
    assert (place.tls() / "host.key").read_bytes() != key


def test_one_rename_switches_key_and_certificate(place: Place) -> None:
    """A service that resolved the link before the switch still has a whole pair, and one version before is all."""
    place.enrol()
    before = (place.tls() / "current").resolve()
    old = tree(before)
    for _each in range(3):
        earlier = (place.tls() / "current").resolve()
        place.enrol(renew=True)
        assert earlier.is_dir() and earlier != (place.tls() / "current").resolve()
    assert not before.exists() and set(old) == {"host.key", "host.pem", "ca.pem"}
    assert len(list((place.tls() / "versions").iterdir())) == 2
    assert [str((place.tls() / name).readlink()) for name in sorted(old)] == [f"current/{name}" for name in sorted(old)]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"names": [*NAMES, "10.10.1.100"]}, "other names"),
        ({"names": NAMES[:1]}, "other names"),
        ({"renew": True}, "a new one is asked for"),
    ],
)
def test_other_wishes_need_another_certificate(place: Place, options: dict, reason: str) -> None:
    place.enrol()
    assert reason in place.ask(**options)["reason"]


def test_another_key_or_authority_beside_it_needs_another_certificate(place: Place) -> None:
    place.enrol()
    place.enrol("db-b")
    current, other = place.tls() / "current", place.tls("db-b") / "current"
    (current / "host.key").write_bytes((other / "host.key").read_bytes())
    assert place.ask()["reason"] == "the one in use is not that of its key"
    place.enrol()
    strange = Place(place.root / "strange")
    strange.enrol()
    (current / "ca.pem").write_bytes((strange.tls() / "ca.pem").read_bytes())
    assert "not from the authority beside it" in place.ask()["reason"]


def test_a_certificate_that_is_not_the_answer_is_refused(place: Place) -> None:
    place.enrol()
    before = tree(place.tls())
    strange = Place(place.root / "strange")
    signed = strange.sign(strange.request())
    refused = place.ask(certificate=signed["certificates"]["db-a"], ca=signed["ca"])
    assert refused["failed"] and "does not answer the request" in refused["msg"]
    place.ask(renew=True)
    wrong = place.sign(place.request(renew=True))
    refused = place.ask(certificate=wrong["certificates"]["db-a"], ca=signed["ca"])
    assert refused["failed"] and "does not fit its authority" in refused["msg"]
    assert {name: text for name, text in tree(place.tls()).items() if "pending" not in name} == before


def test_group_mode_and_links_are_put_back(place: Place) -> None:
    place.enrol()
    (place.tls() / "host.key").chmod(0o644)
    (place.tls() / "ca.pem").unlink()
    assert place.ask(check=True)["changed"]
    assert place.ask()["changed"]
    assert stat.S_IMODE((place.tls() / "host.key").stat().st_mode) == 0o640 and (place.tls() / "ca.pem").exists()
    assert not place.ask()["changed"]


def test_the_end_is_a_metric(place: Place) -> None:
    place.enrol()
    lines = place.metrics().read_text().splitlines()
    assert any(line.startswith('host_certificate_not_after_seconds{role="host"} 1') for line in lines)
    assert any(line.startswith('host_certificate_not_after_seconds{role="authority",number="0"} 2') for line in lines)
    place.metrics().unlink()
    assert place.ask()["changed"] and place.metrics().exists()


def test_in_check_mode_nothing_is_made(place: Place) -> None:
    asked = place.ask(check=True)
    assert (asked["changed"], asked["needs_signing"], asked["csr"]) == (True, True, "")
    assert list(place.root.iterdir()) == []


def test_a_host_without_openssl_would_ask_in_check_mode(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.enrol()
    monkeypatch.setenv("PATH", str(place.root))
    assert place.ask(check=True)["needs_signing"]
    assert "install the package openssl" in place.ask()["msg"]


def given(place: Place, host: str) -> dict[str, str]:
    tls = place.tls(host)
    return {"key": str(tls / "host.key"), "certificate": str(tls / "host.pem"), "ca": str(tls / "ca.pem")}


def test_a_given_certificate_is_taken_and_nothing_asked(place: Place) -> None:
    own = Place(place.root / "own")
    own.enrol("db-a")
    taken = place.ask(given=given(own, "db-a"))
    assert taken["changed"] and not taken["needs_signing"] and taken["csr"] == ""
    assert tree(place.tls() / "current") == tree(own.tls() / "current")
    assert not place.ask(given=given(own, "db-a"))["changed"]
    own.enrol("db-a", renew=True)
    assert place.ask(given=given(own, "db-a"))["changed"], "a changed file is taken"


def test_a_given_certificate_that_will_not_do_is_refused(place: Place) -> None:
    place.enrol("db-a")
    place.enrol("db-b")
    mixed = given(place, "db-a") | {"key": str(place.tls("db-b") / "host.key")}
    fresh = Place(place.root / "fresh")
    assert "is not the key of" in fresh.ask(given=mixed)["msg"]
    assert "is not for DNS:db-a" in fresh.ask("db-a", given=given(place, "db-b"))["msg"]
    missing = given(place, "db-a") | {"ca": "/nowhere"}
    assert "/nowhere does not exist" in fresh.ask(given=missing)["msg"]
    strange = Place(place.root / "strange")
    strange.enrol()
    other = given(place, "db-a") | {"ca": given(strange, "db-a")["ca"]}
    assert "is not good for both ends" in fresh.ask(given=other)["msg"]
    assert not fresh.tls().exists()


def test_a_rotation_interrupts_nothing(place: Place) -> None:
    """Both trusted, then the new one signs, then the old one goes: at each step every pair of hosts agrees."""
    hosts = ["db-a", "db-b"]
    for host in hosts:
        place.enrol(host)
    old = place.authority / "ca.pem"
    new = Place(place.root / "new")
    new.sign(new.request("any"))
    old_text, new_text = old.read_text(), (new.authority / "ca.pem").read_text()

    def agree() -> None:
        for mine in hosts:
            for theirs in hosts:
                bundle, leaf = place.tls(mine) / "ca.pem", place.tls(theirs) / "host.pem"
                openssl("verify", "-CAfile", str(bundle), str(leaf))

    def step(bundle: str) -> None:
        old.write_text(bundle)
        for host in hosts:
            place.enrol(host, renew=True)
            agree()

    step(old_text + new_text)
    (place.authority / "ca.key").write_bytes((new.authority / "ca.key").read_bytes())
    step(new_text + old_text)
    step(new_text)
    assert (place.tls() / "ca.pem").read_text() == new_text


def test_a_bundle_alone_is_taken_only_if_the_certificate_is_still_good_under_it(place: Place) -> None:
    place.enrol()
    strange = Place(place.root / "strange")
    strange.sign(strange.request())
    both = (place.authority / "ca.pem").read_text() + (strange.authority / "ca.pem").read_text()
    assert place.ask(ca=both)["changed"] and not place.ask(ca=both)["changed"]
    refused = place.ask(ca=(strange.authority / "ca.pem").read_text())
    assert refused["failed"] and "host_certificate_renew: true" in refused["msg"]
    assert (place.tls() / "ca.pem").read_text() == both
