# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Build the pinned releases under artifacts/ into a cache, shaped, summed and signed as upstream's are.

The cache (CHAINOPS_CACHE, else ~/.cache/chainops) then holds what a mirror serves:

    artifacts/<name>/<version>-<key>/<file>[.asc|.sig]   key: hash of everything the build is made from
    artifacts/SHA256SUMS                                 sums of all of them
    artifacts/releases.json                              name -> version -> what `chainops.infra.release` needs

and, outside of it, signing/ (the lab's secret key). A build that is killed leaves nothing but a directory that the next
run removes: files are made beside their place and renamed into it.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import gzip
import hashlib
import json
import os
import platform
import shutil
import sys
import tarfile
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import gobuild
import signing
import toolchain

HERE = Path(__file__).resolve().parent
# Changed by hand when packing changes in a way that the files' hashes do not show.
FORMAT = "1"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def say(text: str) -> None:
    print(f"artifacts: {text}", flush=True)


def cache_directory() -> Path:
    return Path(os.environ.get("CHAINOPS_CACHE") or Path.home() / ".cache" / "chainops")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Only one build in a cache at a time; says whom it waits for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as handle:
        waited = 0
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if waited % 30 == 0:
                    handle.seek(0)
                    owner = handle.read().strip() or "unknown"
                    say(f"waiting for another build in this cache (process {owner}, {waited} s so far)")
                time.sleep(1)
                waited += 1
        handle.seek(0)
        handle.truncate()
        handle.write(f"{os.getpid()}\n")
        handle.flush()
        yield


def sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def write_atomically(path: Path, text: str) -> None:
    """Replace a file whole, and only if its content differs, so that a no-op run changes no time stamp."""
    if path.exists() and path.read_text() == text:
        return
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text)
    beside.replace(path)


def load(directory: Path) -> dict:
    """An artifact's description, with where it lies."""
    artifact = tomllib.loads((directory / "artifact.toml").read_text())
    return {**artifact, "source": directory}


