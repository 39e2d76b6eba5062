# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""One host: its disk, its boot, its end."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shlex
import shutil
import socket
import subprocess
import time
import uuid

from . import image
from .cgroup import Cgroup
from .shell import LabError, environment, run, write
from .spec import Host, Spec

BOOT_TIMEOUT = 90
CONTAINERS = ["--capability=all", "--drop-capability=CAP_SYS_TIME", "--system-call-filter=@keyring bpf"]


class Machine:
    """A host of a lab on this machine."""

    def __init__(self, spec: Spec, host: Host) -> None:
        self.spec = spec
        self.host = host
        self.name = host.name
        self.directory = f"{spec.state_dir}/hosts/{host.name}"
        self.upper = f"{self.directory}/upper"
        self.made = f"{self.directory}/host.json"
        self.console = f"{self.directory}/console.log"
        self.cgroup = Cgroup(spec.prefix, host.name)

    @property
    def running(self) -> bool:
        """Whether any process of it is alive."""
        return self.cgroup.populated

    @property
    def exists(self) -> bool:
        """Whether its disk was made, whole."""
        return os.path.exists(self.made)

    @property
    def machine_id(self) -> str:
        """Short enough for nspawn to name the host's link after it, unhashed."""
        return f"{self.spec.prefix}{self.spec.mark(self.name):04x}"

    @property
    def link(self) -> str:
        """The machine's end of the host's network link."""
        return f"vb-{self.machine_id}"

    @property
    def root(self) -> str:
        """The host's file system as the machine reaches it: through PID 1 while it runs, else the overlay's upper part."""
        leader = self.cgroup.leader()
        return f"/proc/{leader}/root" if leader else self.upper

    def public_key(self) -> str:
        """The host's SSH key, as known_hosts wants it."""
        with open(f"{self.upper}/etc/ssh/ssh_host_ed25519_key.pub", encoding="ascii") as file:
            return " ".join(file.read().split()[:2])

    def files(self, authorized_key: str) -> dict[str, tuple[str, int, int]]:
        """The files that make the base image this host: path to content, mode and owner."""
        names = "".join(f"{host.address} {host.name}\n" for host in self.spec.hosts.values())
        network = (
            f"[Match]\nName=host0\n\n[Network]\nAddress={self.host.address}/24\n"
            f"Gateway={self.spec.gateway(self.host.region)}\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"
        )
        identity = uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.name}.{self.spec.prefix}.chainops-lab").hex
        return {
            "/etc/hostname": (f"{self.name}\n", 0o644, 0),
            "/etc/hosts": (f"127.0.0.1 localhost\n::1 localhost\n{names}", 0o644, 0),
            "/etc/machine-id": (f"{identity}\n", 0o444, 0),
            "/etc/resolv.conf": (image.resolv_conf(), 0o644, 0),
            "/etc/systemd/network/10-host0.network": (network, 0o644, 0),
            f"/home/{image.USER}/.ssh/authorized_keys": (authorized_key, 0o600, 1000),
        }

    def create(self, images: image.Images, layers: tuple[str, str], authorized_key: str) -> None:
        """Make the host's disk. The record comes last: without it the next run begins again."""
        self.destroy()
        os.makedirs(f"{self.directory}/work")
        os.makedirs(f"{self.upper}/etc/ssh")
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f",
             f"{self.upper}/etc/ssh/ssh_host_ed25519_key"])  # fmt: skip
        self.write_files(authorized_key)
        os.chmod(f"{self.upper}/home/{image.USER}/.ssh", 0o700)
        for path in ("", "/.ssh"):
            os.chown(f"{self.upper}/home/{image.USER}{path}", 1000, 1000)
        images.give_packages(self.upper)
        for number, disk in enumerate(self.host.disks):
            self._make_disk(number, disk.size_bytes)
        write(self.made, json.dumps({"base": layers[0], "lists": layers[1], "disks": self._disks()}))

    def _disks(self) -> list[list[str]]:
        return [[disk.path, disk.size] for disk in self.host.disks]

    def _make_disk(self, number: int, size: int) -> None:
        path = f"{self.directory}/disk{number}.img"
        with open(path, "wb") as file:
            file.truncate(size)
        run(["mkfs.ext4", "-q", "-m", "0", "-E", "root_owner=0:0", path])

    def write_files(self, authorized_key: str) -> list[str]:
        """Bring the lab's own files in the host up to date; returns the paths that changed."""
        changed = []
        for path, (content, mode, owner) in self.files(authorized_key).items():
            if write(self.root + path, content, mode):
                os.chown(self.root + path, owner, owner)
                changed.append(path)
        return changed

    def outdated_files(self, authorized_key: str) -> list[str]:
        """The paths that :meth:`write_files` would write."""
        outdated = []
        for path, (content, _mode, _owner) in self.files(authorized_key).items():
            with contextlib.suppress(FileNotFoundError), open(self.root + path, encoding="utf-8") as file:
                if file.read() == content:
                    continue
            outdated.append(path)
        return outdated

    def _record(self) -> dict:
        with open(self.made, encoding="utf-8") as file:
            return json.load(file)

    def check_unchanged(self) -> None:
        """Refuse what cannot be changed on a disk that exists."""
        made = self._record()
        if made["disks"] != self._disks():
            raise LabError(
                f"host {self.name}: lab_disks is {self._disks()}, and its disk was made with {made['disks']}; "
                f"remove the host first (lab_state: absent with lab_limit: {self.name})"
            )
        for layer in (made["base"], made["lists"]):
            if not os.path.isdir(layer):
                raise LabError(f"host {self.name} was made from {layer}, which is gone; remove the lab and make it anew")

    def _script(self) -> str:
        """What the host's first process does in its own mount namespace before it becomes systemd-nspawn.

        All mounts are made here, so that they go with the last process and never show in the machine's own namespace.
        """
        made = self._record()
        at = shlex.quote
        enter = self.cgroup.make(self.host.memory_mb)
        # volatile: fsync in a host costs nothing; a host's sudden end loses nothing, only the machine's own could.
        options = f"lowerdir={made['lists']}:{made['base']},upperdir={self.upper},workdir={self.directory}/work,volatile"
        root = f"{self.directory}/root"
        lines = ["set -e"]
        lines += [f"echo $$ > {at(path)}" for path in enter]
        lines += [
            f"rm -rf {at(self.directory)}/work/work",
            f"mkdir -p {at(root)}",
            f"mount -t overlay overlay -o {at(options)} {at(root)}",
        ]
        argv = [
            "systemd-nspawn", f"--directory={root}", "--boot", "--quiet", "--register=no", "--keep-unit", "--settings=no",
            f"--machine={self.machine_id}", f"--hostname={self.name}", f"--network-bridge={self.spec.bridge(self.host.region)}",
            "--link-journal=no", "--resolv-conf=off", "--timezone=off", "--console=pipe", "--bind=/dev/net/tun",
        ]  # fmt: skip
        if "containers" in self.host.capabilities:
            argv += CONTAINERS
        for number, (path, _size) in enumerate(made["disks"]):
            disk = f"{self.directory}/disk{number}"
            lines += [f"mkdir -p {at(disk)}", f"mount -o loop,discard {at(disk)}.img {at(disk)}"]
            lines += [f"rm -rf {at(disk)}/lost+found", f"mkdir -p {at(disk)}/data"]
            argv.append(f"--bind={disk}/data:{path}")
        lines += [
            "mkdir -p /run/systemd/nspawn",
            "mount -t tmpfs tmpfs /run/systemd/nspawn",
            "mount -t cgroup2 cgroup2 /sys/fs/cgroup",
            f"exec {shlex.join(argv)}",
        ]
        return "\n".join(lines)

    def start(self) -> None:
        """Begin to boot; :meth:`wait` says when it is done."""
        self.check_unchanged()
        script = self._script()
        with open(self.console, "wb") as console:
            subprocess.run(
                ["setsid", "--fork", "unshare", "--mount", "--propagation", "private", "--", "sh", "-c", script],
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env=environment(),
                cwd="/",
            )

    def wait(self, timeout: float = BOOT_TIMEOUT) -> list[str]:
        """Wait until the boot is over and SSH answers; returns the units that failed."""
        deadline = time.monotonic() + timeout
        seen = False
        while time.monotonic() < deadline:
            if self.running:
                seen = True
                if self.answers() and (state := self.system_state()) in ("running", "degraded"):
                    return self.failed_units() if state == "degraded" else []
            elif seen or time.monotonic() > deadline - timeout + 5:
                raise LabError(f"host {self.name} ended while booting; the end of {self.console}:\n{self._console_end()}")
            time.sleep(0.2)
        raise LabError(
            f"host {self.name} is not up after {timeout:g} s (state: {self.system_state() or 'no answer'}); "
            f"the end of {self.console}:\n{self._console_end()}"
        )

    def _console_end(self) -> str:
        with contextlib.suppress(OSError), open(self.console, encoding="utf-8", errors="replace") as file:
            return "\n".join(file.read().strip().splitlines()[-12:])
        return ""

    def answers(self, timeout: float = 0.5) -> bool:
        """Whether its SSH server greets."""
        with contextlib.suppress(OSError), socket.create_connection((self.host.address, 22), timeout=timeout) as link:
            link.settimeout(timeout)
            return link.recv(4) == b"SSH-"
        return False

    def enter(self, argv: list[str]) -> list[str]:
        """The command line that runs ``argv`` as root inside the host."""
        leader = self.cgroup.leader()
        if leader is None:
            raise LabError(f"host {self.name} is not running")
        return ["nsenter", f"--target={leader}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root",
                "--wdns=/", "--", *argv]  # fmt: skip

    def run(self, argv: list[str], *, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command as root inside the host, by the machine's own door (no SSH)."""
        return run(self.enter(argv), check=check, timeout=timeout)

    def system_state(self) -> str:
        """systemd's own word on the boot: running, degraded, starting; empty when it does not answer."""
        with contextlib.suppress(LabError):
            return self.run(["systemctl", "is-system-running"], check=False, timeout=10).stdout.strip()
        return ""

    def failed_units(self) -> list[str]:
        """Units in state failed."""
        listed = self.run(["systemctl", "list-units", "--failed", "--plain", "--no-legend", "--full"], check=False).stdout
        return [line.split()[0] for line in listed.splitlines() if line.strip()]

    def kill(self) -> bool:
        """The power cord: SIGKILL to all its processes at once. Its disk stays; True when it ran."""
        was = self.cgroup.kill()
        self.cgroup.remove()
        self.forget_connections()
        return was

    def forget_connections(self) -> None:
        """End the SSH connections that are kept open to this host: a host that boots again does not know them."""
        for path in glob.glob(f"{self.spec.state_dir}/cp/{glob.escape(self.name)}-*"):
            run(["ssh", "-O", "exit", "-o", f"ControlPath={path}", self.name], check=False, timeout=5)

    def destroy(self) -> bool:
        """End the host and its disk; True when there was anything."""
        was = self.kill()
        if os.path.isdir(self.directory):
            shutil.rmtree(self.directory)
            was = True
        return was
