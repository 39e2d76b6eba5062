"""Releases on a real host, from the site's mirror: real geth, Debian's gpgv, and what can be wrong with them.

The unit tests have every case; these are the ones whose answer is Debian's, not ours: what its gpgv says of an expired
key, what its Python says of the mirror's certificate, and what is left of a process that is killed there.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.site import Site
from tests.support.releases import Signer

HOST = "lb-b"
ROOT = "/var/tmp/release-test"
DISK = "/var/tmp/release-test-disk"
CACHE = Path(os.environ.get("CHAINOPS_CACHE") or Path.home() / ".cache" / "chainops")
PLAYBOOK = str(Path(__file__).with_name("release.yml"))

# Waits on the host for a release to be staged, then kills the process that does it.
KILL = f"""
import glob, os, signal, time
deadline = time.monotonic() + 60
while time.monotonic() < deadline:
    for link in glob.glob("/proc/[0-9]*/fd/*"):
        try:
            target = os.readlink(link)
        except OSError:
            continue
        if target.startswith("{ROOT}/geth/.staging-"):
            os.kill(int(link.split("/")[2]), signal.SIGKILL)
            print("killed while it had", target)
            raise SystemExit
    time.sleep(0.005)
"""


class Releases:
    """What the mirror offers, and the host that takes it."""

    def __init__(self, site: Site, directory: Path):
        self.site, self.directory, self.files = site, directory, directory / "files"
        self.files.mkdir()
        self.base = f"https://{self._address()}:8443"
        listed = json.loads((CACHE / "artifacts" / "releases.json").read_text())["geth"]
        self.old, self.new = (self._case(version, listed[version]) for version in ("1.17.6", "1.17.8"))

    def _address(self) -> str:
        query = [self.site.hosts("artifact_mirrors")[0], "-m", "debug", "-a", "msg={{ ansible_host }}", "-o"]
        command = [Path(self.site.command("x")[0]).with_name("ansible"), "-i", self.site.inventory, *query]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return said.split('"msg": "')[1].split('"')[0]

    def _case(self, version: str, entry: dict[str, Any]) -> dict[str, Any]:
        urls = {key: f"{self.base}/{entry[key]}" for key in ("url", "signature_url")}
        return {"name": f"good {version}", "version": version, "root": ROOT, **entry, **urls}

    def data(self, case: dict[str, Any]) -> bytes:
        return (CACHE / "artifacts" / case["url"].removeprefix(self.base + "/")).read_bytes()

    def publish(self, name: str, content: bytes) -> str:
        (self.files / name).write_bytes(content)
        return f"{self.base}/release-test/{name}"

    def install(self, *cases: dict[str, Any]) -> list[dict[str, Any]]:
        answers = self.directory / "answers.json"
        variables = {
            "release_test_host": HOST,
            "release_test_cases": cases,
            "release_test_answers_file": str(answers),
            **({"release_test_files": str(self.files)} if any(self.files.iterdir()) else {}),
        }
        (self.directory / "vars.json").write_text(json.dumps(variables))
        self.site.play(PLAYBOOK, "-e", f"@{self.directory / 'vars.json'}", timeout=300).check()
        return json.loads(answers.read_text())

    def on_host(self, *argv: str) -> str:
        return self.site.run(HOST, *argv).stdout.strip()

    def version(self) -> str:
        return self.on_host(f"{ROOT}/geth/current/geth", "version").splitlines()[1]

    def rubbish(self) -> list[str]:
        return [
            name
            for name in self.on_host("ls", "-A", f"{ROOT}/geth").split()
            if name.startswith((".sta", ".tra", ".new"))
        ]


@pytest.fixture(scope="module")
def releases(tmp_path_factory) -> Iterator[Releases]:
    site = Site()
    found = Releases(site, tmp_path_factory.mktemp("release"))
    site.run(HOST, "rm", "-rf", ROOT, check=False)
    yield found
    site.run(HOST, "rm", "-rf", ROOT, f"{ROOT}-ca.pem", check=False)
    site.run(site.hosts("artifact_mirrors")[0], "rm", "-rf", "/srv/artifacts/release-test", check=False)


@pytest.fixture
def expired(tmp_path) -> Iterator[Signer]:
    key = Signer(tmp_path / "expired", "expired", expires="1d", made="20200101T000000")
    yield key
    key.close()


@pytest.fixture
def stranger(tmp_path) -> Iterator[Signer]:
    key = Signer(tmp_path / "stranger", "stranger")
    yield key
    key.close()


def test_installed_from_the_mirror_and_whatever_is_wrong_with_the_next_one_changes_nothing(releases, expired, stranger):
    new, data = releases.new, releases.data(releases.new)
    by_expired = {"signing_key": expired.public(), "fingerprint": expired.fingerprint}
    cases = {
        "checksum: ": {"checksum": "sha256:" + "0" * 64},
        "truncated or damaged: checksum: ": {"url": releases.publish("short.tar.gz", data[:-1000])},
        "signature: the signing key": {
            "signature_url": releases.publish("expired.asc", expired.sign(data)),
            **by_expired,
        },
        "signature: wrong signer": {"signature_url": releases.publish("stranger.asc", stranger.sign(data))},
        "signature: does not fit": {"signature_url": releases.old["signature_url"]},
        "not enough room in": {"root": DISK},
        "answered 404": {"url": releases.base + "/geth/none.tar.gz"},
    }
    releases.site.run(HOST, "mkdir", "-p", DISK)
    releases.site.run(HOST, "mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", DISK)
    try:
        wrong = [{**new, **change, "name": name} for name, change in cases.items()]
        good, *refused, again = releases.install(releases.old, *wrong, releases.old)
        left = releases.on_host("find", DISK, "-type", "f", "-size", "+0")
    finally:
        releases.site.run(HOST, "umount", DISK)
        releases.site.run(HOST, "rmdir", DISK)
    assert good["changed"] and good["action"] == "installed"
    for name, answer in zip(cases, refused, strict=True):
        assert answer["failed"] and name.rpartition("damaged: ")[2] in answer["msg"], answer["msg"]
    assert "expired on 2020-01-02" in refused[2]["msg"] and stranger.fingerprint[-16:] in refused[3]["msg"]
    assert not again["changed"] and releases.version() == "Version: 1.17.6-stable"
    assert not releases.rubbish() and not left


def test_killed_half_way(releases):
    releases.install(releases.old)
    said: list[str] = []
    killer = threading.Thread(target=lambda: said.append(releases.on_host("python3", "-c", KILL)))
    killer.start()
    (answer,) = releases.install(releases.new)
    killer.join()
    assert said[0].startswith("killed while it had") and answer["failed"], (said, answer)
    assert releases.version() == "Version: 1.17.6-stable" and releases.rubbish()
    (answer,) = releases.install(releases.new)
    assert answer["action"] == "installed" and releases.version() == "Version: 1.17.8-stable"
    assert not releases.rubbish()