def content_key(artifact: dict, go: str, compiler: str) -> str:
    """Hash of everything the build is made from: module sums, flags, file names, the two compilers."""
    source = artifact["source"]
    parts = {
        "format": [FORMAT, artifact["file"], artifact["archive"]],
        "machine": [platform.machine(), *map(str, toolchain.go_version(go)), compiler],
        "modules": [sha256(source / "go.mod"), sha256(source / "go.sum")],
        "flags": [*gobuild.go_flags(artifact), *toolchain.build_settings(artifact.get("cflags", [])).values()],
        "packages": sorted(artifact["packages"].items()),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def file_name(artifact: dict, binary: str) -> str:
    arch = ARCHITECTURES.get(platform.machine(), platform.machine())
    return artifact["file"].format(version=artifact["version"], arch=arch, binary=binary)


def pack(built: Path, artifact: dict, target: Path) -> None:
    """Turn built executables into release files: the same bytes whenever they are packed."""
    if artifact["archive"] == "none":
        for binary in artifact["packages"]:
            (built / binary).rename(target / file_name(artifact, binary))
        return
    name = file_name(artifact, artifact["name"])
    top = name.removesuffix(".tar.gz")

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        member.mtime = 0
        member.mode = 0o755
        return member

    # An empty name and time 0: gzip's header must not say when and where it was made.
    with (
        (target / name).open("wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for binary in sorted(artifact["packages"]):
            tar.add(built / binary, f"{top}/{binary}", filter=plain)


def complete(place: Path) -> dict | None:
    """The manifest of a finished build whose files all have the sums they had; None if it must be built again."""
    try:
        manifest = json.loads((place / "manifest.json").read_text())
        intact = all(sha256(place / name) == value for name, value in manifest["sha256"].items())
    except (OSError, ValueError, KeyError):
        return None
    return manifest if intact else None


def sign(place: Path, manifest: dict, artifact: dict, key: signing.Key) -> None:
    """Sign every file of a build; again only where the key is another one."""
    signatures = [place / f"{name}.{artifact['signature']}" for name in manifest["sha256"]]
    if manifest.get("signed_by") == key.fingerprint and all(path.exists() for path in signatures):
        return
    for name in manifest["sha256"]:
        key.sign(place / name, artifact["signature"])
    manifest["signed_by"] = key.fingerprint
    write_atomically(place / "manifest.json", json.dumps(manifest, indent=1, sort_keys=True) + "\n")


def release_entries(artifact: dict, manifest: dict, folder: str, key: signing.Key) -> dict[str, dict]:
    """What a host needs to know to install: one entry for each release name of the artifact."""
    names = artifact.get("releases", {artifact["name"]: artifact["name"]})
    entries = {}
    for binary, release in names.items():
        file = file_name(artifact, binary)
        top = file.removesuffix(".tar.gz")
        inside = [binary] if artifact["archive"] == "none" else artifact["packages"]
        entries[release] = {
            "url": f"{folder}/{file}",
            "checksum": f"sha256:{manifest['sha256'][file]}",
            "signature_url": f"{folder}/{file}.{artifact['signature']}",
            "fingerprint": key.fingerprint,
            "signing_key": key.armored,
            "archive": artifact["archive"],
            "binaries": [name if artifact["archive"] == "none" else f"{top}/{name}" for name in inside],
            "rollback_to": artifact["rollback_to"],
        }
    return entries


def make(artifact: dict, place: Path, go: str, *, title: str, workspace: Path) -> dict:
    """Build, pack and put in place one artifact. Returns its manifest."""
    with tempfile.TemporaryDirectory(dir=workspace) as scratch:
        built, packed = Path(scratch, "built"), Path(scratch, "packed")
        built.mkdir()
        packed.mkdir()
        environment = toolchain.environment(artifact.get("cflags", []))
        seconds = gobuild.build(go, artifact, environment, target=built, title=title)
        pack(built, artifact, packed)
        sums = {path.name: sha256(path) for path in sorted(packed.iterdir())}
        manifest = {"sha256": sums, "seconds": round(seconds, 1)}
        (packed / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
        os.sync()
        # most often there is none
        shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        packed.rename(place)
    size = sum((place / name).stat().st_size for name in sums) / 1e6
    say(f"{title}: built in {seconds:.0f} s, {size:.0f} MB")
    return manifest


def select(definitions: Path, wanted: list[str]) -> list[dict]:
    """The artifacts named (geth, geth/1.17.8), or all of them."""
    found = [load(path.parent) for path in sorted(definitions.glob("*/*/artifact.toml"))]
    if not wanted:
        return found
    known = {label for each in found for label in (each["name"], f"{each['name']}/{each['version']}")}
    if unknown := sorted(set(wanted) - known):
        raise SystemExit(f"artifacts: unknown: {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    return [each for each in found if {each["name"], f"{each['name']}/{each['version']}"} & set(wanted)]


def publish(served: Path, releases: dict) -> None:
    """Write the list of releases and the sums of every file it names."""
    entries = [entry for versions in releases.values() for entry in versions.values()]
    sums = {entry["url"]: entry["checksum"].removeprefix("sha256:") for entry in entries}
    sums |= {entry["signature_url"]: sha256(served / entry["signature_url"]) for entry in entries}
    write_atomically(served / "SHA256SUMS", "".join(f"{value}  {path}\n" for path, value in sorted(sums.items())))
    write_atomically(served / "releases.json", json.dumps(releases, indent=1, sort_keys=True) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the pinned releases into the cache.")
    parser.add_argument("artifact", nargs="*", help="geth, geth/1.17.8, prysm, …; all of them when none is named")
    parser.add_argument("--list", action="store_true", help="show what is there and what would be built, and stop")
    parser.add_argument("--definitions", type=Path, default=HERE, help="where NAME/VERSION/artifact.toml are")
    options = parser.parse_args()
    cache = cache_directory()
    served = cache / "artifacts"
    chosen = select(options.definitions, options.artifact)

    with locked(cache / "artifacts.lock"):
        served.mkdir(parents=True, exist_ok=True)
        workspace = cache / "building"
        shutil.rmtree(workspace, ignore_errors=True)  # what a killed run left; the lock says nobody uses it
        workspace.mkdir()
        go = toolchain.find(cache, max(toolchain.wanted_version(each["source"] / "go.mod") for each in chosen), say)
        compiler = toolchain.compiler_version()
        places = [served / each["name"] / f"{each['version']}-{content_key(each, go, compiler)}" for each in chosen]
        manifests = [complete(place) for place in places]
        missing = manifests.count(None)
        if options.list:
            for artifact, place, manifest in zip(chosen, places, manifests, strict=True):
                say(f"{artifact['name']} {artifact['version']}: {'ready' if manifest else 'to build'}, {place}")
            return
        say(f"{len(chosen) - missing} of {len(chosen)} in {served}" + (f", {missing} to build" if missing else ""))
        key = signing.Key(cache / "signing")
        try:
            releases: dict[str, dict] = {}
            number = 0
            for artifact, place, manifest in zip(chosen, places, manifests, strict=True):
                if manifest is None:
                    number += 1
                    title = f"{artifact['name']} {artifact['version']} ({number} of {missing})"
                ready = manifest or make(artifact, place, go, title=title, workspace=workspace)
                sign(place, ready, artifact, key)
                folder = place.relative_to(served).as_posix()
                for name, entry in release_entries(artifact, ready, folder, key).items():
                    releases.setdefault(name, {})[artifact["version"]] = entry
        finally:
            key.close()
        listed = served / "releases.json"
        known = json.loads(listed.read_text()) if listed.exists() and options.artifact else {}
        for name, versions in releases.items():
            known[name] = {**known.get(name, {}), **versions}
        publish(served, known)
        # Only now, as the list no longer names them: earlier builds of the same versions.
        for artifact, place in zip(chosen, places, strict=True):
            for old in place.parent.glob(f"{artifact['version']}-*"):
                if old != place:
                    shutil.rmtree(old)
        # what is left of it only takes room, and the next run removes it
        shutil.rmtree(workspace, ignore_errors=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("artifacts: interrupted; run again to go on")
