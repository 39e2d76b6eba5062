# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Bring a whole site up or down."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from . import cgroup, image, needs, network
from .machine import Machine
from .shell import LabError, remove_tree, run, write
from .spec import STATE_ROOT, Host, Spec

LOCK_TIMEOUT = 300


class Site:
    """One lab: what it is to be (``spec``), and the way there."""

    def __init__(self, spec: Spec, cache: str = "", mirror: str = "") -> None:
        self.spec = spec
        self.cache = Path(cache) if cache else default_cache()
        self.mirror = mirror
        self.began = time.monotonic()
        self.warnings: list[str] = []
        self.directory = spec.state_dir
        self.key = self.directory / "id_ed25519"
        self.known_hosts = self.directory / "known_hosts"
        self.record = self.directory / "site.json"

    @classmethod
    def load(cls, prefix: str) -> Site:
        """The lab of that prefix, as it was last brought up."""
        path = STATE_ROOT / prefix / "site.json"
        if not path.exists():
            raise LabError(f"no lab with prefix {prefix!r} is up on this machine (tools/lab up makes one)")
        data = json.loads(path.read_text(encoding="utf-8"))
        return cls(Spec.from_dict(data["spec"]), data["cache"], data["mirror"])

    def machine(self, name: str) -> Machine:
        """One of its hosts."""
        if name not in self.spec.hosts:
            raise LabError(f"no host {name!r} in this lab; there are: {', '.join(self.spec.hosts)}")
        return Machine(self.spec, self.spec.hosts[name])

    def progress(self, text: str) -> None:
        """Tell what is being done: whoever watches reads it from progress.log."""
        with contextlib.suppress(OSError), (self.directory / "progress.log").open("a", encoding="utf-8") as file:
            file.write(f"{time.monotonic() - self.began:6.1f} s  {text}\n")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else changes this lab meanwhile."""
        self.directory.mkdir(parents=True, mode=0o711, exist_ok=True)
        handle = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        deadline = time.monotonic() + LOCK_TIMEOUT
        try:
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise LabError(
                            f"another process has held the lab {self.spec.prefix} for {LOCK_TIMEOUT} s"
                        ) from None
                    time.sleep(0.1)
            yield
        finally:
            os.close(handle)

    def _strays(self) -> list[str]:
        """Hosts of this prefix that the inventory does not have (any more): by their disk or by their processes."""
        known = {name for name in cgroup.names(self.spec.prefix) if not name.startswith("+")}  # + is no host
        if (self.directory / "hosts").is_dir():
            known |= {path.name for path in (self.directory / "hosts").iterdir()}
        return sorted(known - set(self.spec.hosts))

    def state(self, chosen: list[str]) -> dict[str, Any]:
        """The lab as it is, in the shape of :meth:`wanted`."""
        hosts = {name: self.machine(name).state for name in chosen}
        return {"hosts": hosts | dict.fromkeys(self._strays(), "stray"), "network": network.state(self.spec)}

    def wanted(self, chosen: list[str]) -> dict[str, Any]:
        """The lab as it is to be."""
        return {"hosts": dict.fromkeys(chosen, "running"), "network": network.wanted(self.spec)}

    def up(self, chosen: list[str], check: bool = False) -> dict[str, Any]:
        """Bring the chosen hosts up, and all they need, and remove strays; returns changed, before, after."""
        needs.check_root()
        self.spec.validate()
        needs.check_commands()
        network.check_free(self.spec)
        image.resolv_conf()
        if check:
            before, after = self.state(chosen), self.wanted(chosen)
            return {"changed": before != after, "before": before, "after": after}
        with self.locked():
            return self._up(chosen)

    def _up(self, chosen: list[str]) -> dict[str, Any]:
        before = self.state(chosen)
        machines = [self.machine(name) for name in chosen]
        states = {machine.name: before["hosts"][machine.name] for machine in machines}
        new = [machine for machine in machines if states[machine.name] == "absent"]
        to_start = [machine for machine in machines if states[machine.name] != "running"]
        images = image.Images(self.cache, self.mirror, self.progress)
        needs.check_room(len(new), len(to_start), not images.complete, STATE_ROOT, images.directory)
        data = {"spec": self.spec.as_dict(), "cache": str(self.cache), "mirror": self.mirror}
        changed = write(self.record, json.dumps(data, indent=1))
        for name in self._strays():
            self.progress(f"removing {name}, which the inventory does not have")
            self._any_machine(name).destroy()
        self._make_key()
        changed |= self._make_secrets()
        network.up(self.spec)
        if new:
            layers = images.ensure()
            for machine in self._existing():
                images.take_packages(machine.upper)
            self.progress(f"making the disks of {', '.join(machine.name for machine in new)}")
            for machine in new:
                machine.create(images, layers, self._public_key())
        changed |= self._write_known_hosts()
        if to_start:
            self.progress(f"booting {', '.join(machine.name for machine in to_start)}")
        for machine in self._existing():
            changed |= bool(machine.refresh(self._public_key()))
        for machine in to_start:
            machine.start()
        with ThreadPoolExecutor(len(machines)) as pool:  # all: a killed run may have left some half booted
            failed = dict(zip(chosen, pool.map(self._wait, machines), strict=True))
        if to_start:
            self.warnings += [
                f"host {machine.name} booted with failed units: {', '.join(failed[machine.name])}"
                for machine in to_start
                if failed[machine.name]
            ]
            self.warnings += network.obstacles()
            images.prune(_layers_in_use())
        after = self.state(chosen)
        return {"changed": changed or before != after, "before": before, "after": after}

    def _wait(self, machine: Machine) -> list[str]:
        ready = machine.ready
        failed = machine.wait()
        if not ready:
            self.progress(f"{machine.name} is up at {machine.host.address}")
        return failed

    def start(self, name: str) -> None:
        """Boot one host that is off, and wait for it."""
        machine = self.machine(name)
        if not machine.exists:
            raise LabError(f"host {name} has no disk yet: tools/lab up makes it")
        with self.locked():
            if not machine.running:
                machine.start()
        machine.wait()

    def _existing(self) -> list[Machine]:
        return [machine for machine in map(self.machine, self.spec.hosts) if machine.exists]

    def _any_machine(self, name: str) -> Machine:
        """A host of this prefix, known to the inventory or not."""
        return Machine(self.spec, self.spec.hosts.get(name) or Host(name=name, address="", region=""))

    def _make_key(self) -> None:
        public = self.key.with_suffix(".pub")
        if not public.exists():
            self.key.unlink(missing_ok=True)
            comment = f"{image.USER}@{self.spec.prefix}"
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", self.key])
        (self.directory / "cp").mkdir(mode=0o700, exist_ok=True)

    def _make_secrets(self) -> bool:
        """Passwords of this lab, for whoever starts a playbook; what is there stays."""
        directory = self.directory / "secrets"
        directory.mkdir(mode=0o700, exist_ok=True)
        missing = [directory / name for name in self.spec.secrets if not (directory / name).exists()]
        for path in missing:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            write(path, secrets.token_urlsafe(24) + "\n", 0o600)
        return bool(missing)

    def _public_key(self) -> str:
        return self.key.with_suffix(".pub").read_text(encoding="ascii")

    def _write_known_hosts(self) -> bool:
        lines = [f"{machine.host.address},{machine.name} {machine.public_key()}\n" for machine in self._existing()]
        return write(self.known_hosts, "".join(lines))

    def down(self, chosen: list[str] | None = None, check: bool = False) -> dict[str, Any]:
        """Remove the chosen hosts, or (None) the whole lab and everything that a killed run may have left of it."""
        needs.check_root()
        there = [*filter(self._is_there, self.spec.hosts), *self._strays()]
        going = there if chosen is None else [name for name in there if name in chosen]
        before: dict[str, Any] = {"hosts": there}
        after: dict[str, Any] = {"hosts": [name for name in there if name not in going]}
        changed = bool(going)
        if chosen is None:
            before["network"], after["network"] = network.names(self.spec.prefix), []
            changed |= bool(before["network"]) or self.directory.is_dir()
        if changed and not check:
            with self.locked():
                self._down(going, whole=chosen is None)
            with contextlib.suppress(OSError):
                STATE_ROOT.rmdir()  # when no other lab is left
        return {"changed": changed, "before": before, "after": after}

    def _is_there(self, name: str) -> bool:
        machine = self.machine(name)
        return machine.directory.is_dir() or machine.running

    def _down(self, going: list[str], whole: bool) -> None:
        images = image.Images(self.cache, self.mirror, self.progress)
        self.progress(f"removing {', '.join(going) or 'what is left of the lab'}")
        for name in going:
            machine = self._any_machine(name)
            machine.kill()
            images.take_packages(machine.upper)
            machine.destroy()
        if whole:
            for name in cgroup.names(self.spec.prefix):  # helpers of faults
                self._any_machine(name).kill()
            network.down(self.spec.prefix)
            remove_tree(self.directory)
        else:
            self._write_known_hosts()


def _layers_in_use() -> set[str]:
    """The images and lists that hosts of any lab on this machine are made from."""
    records = (json.loads(path.read_text(encoding="utf-8")) for path in STATE_ROOT.glob("*/hosts/*/host.json"))
    return {record[layer] for record in records for layer in ("base", "lists")}


def default_cache() -> Path:
    """Where built things are kept: CHAINOPS_CACHE, else the usual place in the home directory."""
    return Path(os.environ.get("CHAINOPS_CACHE") or "~/.cache/chainops").expanduser()
