"""tools/artifacts: what it puts into the cache, when it builds, and what a killed build leaves. Go is a stand-in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tarfile
import time
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

# Answers what build.py asks of go; BUILD_SECONDS makes it slow, BUILD_FAILS makes it fail, every build is counted.
GO = """#!/bin/sh
case "$1" in
env) echo go1.26.1 ;;
list) echo "go: downloading example.org/x v1.0.0" >&2; echo "example.org/x"; echo "example.org/y" ;;
build)
  echo x >> "$COUNT"
  echo "example.org/x" >&2
  sleep "${BUILD_SECONDS:-0}"
  [ -z "$BUILD_FAILS" ] || { echo "x.go:1: undefined: y" >&2; exit 1; }
  while [ "$1" != -o ]; do shift; done
  printf '#!/bin/sh\\necho built\\n' > "$2"; chmod 755 "$2" ;;
esac
"""

GETH = """
name = "geth"
version = "1.0"
archive = "tar"
file = "geth-linux-{arch}-{version}.tar.gz"
signature = "asc"
rollback_to = ["0.9"]
packages = { geth = "example.org/geth" }
"""

PRYSM = """
name = "prysm"
version = "2.0"
archive = "none"
file = "{binary}-v{version}-linux-{arch}"
signature = "sig"
rollback_to = []
[packages]
beacon-chain = "example.org/beacon-chain"
validator = "example.org/validator"
[releases]
beacon-chain = "prysm"
validator = "prysm-validator"
"""


class Builder:
    """The builder in a cache of its own, with its own artifacts and a go that only pretends."""

    def __init__(self, root: Path):
        self.root, self.cache, self.served = root, root / "cache", root / "cache" / "artifacts"
        self.count = root / "count"
        go = root / "bin" / "go"
        go.parent.mkdir()
        go.write_text(GO)
        go.chmod(0o755)
        for name, version, text in (("geth", "1.0", GETH), ("prysm", "2.0", PRYSM)):
            place = root / "definitions" / name / version
            place.mkdir(parents=True)
            (place / "artifact.toml").write_text(text)
            (place / "go.mod").write_text("module x\n\ngo 1.25\n")
            (place / "go.sum").write_text(f"{name} h1:sum\n")

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        path = f"{self.root / 'bin'}:{os.environ['PATH']}"
        return subprocess.Popen(
            [ROOT / "tools" / "artifacts", "--definitions", self.root / "definitions", *arguments],
            env={
                **os.environ,
                "PATH": path,
                "CHAINOPS_CACHE": str(self.cache),
                "COUNT": str(self.count),
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, **environment: str) -> str:
        process = self.start(*arguments, **environment)
        output = process.communicate(timeout=120)[0]
        assert process.returncode == 0, output
        return output

    def fails(self, *arguments: str, **environment: str) -> str:
        process = self.start(*arguments, **environment)
        output = process.communicate(timeout=120)[0]
        assert process.returncode != 0 and "Traceback" not in output, output
        return output

    @property
    def builds(self) -> int:
        return len(self.count.read_text().split()) if self.count.exists() else 0

    def releases(self) -> dict:
        return json.loads((self.served / "releases.json").read_text())

    def state(self) -> dict[str, bytes]:
        paths = [path for path in self.served.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.served)): path.read_bytes() for path in paths}


@pytest.fixture
def builder(tmp_path):
    return Builder(tmp_path)


def verify(builder: Builder, entry: dict) -> None:
    """Check a release's signature as a host does."""
    keyring = builder.root / "keyring.gpg"
    dearmor = ["gpg", "--homedir", builder.root, "--batch", "--yes", "--output", keyring, "--dearmor"]
    subprocess.run(dearmor, input=entry["signing_key"], text=True, check=True, capture_output=True)
    files = [builder.served / entry["signature_url"], builder.served / entry["url"]]
    command = ["gpgv", "--homedir", builder.root, "--status-fd", "1", "--keyring", keyring, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"VALIDSIG {entry['fingerprint']}" in done.stdout


def test_what_is_built_is_shaped_summed_and_signed_as_upstream_does(builder):
    output = builder.run()
    assert "geth 1.0 (1 of 2): built in" in output and "prysm 2.0 (2 of 2)" in output
    releases = builder.releases()
    assert {name: list(versions) for name, versions in releases.items()} == {
        "geth": ["1.0"],
        "prysm": ["2.0"],
        "prysm-validator": ["2.0"],
    }
    geth = releases["geth"]["1.0"]
    assert geth["archive"] == "tar" and geth["rollback_to"] == ["0.9"] and geth["signature_url"].endswith(".tar.gz.asc")
    with tarfile.open(builder.served / geth["url"]) as tar:
        assert tar.getnames() == geth["binaries"]
        member = tar.getmembers()[0]
        assert (member.mode, member.mtime, member.uname) == (0o755, 0, "root")
    prysm = releases["prysm"]["2.0"]
    assert (
        prysm["archive"] == "none" and prysm["binaries"] == ["beacon-chain"] and prysm["signature_url"].endswith(".sig")
    )
    for entry in (geth, prysm, releases["prysm-validator"]["2.0"]):
        verify(builder, entry)
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=builder.served, check=True)
    assert "PRIVATE" not in "".join(data.decode("latin1") for data in builder.state().values())


