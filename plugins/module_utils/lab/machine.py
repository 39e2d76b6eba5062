# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""One host: its disk, its boot, its end."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import socket
import subprocess
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .cgroup import Cgroup
from .image import USER, USER_ID, Images, resolv_conf
from .shell import LabError, environment, remove_tree, run, unshared, write
from .spec import Host, Spec

BOOT_TIMEOUT = 90
# What a container engine inside the host needs. The clock and the kernel's modules are the machine's.
CONTAINERS = ("--capability=all", "--drop-capability=CAP_SYS_TIME,CAP_SYS_MODULE", "--system-call-filter=@keyring bpf")
NSPAWN = (
    "systemd-nspawn --boot --quiet --register=no --keep-unit --settings=no --link-journal=no --resolv-conf=off "
    "--timezone=off --console=pipe --bind=/dev/net/tun"
)
HOST_KEY = "etc/ssh/ssh_host_ed25519_key"


class Machine:
    """A host of a lab on this machine."""

    def __init__(self, spec: Spec, host: Host) -> None:
        self.spec = spec
        self.host = host
        self.name = host.name
        self.directory = spec.state_dir / "hosts" / host.name
        self.upper = self.directory / "upper"
        self.made = self.directory / "host.json"
        self.console = self.directory / "console.log"
        self.cgroup = Cgroup(spec.prefix, host.name)

    @property
    def running(self) -> bool:
        """Whether any process of it is alive."""
        return self.cgroup.populated

    @property
    def exists(self) -> bool:
        """Whether its disk was made, whole."""
        return self.made.exists()

    @property
    def state(self) -> str:
        """absent, off, running, or outdated: it runs, but not as the inventory now says."""
        if not self.exists:
            return "absent"
        if not self.running:
            return "off"
        return "running" if self._record()["boot"] == self._boot() else "outdated"

    @property
    def link(self) -> str:
        """The machine's end of the host's network link."""
        return f"vb-{self._machine_name}"

    @property
    def _machine_name(self) -> str:
        """nspawn names the link after it, and hashes what is longer than a link's name."""
        return f"{self.spec.prefix}{self.spec.mark(self.name):04x}"

    @property
    def root(self) -> Path:
        """The host's files as the machine reaches them: through PID 1 while it runs, else the overlay's upper part."""
        leader = self.cgroup.leader()
        return Path(f"/proc/{leader}/root") if leader else self.upper

    def public_key(self) -> str:
        """The host's SSH key, as known_hosts wants it."""
        return " ".join((self.upper / f"{HOST_KEY}.pub").read_text(encoding="ascii").split()[:2])

    def _record(self) -> dict[str, Any]:
        return json.loads(self.made.read_text(encoding="utf-8"))

    def _boot(self) -> dict[str, Any]:
        """What of the inventory takes effect when a host boots."""
        return {key: value for key, value in asdict(self.host).items() if key != "disks"}

    def _disks(self) -> list[list[str]]:
        return [[disk.path, disk.size] for disk in self.host.disks]

    def files(self, authorized_key: str) -> dict[str, tuple[str, int, int]]:
        """The files that make the base image this host: path to content, mode and owner."""
        names = "".join(f"{host.address} {host.name}\n" for host in self.spec.hosts.values())
        network = (
            f"[Match]\nName=host0\n\n[Network]\nAddress={self.host.address}/24\n"
            f"Gateway={self.spec.gateway(self.host.region)}\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"
        )
        identity = uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.name}.{self.spec.prefix}.chainops-lab").hex
        return {
            "etc/hostname": (f"{self.name}\n", 0o644, 0),
            "etc/hosts": (f"127.0.0.1 localhost\n::1 localhost\n{names}", 0o644, 0),
            "etc/machine-id": (f"{identity}\n", 0o444, 0),
            "etc/resolv.conf": (resolv_conf(), 0o644, 0),
            "etc/systemd/network/10-host0.network": (network, 0o644, 0),
            f"home/{USER}/.ssh/authorized_keys": (authorized_key, 0o600, USER_ID),
        }

    def create(self, images: Images, layers: tuple[Path, Path], authorized_key: str) -> None:
        """Make the host's disk. The record comes last: without it the next run begins again."""
        self.destroy()
        (self.directory / "work").mkdir(parents=True)
        (self.upper / HOST_KEY).parent.mkdir(parents=True)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", self.upper / HOST_KEY])
        home = self.upper / "home" / USER
        (home / ".ssh").mkdir(parents=True, mode=0o700)
        for path in (home, home / ".ssh"):
            os.chown(path, USER_ID, USER_ID)
        for number, disk in enumerate(self.host.disks):
            image = self.directory / f"disk{number}.img"
            with image.open("wb") as file:
                file.truncate(disk.size_bytes)
            run(["mkfs.ext4", "-q", "-m", "0", image])
        images.give_packages(self.upper)
        base, lists = layers
        record = {"base": str(base), "lists": str(lists), "disks": self._disks(), "files": {}, "boot": {}}
        record["files"] = self._write_files(record, authorized_key)
        write(self.made, json.dumps(record))

    def _outdated(self, record: dict[str, Any], authorized_key: str) -> dict[str, tuple[str, int, int]]:
        """The lab's own files whose wanted content is not what it was when they were last written.

        What a role or a person has changed in the host since is theirs, and stays.
        """
        files = self.files(authorized_key)
        return {path: file for path, file in files.items() if record["files"].get(path) != _digest(file[0])}

    def _write_files(self, record: dict[str, Any], authorized_key: str) -> dict[str, str]:
        root = self.root
        for path, (content, mode, owner) in self._outdated(record, authorized_key).items():
            write(root / path, content, mode, owner)
        return {path: _digest(file[0]) for path, file in self.files(authorized_key).items()}

    def refresh(self, authorized_key: str, check: bool = False) -> list[str]:
        """Bring the lab's own files in the host up to date; returns the paths that changed."""
        record = self._record()
        outdated = list(self._outdated(record, authorized_key))
        if outdated and not check:
            record["files"] = self._write_files(record, authorized_key)
            write(self.made, json.dumps(record))
        return outdated

    def check_unchanged(self) -> None:
        """Refuse what cannot be changed on a disk that exists."""
        made = self._record()
        if made["disks"] != self._disks():
            raise LabError(
                f"host {self.name}: lab_disks is {self._disks()}, and its disk was made with {made['disks']}; "
                f"remove the host first: tools/lab down {self.name}"
            )
        for layer in (made["base"], made["lists"]):
            if not Path(layer).is_dir():
                raise LabError(f"host {self.name} was made from {layer}, which is gone; take the lab down and up again")

    def _script(self, record: dict[str, Any]) -> str:
        """What the host's first process does in its own mount namespace before it becomes systemd-nspawn.

        All mounts are made here, so that they go with the last process and never show in the machine's own namespace.
        """
        at = shlex.quote
        # volatile: fsync costs nothing. A host's sudden end loses nothing by it, only the machine's own would.
        layers = f"lowerdir={record['lists']}:{record['base']},upperdir={self.upper},workdir={self.directory}/work"
        root = self.directory / "root"
        lines = ["set -e", *(f"echo $$ > {at(str(path))}" for path in self.cgroup.make(self.host.memory_mb))]
        lines += [
            f"rm -rf {at(str(self.directory / 'work' / 'work'))}",  # a volatile overlay's mark: not unmounted
            f"mkdir -p {at(str(root))}",
            f"mount -t overlay overlay -o {at(layers)},volatile {at(str(root))}",
        ]
        argv = [*NSPAWN.split(), f"--directory={root}", f"--machine={self._machine_name}", f"--hostname={self.name}"]
        argv.append(f"--network-bridge={self.spec.bridge(self.host.region)}")
        if "containers" in self.host.capabilities:
            argv += CONTAINERS
        for number, (path, _size) in enumerate(record["disks"]):
            disk = str(self.directory / f"disk{number}")
            lines += [
                f"mkdir -p {at(disk)}",
                f"mount -o loop,discard {at(disk)}.img {at(disk)}",
                f"mkdir -p {at(disk)}/data",
            ]
            argv.append(f"--bind={disk}/data:{path}")  # below the root of the file system: no lost+found in sight
        lines += [
            "mkdir -p /run/systemd/nspawn",
            "mount -t tmpfs tmpfs /run/systemd/nspawn",  # nspawn's locks and sockets, which a killed one leaves behind
            "mount -t cgroup2 cgroup2 /sys/fs/cgroup",
            f"exec {shlex.join(argv)}",
        ]
        return "\n".join(lines)

    def start(self) -> None:
        """Begin to boot; :meth:`wait` says when it is done."""
        self.kill()  # what a killed run has left of it
        self.check_unchanged()
        record = self._record()
        script = self._script(record)
        with self.console.open("wb") as console:
            subprocess.run(
                ["setsid", "--fork", *unshared(["sh", "-c", script])],
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env=environment(),
                cwd="/",
            )
        write(self.made, json.dumps(record | {"boot": self._boot()}))

    def wait(self, timeout: float = BOOT_TIMEOUT) -> list[str]:
        """Wait until the boot is over and SSH answers; returns the units that failed."""
        began = time.monotonic()
        seen = False
        while time.monotonic() < began + timeout:
            if self.running:
                seen = True
                if self.ready:
                    return self.failed_units()
            elif seen or time.monotonic() > began + 5:
                raise LabError(
                    f"host {self.name} ended while booting; the end of {self.console}:\n{self._last_words()}"
                )
            time.sleep(0.1)
        raise LabError(
            f"host {self.name} is not up after {timeout:g} s (systemd says: {self.system_state() or 'nothing'}); "
            f"the end of {self.console}:\n{self._last_words()}"
        )

    @property
    def ready(self) -> bool:
        """Whether the boot is over, with all units or without some, and SSH answers."""
        return self.running and self.answers() and self.system_state() in ("running", "degraded")

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            return "\n".join(self.console.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-12:])
        return ""

    def answers(self, timeout: float = 0.5) -> bool:
        """Whether its SSH server greets."""
        with contextlib.suppress(OSError), socket.create_connection((self.host.address, 22), timeout=timeout) as link:
            link.settimeout(timeout)
            return link.recv(4) == b"SSH-"
        return False

    def enter(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs ``argv`` as root inside the host, through its PID 1: no SSH, no network."""
        leader = self.cgroup.leader()
        if leader is None:
            raise LabError(f"host {self.name} is not running")
        namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]
        return ["nsenter", f"--target={leader}", *namespaces, "--root", "--wdns=/", "--", *argv]

    def run(self, argv: Sequence[str], *, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command as root inside the host to its end."""
        return run(self.enter(argv), check=check, timeout=timeout)

    def system_state(self) -> str:
        """systemd's own word on the boot: running, degraded, starting; empty when it does not answer."""
        with contextlib.suppress(LabError):
            return self.run(["systemctl", "is-system-running"], check=False, timeout=10).stdout.strip()
        return ""

    def failed_units(self) -> list[str]:
        """Units in state failed."""
        listed = self.run(
            ["systemctl", "list-units", "--failed", "--plain", "--no-legend", "--full"], check=False
        ).stdout
        return [line.split()[0] for line in listed.splitlines() if line.strip()]

    def kill(self) -> bool:
        """The power cord: SIGKILL to all its processes at once. Its disk stays; True when it ran."""
        was = self.cgroup.kill()
        self.cgroup.remove()
        # The kernel takes its network down later, and a host that boots again at once would meet its own old link.
        run(["ip", "link", "delete", self.link], check=False)
        # The connections that SSH keeps open to it would outlive it, and a host that boots again does not know them.
        for path in (self.spec.state_dir / "cp").glob(f"{self.host.address}-*"):
            run(["ssh", "-O", "exit", "-o", f"ControlPath={path}", self.name], check=False, timeout=5)
        return was

    def destroy(self) -> bool:
        """End the host and its disk; True when there was anything."""
        was = self.kill()
        if self.directory.is_dir():
            remove_tree(self.directory)
            was = True
        return was


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()[:16]
