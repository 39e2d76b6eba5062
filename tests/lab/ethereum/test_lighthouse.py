"""The role lighthouse on a real host: release and signature from the site's mirror, unit, flags, a second run, a stop.

Lighthouse itself is in no registry. A stand-in that refuses what the real one would refuse proves everything short of
running it; with LAB_LIGHTHOUSE_BINARY the given binary is asked for its flags too.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.site import ROOT, Run, Site
from tests.support.releases import Signer, sha256, tarball

HOST = "lb-b"
VERSION = "8.2.2"
NAME = f"lighthouse-v{VERSION}-x86_64-unknown-linux-gnu.tar.gz"
HERE = Path(__file__).parent
BINARY = os.environ.get("LAB_LIGHTHOUSE_BINARY", "")
KNOWN = yaml.safe_load((ROOT / "tests/unit/roles_ethereum/known_flags.yml").read_text(encoding="utf-8"))["lighthouse"]
LEFT = ["/var/lib/lighthouse", "/opt/chainops/lighthouse", "/usr/lib/chainops/lighthouse"]
LEFT += ["/etc/systemd/system/lighthouse.service", "/etc/sysusers.d/lighthouse.conf", "/etc/tmpfiles.d/lighthouse.conf"]
LEFT += ["/var/tmp/lighthouse-test-ca.pem", "/var/lib/ethereum/jwt.hex"]


class Lighthouse:
    """The stand-in's release, and the host it is installed on."""

    def __init__(self, site: Site, directory: Path) -> None:
        self.site, self.directory, self.files = site, directory, directory / "files"
        self.files.mkdir()
        self.signer = Signer(directory / "gpg", "stand-in")
        program = (HERE / "lighthouse_standin.py").read_text().replace("FLAGS: set = set()", f"FLAGS = set({KNOWN})")
        data = tarball({"lighthouse": b"#!/usr/bin/python3\n" + program.encode()})
        (self.files / NAME).write_bytes(data)
        (self.files / f"{NAME}.asc").write_bytes(self.signer.sign(data))
        release = {
            "url": f"lighthouse-test/{NAME}",
            "signature_url": f"lighthouse-test/{NAME}.asc",
            "checksum": sha256(data),
            "signing_key": self.signer.public(),
            "fingerprint": self.signer.fingerprint,
            "archive": "tar",
            "binaries": ["lighthouse"],
        }
        self.variables: dict[str, Any] = {
            "standin_files": str(self.files),
            "standin_host": HOST,
            "lighthouse_releases": {VERSION: release},
            "lighthouse_release_base_url": "{{ lab_mirror }}",
            "lighthouse_release_ca_path": "/var/tmp/lighthouse-test-ca.pem",
            "lighthouse_network": "custom",
            "lighthouse_network_dir": "/etc/ethereum/devnet",
            "lighthouse_discovery": False,
            "lighthouse_static_peers": ["/ip4/192.0.2.1/tcp/13000"],
        }

    def play(self, *arguments: str, **changes: Any) -> Run:
        (self.directory / "vars.json").write_text(json.dumps({**self.variables, **changes}))
        variables = f"@{self.directory / 'vars.json'}"
        return self.site.play(str(HERE / "lighthouse.yml"), "-e", variables, *arguments, timeout=300)

    def on_host(self, script: str, check: bool = True) -> str:
        return self.site.run(HOST, "sh", "-c", script, check=check).stdout.strip()

    def clean(self) -> None:
        self.on_host("systemctl disable --now lighthouse", check=False)
        self.on_host(f"rm -rf {' '.join(LEFT)}; systemctl daemon-reload", check=False)
        self.site.run(
            self.site.hosts("artifact_mirrors")[0], "rm", "-rf", "/srv/artifacts/lighthouse-test", check=False
        )
        self.signer.close()


@pytest.fixture(scope="module")
def lighthouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lighthouse]:
    found = Lighthouse(Site(), tmp_path_factory.mktemp("lighthouse"))
    found.on_host("mkdir -p /var/lib/ethereum && getent group ethereum || groupadd --system ethereum")
    found.on_host(f"printf %s {'ab' * 32} > /var/lib/ethereum/jwt.hex")
    found.on_host("chgrp ethereum /var/lib/ethereum /var/lib/ethereum/jwt.hex; chmod 640 /var/lib/ethereum/jwt.hex")
    yield found
    found.clean()


def test_another_signer_is_refused_and_nothing_is_installed(lighthouse: Lighthouse, tmp_path: Path) -> None:
    stranger = Signer(tmp_path / "stranger", "stranger")
    release = {**lighthouse.variables["lighthouse_releases"][VERSION]}
    release |= {"signing_key": stranger.public(), "fingerprint": stranger.fingerprint}
    ran = lighthouse.play(lighthouse_releases={VERSION: release})
    stranger.close()
    assert ran.returncode != 0
    assert "wrong signer" in ran.output
    assert lighthouse.on_host("ls -d /opt/chainops/lighthouse/current", check=False) == ""


def test_installed_started_and_answering(lighthouse: Lighthouse) -> None:
    lighthouse.play().check()
    asking = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:5052/').read().decode())"
    said = json.loads(lighthouse.site.run(HOST, "python3", "-c", asking).stdout)
    flags = said["data"]["flags"]
    assert flags[0] == "beacon_node"
    assert {"--testnet-dir=/etc/ethereum/devnet", "--execution-jwt=/var/lib/ethereum/jwt.hex"} < set(flags)
    assert lighthouse.on_host("stat -c %U:%a /var/lib/lighthouse /var/lib/lighthouse/started").split() == [
        "lighthouse:750",
        "lighthouse:640",
    ]


def test_a_second_run_changes_nothing(lighthouse: Lighthouse) -> None:
    assert HOST not in lighthouse.play().check().changed


def test_the_unit_is_hardened_and_stops_at_once(lighthouse: Lighthouse) -> None:
    said = lighthouse.on_host("systemd-analyze security --no-pager lighthouse | tail -1")
    exposure = re.search(r"(\d+\.\d+)", said)
    assert exposure and float(exposure[1]) <= 3.0, said
    lighthouse.on_host("timeout 10 systemctl stop lighthouse")
    assert lighthouse.on_host("systemctl show -p Result --value lighthouse") == "success"


# Without a binary there is nothing to ask, and so no test: the list was looked up in the book.
if BINARY:

    def test_the_given_binary_knows_every_flag() -> None:
        said = subprocess.run([BINARY, "beacon_node", "--help"], capture_output=True, text=True, check=True).stdout
        assert [flag for flag in KNOWN if f"--{flag}" not in said and flag != "disable-discovery"] == []
