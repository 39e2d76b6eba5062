# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Copies: an RDB of one server, checked, with a manifest, encrypted by restic and sent to an append-only repository."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .config import Config
from .resp import Client, Node, RedisError, Unreachable, info

# Written to the master before each copy, so that a copy can be told from an older one.
MARKER = "chainops:copy-marker"
KEYS_READ = re.compile(r"(\d+) keys read")
NO_REPOSITORY = 10  # restic's exit code


class CopyError(Exception):
    """No copy was made, or it is not good."""


@dataclass(frozen=True)
class Manifest:
    """What is in a copy, as it was when it was made."""

    watched: str
    source: str
    taken: float
    sha256: str
    bytes: int
    keys: int
    marker: str

    @classmethod
    def read(cls, path: Path) -> Manifest:
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise CopyError(f"the copy's manifest cannot be read: {type(error).__name__}") from None


def turn(config: Config) -> tuple[bool, str]:
    """Whether this host makes the copy: of the master's replicas the first by address, and a master that has none. A
    fork costs a replica's clients nothing."""
    said = _replication(config, config.node)
    if said["role"] == "master":
        others = online(said)
        if others:
            return False, f"master; {others[0]} makes the copy"
        return True, "master without replicas"
    if said.get("master_link_status") != "up":
        return False, "a replica without a link to its master"
    master = Node(said["master_host"], int(said["master_port"]))
    others = online(_replication(config, master))
    if others and others[0] == config.node:
        return True, f"first replica of {master}"
    return False, f"{others[0]} makes the copy" if others else f"{master} does not know this replica"


def _replication(config: Config, node: Node) -> dict[str, str]:
    with Client(node, config.access("admin"), 5.0) as client:
        return info(client.call("INFO", "replication"))


def online(said: dict[str, str]) -> list[Node]:
    found = []
    for name, value in said.items():
        if re.fullmatch(r"slave\d+", name):
            fields = dict(part.split("=", 1) for part in value.split(","))
            if fields.get("state") == "online":
                found.append(Node(fields["ip"], int(fields["port"])))
    return sorted(found, key=lambda node: (node.address, node.port))


def master_of(config: Config) -> Node:
    said = _replication(config, config.node)
    return Node(said["master_host"], int(said["master_port"])) if said["role"] == "slave" else config.node


def mark(config: Config) -> str:
    """A new marker, which the copy must hold; nothing where the master takes no writes, which must not stop a copy."""
    marker = f"{int(time.time())}-{secrets.token_hex(8)}"
    try:
        with Client(master_of(config), config.access("admin"), 5.0) as client:
            client.call("SET", MARKER, marker)
        with Client(config.node, config.access("admin"), 5.0) as client:
            for _attempt in range(50):
                if client.call("GET", MARKER) == marker:
                    return marker
                time.sleep(0.1)
    except (RedisError, Unreachable):
        return ""
    raise CopyError("what was written to the master did not arrive at this replica within 5 s")


def run(words: list[str], environment: dict[str, str], what: str, timeout: float) -> str:
    try:
        done = subprocess.run(
            words, env=environment, capture_output=True, text=True, errors="replace", timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        raise CopyError(f"{what} did not end within {timeout:g} s") from None
    except OSError as error:
        raise CopyError(f"{what}: {error.strerror}") from None
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
        fatal = [line for line in lines if "Fatal" in line] + lines[-1:]
        raise CopyError(f"{what} ended with {done.returncode}: {fatal[0] if fatal else 'no message'}")
    return done.stdout


def check_rdb(path: Path) -> int:
    """Number of keys in an RDB whose checksum and structure are good."""
    output = run(["redis-check-rdb", str(path)], {"PATH": "/usr/bin:/bin"}, "redis-check-rdb", 3600)
    found = KEYS_READ.search(output)
    if not found:
        raise CopyError("redis-check-rdb did not say how many keys it read")
    return int(found[1])


def digest(path: Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def make(config: Config, directory: Path, timeout: float) -> Manifest:
    """An RDB and its manifest in a directory."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / "dump.rdb"
    path.unlink(missing_ok=True)
    marker = mark(config)
    access = config.access("admin")
    words = ["redis-cli", "--tls", "--cacert", config.ca, "--cert", config.certificate, "--key", config.key]
    words += ["-h", config.node.address, "-p", str(config.node.port), "--user", access.user, "--no-auth-warning"]
    environment = {"PATH": "/usr/bin:/bin", "REDISCLI_AUTH": access.password}
    run([*words, "--rdb", str(path)], environment, "redis-cli --rdb", timeout)
    keys = check_rdb(path)
    manifest = Manifest(
        config.watched, config.name, time.time(), digest(path), path.stat().st_size, keys, marker
    )  # fmt: skip
    (directory / "manifest.json").write_text(json.dumps(asdict(manifest), indent=1))
    return manifest


class Repository:
    """restic with what the unit's EnvironmentFile= says; the key is a credential of the unit where there is one."""

    def __init__(self, job: str, timeout: float) -> None:
        names = ("RESTIC_", "PATH", "HOME", "AWS_", "SSL_")
        self.environment = {name: value for name, value in os.environ.items() if name.startswith(names)}
        directory = os.environ.get("CREDENTIALS_DIRECTORY")
        if directory and Path(directory, "key").exists():
            self.environment["RESTIC_PASSWORD_FILE"] = str(Path(directory, "key"))
        self.job, self.timeout = job, timeout

    def restic(self, *words: str) -> str:
        command = ["restic", "--quiet", "--retry-lock", "30m", *words]
        return run(command, self.environment, f"restic {words[0]}", self.timeout)

    def ready(self) -> None:
        """Make the repository where there is none."""
        try:
            self.restic("cat", "config")
        except CopyError as error:
            if f"ended with {NO_REPOSITORY}:" not in str(error):
                raise
            self.restic("init")

    def send(self, directory: Path) -> None:
        self.restic("backup", "--host", self.job, "--tag", self.job, str(directory))

    def restore(self, source: Path, target: Path) -> str:
        """The newest copy; returns its id."""
        newest: list[dict[str, Any]] = json.loads(
            self.restic("snapshots", "--tag", self.job, "--latest", "1", "--json")
        )
        if not newest:
            raise CopyError("the repository holds no copy")
        name = newest[-1]["short_id"]
        self.restic("restore", f"{newest[-1]['id']}:{source}", "--target", str(target), "--verify")
        return str(name)