def test_a_second_run_builds_nothing_and_changes_no_byte(builder):
    builder.run()
    before, builds = builder.state(), builder.builds
    assert "2 of 2 in" in builder.run()
    assert builder.builds == builds and builder.state() == before


def test_the_same_sources_give_the_same_archive(builder):
    builder.run("geth")
    first = builder.releases()["geth"]["1.0"]
    (builder.served / first["url"]).unlink()
    time.sleep(1.1)  # a time stamp would differ by now
    builder.run("geth")
    assert builder.releases()["geth"]["1.0"]["checksum"] == first["checksum"]


def test_a_damaged_file_is_built_again(builder):
    builder.run()
    entry = builder.releases()["geth"]["1.0"]
    (builder.served / entry["url"]).write_bytes(b"rotten")
    assert "1 of 2 in" in builder.run()
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=builder.served, check=True)


def test_other_modules_are_another_build_and_the_old_one_goes(builder):
    builder.run()
    old = builder.releases()["geth"]["1.0"]["url"]
    (builder.root / "definitions" / "geth" / "1.0" / "go.sum").write_text("geth h1:other\n")
    builder.run("geth")
    new = builder.releases()["geth"]["1.0"]["url"]
    assert new != old and not (builder.served / old).exists() and (builder.served / new).exists()
    assert set(builder.releases()) == {"geth", "prysm", "prysm-validator"}, "building one must not forget the others"


def test_a_lost_key_means_new_signatures_not_new_builds(builder):
    builder.run()
    builds = builder.builds
    subprocess.run(["rm", "-r", builder.cache / "signing"], check=True)
    builder.run()
    assert builder.builds == builds
    verify(builder, builder.releases()["geth"]["1.0"])


def test_a_killed_build_leaves_nothing_and_the_next_run_ends_it(builder):
    process = builder.start(BUILD_SECONDS="15")
    deadline = time.monotonic() + 30
    while not builder.builds and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(builder.served.iterdir()) == []
    builder.run()
    assert not (builder.cache / "building").exists()
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=builder.served, check=True)


def test_two_runs_at_once_wait_and_build_once(builder):
    first = builder.start(BUILD_SECONDS="1")
    while not builder.builds:
        time.sleep(0.05)
    second = builder.run()
    assert f"waiting for another build in this cache (process {first.pid}" in second and "2 of 2 in" in second
    assert first.wait(timeout=60) == 0 and builder.builds == 3


def test_a_failed_build_shows_why(builder):
    output = builder.fails(BUILD_FAILS="1")
    assert "x.go:1: undefined: y" in output and "downloading" not in output
    assert list(builder.served.iterdir()) == []


def test_an_unknown_name_is_answered_with_the_known_ones(builder):
    assert "unknown: besu; known: geth, geth/1.0, prysm, prysm/2.0" in builder.fails("besu")


def test_progress_is_seen_in_a_log(builder):
    output = builder.run("geth", BUILD_SECONDS="1.5", CHAINOPS_PROGRESS_SECONDS="1")
    assert "geth 1.0 (1 of 1): 1 of 2 packages (example.org/x), 1 s" in output


def test_list_builds_nothing(builder):
    assert "geth 1.0: to build" in builder.run("--list")
    assert not builder.builds


@pytest.mark.parametrize(
    "path", sorted((ROOT / "artifacts").glob("*/*/artifact.toml")), ids=lambda path: path.parent.name
)
def test_the_real_descriptions_fit_their_directories(path):
    artifact = tomllib.loads(path.read_text())
    assert [artifact["name"], artifact["version"]] == list(path.parts[-3:-1])
    module = (path.parent / "go.mod").read_text()
    assert f"v{artifact['version']}" in module, "the version named is not the one that is built"
    for package in artifact["packages"].values():
        assert f'"{package}"' in (path.parent / "tools.go").read_text()
    known = {item.parent.name for item in path.parent.parent.glob("*/artifact.toml")}
    assert set(artifact["rollback_to"]) <= known
