# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The directory that holds a chain's genesis: whole or absent, and the same on every host."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import tempfile
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .genesis import Parameters

SUMMARY = "chain.json"
# config.yaml, deposit_contract_block.txt and the list of boot nodes are what Lighthouse calls the files of a network
FILES = (
    "genesis.json",
    "genesis.ssz",
    "config.yml",
    "config.yaml",
    "deposit_contract_block.txt",
    "boot_enr.yaml",
    "bootstrap_nodes.yaml",
)


class Conflict(Exception):
    """What is there is not what is wanted; the text says what to do."""


def digest_of(files: dict[str, bytes]) -> str:
    """One hash for all files, whatever their order."""
    lines = [f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def read_files(path: Path) -> dict[str, bytes] | None:
    """All files of a directory that is whole; None for one that is absent, incomplete or altered."""
    try:
        summary = json.loads((path / SUMMARY).read_bytes())
        files = {name: (path / name).read_bytes() for name in FILES}
        return files if digest_of(files) == summary["digest"] else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def read_summary(path: Path) -> dict[str, Any] | None:
    if read_files(path) is None:
        return None
    return json.loads((path / SUMMARY).read_bytes())


def summarise(
    parameters: Parameters, genesis_time: int, addresses: list[str], files: dict[str, bytes]
) -> dict[str, Any]:
    return {
        "parameters": asdict(parameters),
        "genesis_time": genesis_time,
        "accounts": addresses,
        "digest": digest_of(files),
    }


def refuse_other_parameters(path: Path, summary: dict[str, Any], wanted: Parameters) -> None:
    known = summary["parameters"]
    differing = [
        f"{key} {known.get(key)!r}, not {value!r}" for key, value in asdict(wanted).items() if known.get(key) != value
    ]
    if differing:
        raise Conflict(
            f"the chain in {path} was made with {'; '.join(differing)}. A chain that exists keeps its genesis: set "
            f"these values back, or choose another devnet_name, or remove {path} and the clients' data on all hosts"
        )


def pack(files: dict[str, bytes], summary: dict[str, Any]) -> str:
    """Everything as text; a genesis state of 2.7 MB is 9 kB, as most of it is zero."""
    content = {"summary": summary, "files": {name: base64.b64encode(data).decode() for name, data in files.items()}}
    return base64.b64encode(zlib.compress(json.dumps(content).encode(), 9)).decode()


def unpack(bundle: str) -> tuple[dict[str, bytes], dict[str, Any]]:
    try:
        content = json.loads(zlib.decompress(base64.b64decode(bundle, validate=True)))
        files = {name: base64.b64decode(content["files"][name], validate=True) for name in FILES}
        summary = content["summary"]
        if digest_of(files) != summary["digest"]:
            raise ValueError("digest")
    except (ValueError, LookupError, TypeError, zlib.error):
        raise Conflict("the bundle is not one that devnet_genesis has made") from None
    return files, summary


def sweep(path: Path) -> None:
    """Remove what killed runs have left beside the directory."""
    for left in path.parent.glob(f".{path.name}.*"):
        # in nobody's way, and another run may be sweeping too
        shutil.rmtree(left, ignore_errors=True)


def place(path: Path, files: dict[str, bytes], summary: dict[str, Any]) -> None:
    """Bring the directory into being with one rename; an incomplete one is moved aside first and removed after."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path)
    new = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    for name, data in {**files, SUMMARY: json.dumps(summary, indent=1).encode() + b"\n"}.items():
        with (new / name).open("wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
    new.chmod(0o755)
    if path.exists():
        path.rename(new.with_name(new.name + ".old"))
    new.rename(path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sweep(path)
