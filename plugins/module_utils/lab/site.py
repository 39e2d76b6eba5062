# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Bring a whole site up or down."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from . import cgroup, image, needs, network
from .machine import Machine
from .shell import LabError, run, write
from .spec import STATE_ROOT, Spec

LOCK_TIMEOUT = 300


class Site:
    """One lab: what it is to be (``spec``), and the way there."""

    def __init__(self, spec: Spec, cache: str = "", mirror: str = "") -> None:
        self.spec = spec
        self.cache = cache or default_cache()
        self.mirror = mirror
        self.began = time.monotonic()
        self.warnings: list[str] = []
        self.directory = spec.state_dir
        self.key = f"{self.directory}/id_ed25519"
        self.known_hosts = f"{self.directory}/known_hosts"
        self.record = f"{self.directory}/site.json"

    @classmethod
    def load(cls, prefix: str) -> Site:
        """The lab of that prefix, as it was last brought up."""
        try:
            with open(f"{STATE_ROOT}/{prefix}/site.json", encoding="utf-8") as file:
                data = json.load(file)
        except FileNotFoundError as error:
            raise LabError(f"no lab with prefix {prefix!r} is up on this machine (tools/lab up makes one)") from error
        return cls(Spec.from_dict(data["spec"]), data["cache"], data["mirror"])

    def machine(self, name: str) -> Machine:
        """One of its hosts."""
        if name not in self.spec.hosts:
            raise LabError(f"no host {name!r} in this lab; there are: {', '.join(self.spec.hosts)}")
        return Machine(self.spec, self.spec.hosts[name])

    def progress(self, text: str) -> None:
        """Tell what is being done: whoever watches reads it from progress.log."""
        with contextlib.suppress(OSError), open(f"{self.directory}/progress.log", "a", encoding="utf-8") as file:
            file.write(f"{time.monotonic() - self.began:6.1f} s  {text}\n")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else changes this lab meanwhile."""
        os.makedirs(self.directory, mode=0o711, exist_ok=True)
        handle = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        deadline = time.monotonic() + LOCK_TIMEOUT
        try:
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise LabError(f"another process has been changing the lab {self.spec.prefix} for {LOCK_TIMEOUT} s") from None
                    time.sleep(0.1)
            yield
        finally:
            os.close(handle)

    def state(self, chosen: list[str]) -> dict[str, Any]:
        """The lab as it is, in the shape of :meth:`wanted`."""
        hosts = {}
        for name in chosen:
            machine = self.machine(name)
            if machine.running:
                hosts[name] = "running"
            elif machine.exists:
                hosts[name] = "off"
            else:
                hosts[name] = "absent"
        return {"hosts": hosts, "network": network.state(self.spec)}

    def wanted(self, chosen: list[str]) -> dict[str, Any]:
        """The lab as it is to be."""
        return {"hosts": dict.fromkeys(chosen, "running"), "network": network.wanted(self.spec)}

    def up(self, chosen: list[str], check: bool = False) -> dict[str, Any]:
        """Bring the chosen hosts up, and all they need; returns changed, before, after, hosts."""
        needs.check_root()
        self.spec.validate()
        needs.check_commands()
        network.check_free(self.spec)
        if check:
            before, after = self.state(chosen), self.wanted(chosen)
            return {"changed": before != after, "before": before, "after": after}
        with self.locked():
            return self._up(chosen)

    def _up(self, chosen: list[str]) -> dict[str, Any]:
        before = self.state(chosen)
        machines = [self.machine(name) for name in chosen]
        images = image.Images(self.cache, self.mirror, self.progress)
        new = [machine for machine in machines if not machine.exists]
        to_start = [machine for machine in machines if not machine.running or not machine.exists]
        needs.check_room(len(new), len(to_start), bool(images.missing), STATE_ROOT, images.directory)
        data = {"spec": self.spec.as_dict(), "cache": self.cache, "mirror": self.mirror}
        changed = write(self.record, json.dumps(data, indent=1))
        self._make_key()
        network.up(self.spec)
        if new:
            layers = images.ensure()
            for machine in self._known_machines():
                images.take_packages(machine.upper)
            self.progress(f"making the disks of {', '.join(machine.name for machine in new)}")
            for machine in new:
                machine.create(images, layers, self._public_key())
        self._write_known_hosts()
        for machine in to_start:
            machine.kill()  # whatever a killed run has left of it
            machine.start()
        for machine in machines:
            if machine not in to_start:
                changed |= bool(machine.write_files(self._public_key()))
        if to_start:
            self.progress(f"booting {', '.join(machine.name for machine in to_start)}")
            with ThreadPoolExecutor(len(to_start)) as pool:
                list(pool.map(self._wait, to_start))
        images.prune(self._used_layers())
        after = self.state(chosen)
        return {"changed": changed or before != after, "before": before, "after": after}

    def _wait(self, machine: Machine) -> None:
        failed = machine.wait()
        if failed:
            self.warnings.append(f"host {machine.name} booted with failed units: {', '.join(failed)}")
        self.progress(f"{machine.name} is up at {machine.host.address}" + (f", failed: {', '.join(failed)}" if failed else ""))

    def start(self, name: str) -> None:
        """Boot one host that is off."""
        machine = self.machine(name)
        if not machine.exists:
            raise LabError(f"host {name} has no disk yet: tools/lab up makes it")
        if not machine.running:
            machine.kill()
            machine.start()
        machine.wait()

    def _known_machines(self) -> list[Machine]:
        return [machine for machine in map(self.machine, self.spec.hosts) if machine.exists]

    def _used_layers(self) -> set[str]:
        """Layers of every lab on this machine, not of this one only."""
        used = set()
        for where, directories, files in os.walk(STATE_ROOT):
            if "host.json" in files:
                directories.clear()
                with open(f"{where}/host.json", encoding="utf-8") as file:
                    made = json.load(file)
                used |= {made["base"], made["lists"]}
        return used

    def _make_key(self) -> None:
        if not os.path.exists(f"{self.key}.pub"):
            for path in (self.key, f"{self.key}.pub"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{image.USER}@{self.spec.prefix}", "-f", self.key])
        os.makedirs(f"{self.directory}/cp", mode=0o700, exist_ok=True)

    def _public_key(self) -> str:
        with open(f"{self.key}.pub", encoding="ascii") as file:
            return file.read()

    def _write_known_hosts(self) -> None:
        lines = [f"{machine.host.address},{machine.name} {machine.public_key()}\n" for machine in self._known_machines()]
        write(self.known_hosts, "".join(lines))

    def down(self, chosen: list[str] | None = None, check: bool = False) -> dict[str, Any]:
        """Remove the chosen hosts, or (None) the whole lab and everything that a killed run may have left of it."""
        needs.check_root()
        if not check:
            return self._down(chosen)
        names = self._names() if chosen is None else chosen
        before = {"hosts": [name for name in names if os.path.isdir(f"{self.directory}/hosts/{name}")]}
        if chosen is None:
            before |= {"network": network.state(Spec(self.spec.prefix, ""))["bridges"]}
        return {"changed": any(before.values()), "before": before, "after": {key: type(value)() for key, value in before.items()}}

    def _names(self) -> list[str]:
        """Every host of this prefix, by the record, by its disk or by its processes."""
        known = set(self.spec.hosts) | set(cgroup.names(self.spec.prefix))
        with contextlib.suppress(FileNotFoundError):
            known |= set(os.listdir(f"{self.directory}/hosts"))
        return sorted(known)

    def _down(self, chosen: list[str] | None) -> dict[str, Any]:
        existed = os.path.isdir(self.directory)
        removed = []
        with self.locked():
            images = image.Images(self.cache, self.mirror, self.progress)
            for name in self._names() if chosen is None else chosen:
                machine = Machine(self.spec, self.spec.hosts.get(name) or _stray(name))
                images.take_packages(machine.upper)
                if machine.destroy():
                    removed.append(name)
            changed = bool(removed)
            if chosen is None:
                changed |= network.down(self.spec.prefix)
                shutil.rmtree(self.directory)
            else:
                self._write_known_hosts()
        with contextlib.suppress(OSError):
            os.rmdir(STATE_ROOT)
        return {"changed": changed or (chosen is None and existed), "before": {"hosts": removed}, "after": {"hosts": []}}


def _stray(name: str) -> Any:
    from .spec import Host

    return Host(name=name, address="0.0.0.0", region="")


def default_cache() -> str:
    """Where built things are kept: CHAINOPS_CACHE, else the usual place in the home directory."""
    return os.environ.get("CHAINOPS_CACHE") or os.path.expanduser("~/.cache/chainops")


ProgressReader = Callable[[str], None]
