# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What etcdctl says of a cluster, and the two changes of membership that are made; one loss must never become two."""

from __future__ import annotations

import json
import os
import subprocess
import typing as t
from dataclasses import dataclass


class EtcdError(Exception):
    """What is wrong, for a person."""


@dataclass(frozen=True)
class Member:
    number: int
    name: str  # empty: it was added and has never started
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]

    @property
    def hex(self) -> str:
        return f"{self.number:x}"

    @property
    def started(self) -> bool:
        return bool(self.name)

    def described(self) -> dict[str, t.Any]:
        return {"id": self.hex, "name": self.name, "peer_urls": list(self.peer_urls), "started": self.started}


def members_in(text: str) -> list[Member]:
    """The members in the JSON that `etcdctl member list` prints."""
    try:
        found = json.loads(text)["members"]
        return [
            Member(int(each["ID"]), each.get("name", ""), tuple(each["peerURLs"]), tuple(each.get("clientURLs") or ()))
            for each in found
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise EtcdError("etcdctl member list gave an answer that nobody understands") from error


class Cluster:
    """A cluster as its clients see it."""

    def __init__(self, endpoints: list[str], files: dict[str, str], timeout: int, program: str = "etcdctl") -> None:
        self.endpoints, self.files, self.timeout, self.program = endpoints, files, timeout, program

    def _run(self, *words: str, endpoints: list[str] | None = None) -> subprocess.CompletedProcess[str]:
        command = [self.program, f"--endpoints={','.join(endpoints or self.endpoints)}"]
        command += [f"--{name}={path}" for name, path in self.files.items() if path]
        command += [f"--dial-timeout={self.timeout}s", f"--command-timeout={self.timeout}s", *words]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ETCDCTL_")}
        try:
            return subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=False,
                timeout=self.timeout * (len(self.endpoints) + 2),
                env=environment,
            )
        except FileNotFoundError as error:
            raise EtcdError(f"{self.program} is not installed: install the package etcd-client") from error
        except subprocess.TimeoutExpired as error:
            raise EtcdError(f"{self.program} {' '.join(words[:2])} did not end") from error

    def ask(self, *words: str) -> str:
        done = self._run(*words)
        if done.returncode:
            lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
            reason = lines[-1] if lines else "no reason given"
            raise EtcdError(f"{self.program} {' '.join(words[:2])} at {', '.join(self.endpoints)}: {reason}")
        return done.stdout

    def members(self) -> list[Member]:
        return members_in(self.ask("member", "list", "--write-out=json"))

    def healthy(self, member: Member) -> bool:
        """Whether this member commits: it is asked at its own address, and a linearizable read needs a quorum."""
        if not member.client_urls:
            return False
        return self._run("endpoint", "health", endpoints=list(member.client_urls)).returncode == 0

    def add(self, name: str, peer_url: str) -> None:
        self.ask("member", "add", name, f"--peer-urls={peer_url}")

    def remove(self, member: Member) -> None:
        self.ask("member", "remove", member.hex)


def find(members: list[Member], name: str, peer_url: str) -> Member | None:
    """The member of this name or peer URL; one that has the name of one and the URL of another is refused."""
    by_name = [member for member in members if member.name == name]
    by_url = [member for member in members if peer_url in member.peer_urls]
    if by_url and by_url[0].started and by_url[0].name != name:
        raise EtcdError(f"{peer_url} is the peer URL of the member {by_url[0].name}, not of {name}")
    found = list(dict.fromkeys(by_name + by_url))
    if len(found) > 1:
        raise EtcdError(f"{name} is a member with {', '.join(by_name[0].peer_urls)}, and {peer_url} is another's")
    return found[0] if found else None


def refusal(cluster: Cluster, members: list[Member], leaving: Member) -> str:
    """Why a member must not be removed; empty if it may be.

    Those that stay must be a quorum both of the cluster as it is, to agree to the removal, and of the smaller one.
    """
    staying = [member for member in members if member != leaving]
    if not staying:
        return "it is the only member: removing it would end the cluster"
    well = [member for member in staying if cluster.healthy(member)]
    needed = max(len(members) // 2 + 1, len(staying) // 2 + 1)
    if len(well) < needed:
        sick = ", ".join(member.name or member.hex for member in staying if member not in well)
        return f"of the other members {len(well)} of {len(staying)} are healthy and {needed} must be ({sick} not)"
    return ""
