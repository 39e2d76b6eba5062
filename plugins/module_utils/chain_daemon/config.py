# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The daemon's configuration: one JSON file, checked as a whole before anything starts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ..chain.policy import Policy
from ..chain.samples import Identity
from ..chain.transport import Endpoint

CLOCKS = ("kernel", "off")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    name: str
    execution_url: str
    consensus_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskLimit:
    path: str
    min_free_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    execution_url: str
    consensus_url: str
    references: tuple[Reference, ...] = ()
    policy: Policy = field(default_factory=Policy)
    identity: Identity = field(default_factory=Identity)
    disks: tuple[DiskLimit, ...] = ()
    clock: str = "kernel"
    ca_path: str | None = None
    listen: tuple[str, ...] = ("127.0.0.1",)
    http_port: int = 8740
    agent_port: int = 8741
    interval: float = 1.0
    timeout: float = 0.6
    state_dir: str = "/var/lib/chain_health"
    run_dir: str = "/run/chain_health"

    @property
    def max_silence(self) -> float:
        """Seconds after which a sample is too old to answer from: the loop that makes them must hang then."""
        return 2 * self.interval + 2 * self.timeout

    def problems(self) -> list[str]:
        found = []
        urls = [("execution_url", self.execution_url), ("consensus_url", self.consensus_url)]
        for reference in self.references:
            urls.append((f"execution_url of reference {reference.name}", reference.execution_url))
            if reference.consensus_url:
                urls.append((f"consensus_url of reference {reference.name}", reference.consensus_url))
        for name, url in urls:
            try:
                Endpoint(url, ca_path=self.ca_path)
            except (ValueError, OSError) as error:
                found.append(f"{name}: {error}")
        names = [reference.name for reference in self.references]
        found += [f"two references are named {name!r}" for name in sorted(set(names)) if names.count(name) > 1]
        if self.clock not in CLOCKS:
            found.append(f"clock is {self.clock!r}, it must be one of {', '.join(CLOCKS)}")
        for name, least, most in (("interval", 0.1, 60), ("timeout", 0.05, 30)):
            if not least <= getattr(self, name) <= most:
                found.append(f"{name} is {getattr(self, name)!r}, it must be between {least} and {most} seconds")
        for name in ("http_port", "agent_port"):
            if not 0 <= getattr(self, name) < 65536:
                found.append(f"{name} is {getattr(self, name)!r}, it must be a port")
        if self.http_port == self.agent_port != 0:
            found.append(f"http_port and agent_port are both {self.http_port}")
        if not self.listen:
            found.append("listen is empty: nobody could ask")
        return found


def load(path: str) -> Config:
    """The configuration in a file; ValueError names every mistake in it."""
    with open(path, encoding="utf-8") as file:
        try:
            raw = json.load(file)
        except ValueError as error:
            raise ValueError(f"{path} is not JSON: {error}") from None
    try:
        config = parse(raw)
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(f"{path}: {error}") from None
    problems = config.problems()
    if problems:
        raise ValueError(f"{path}: {'; '.join(problems)}")
    return config


def parse(raw: Mapping[str, Any]) -> Config:
    if not isinstance(raw, dict):
        raise ValueError("it must be an object")
    values = dict(raw)
    values["policy"] = Policy.from_mapping(values.get("policy") or {})
    values["identity"] = Identity(chain_id=values.pop("chain_id", None), genesis_hash=values.pop("genesis_hash", None))
    values["references"] = tuple(Reference(**_known(Reference, entry)) for entry in values.get("references") or ())
    values["disks"] = tuple(DiskLimit(**_known(DiskLimit, entry)) for entry in values.get("disks") or ())
    if "listen" in values:
        values["listen"] = tuple(values["listen"] or ())
    return Config(**_known(Config, values))


def _known(kind: Any, values: Mapping[str, Any]) -> Mapping[str, Any]:
    names = {item.name for item in fields(kind)}
    unknown = sorted(set(values) - names)
    if unknown:
        raise ValueError(f"unknown: {', '.join(unknown)}; known are {', '.join(sorted(names))}")
    return values
