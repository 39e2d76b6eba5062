# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The base image and what goes with it, all in the cache: built once, keyed by what they are made of.

``base-KEY``: a minimal Debian with systemd, sshd and what Ansible's modules need. ``lists-KEY-TIME``: package lists, as a layer
of its own since they age faster. ``debs``: packages that hosts have downloaded, given to the next hosts.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shlex
import shutil
import time
from collections.abc import Callable, Iterator

from .shell import LabError, run, write

SUITE = "trixie"
USER = "ops"
PACKAGES = (
    "ca-certificates",
    "dbus",
    "gpgv",
    "iproute2",
    "iputils-ping",
    "linux-sysctl-defaults",
    "nftables",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "sudo",
    "systemd",
    "systemd-sysv",
)
QUIET_TIMER = "[Timer]\nOnCalendar=\nOnBootSec=52w\nPersistent=false\n"
FILES = {
    f"/etc/sudoers.d/{USER}": (f"{USER} ALL=(ALL) NOPASSWD: ALL\n", 0o440),
    "/etc/ssh/sshd_config.d/10-lab.conf": (
        "HostKey /etc/ssh/ssh_host_ed25519_key\nPasswordAuthentication no\nMaxSessions 64\nMaxStartups 64\n",
        0o644,
    ),
    # Seven journals in one machine's memory: small, and none of them on disk.
    "/etc/systemd/journald.conf.d/10-lab.conf": ("[Journal]\nStorage=volatile\nRuntimeMaxUse=24M\n", 0o644),
    # Stay enabled, as on any Debian, but do not take the package lock at a random moment of a test.
    "/etc/systemd/system/apt-daily.timer.d/10-lab.conf": (QUIET_TIMER, 0o644),
    "/etc/systemd/system/apt-daily-upgrade.timer.d/10-lab.conf": (QUIET_TIMER, 0o644),
}
MASKED = ("console-getty.service", "systemd-journald-audit.socket")
CARRIED_APT_OPTIONS = (
    "Acquire::http::Proxy",
    "Acquire::https::Proxy",
    "Acquire::Check-Valid-Until",
    "Acquire::Check-Date",
)
LISTS_MAX_AGE = 24 * 3600
Progress = Callable[[str], None]


class Images:
    """The lab's part of the cache."""

    def __init__(self, cache: str, mirror: str, progress: Progress) -> None:
        self.directory = os.path.join(cache, "lab")
        self.mirror = mirror
        self.progress = progress
        options = run(["apt-config", "dump"]).stdout.splitlines()
        # Hosts reach the mirrors as the machine does.
        carried = [line for line in options if line.split(" ")[0] in CARRIED_APT_OPTIONS and not line.endswith(' "";')]
        self.apt_conf = "\n".join([*carried, 'Acquire::Languages "none";', ""])
        made_of = json.dumps([SUITE, PACKAGES, FILES, MASKED, USER, mirror, self.apt_conf, os.uname().machine, 1])
        self.key = hashlib.sha256(made_of.encode()).hexdigest()[:12]
        self.base = f"{self.directory}/base-{self.key}"

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        os.makedirs(self.directory, exist_ok=True)
        handle = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    @property
    def missing(self) -> list[str]:
        """What ``ensure`` would build."""
        absent = [] if os.path.isdir(self.base) else ["base image"]
        return absent if self._lists() else [*absent, "package lists"]

    def ensure(self) -> tuple[str, str]:
        """Build what is missing; returns the directories of the base image and of the package lists."""
        with self._locked():
            for entry in os.listdir(self.directory):
                if entry.endswith(".new"):  # of a build that was killed
                    shutil.rmtree(f"{self.directory}/{entry}", ignore_errors=True)
            if not os.path.isdir(self.base):
                self._build_base()
            return self.base, self._lists() or self._build_lists()

    def _build_base(self) -> None:
        self.progress(f"building the base image, Debian {SUITE} (half a minute, once)")
        new = f"{self.base}.new"
        argv = ["mmdebstrap", "--mode=root", "--format=directory", "--variant=minbase"]
        argv += [f"--include={','.join(PACKAGES)}", SUITE, new, *([self.mirror] if self.mirror else [])]
        run(argv, timeout=1800)
        run(["chroot", new, "useradd", "--create-home", "--uid", "1000", "--shell", "/bin/bash", USER])
        run(["chroot", new, "systemctl", "--quiet", "enable", "systemd-networkd.service"])
        run(["chroot", new, "systemctl", "--quiet", "mask", *MASKED])
        for path, (content, mode) in FILES.items():
            write(new + path, content, mode)
        write(f"{new}/etc/apt/apt.conf.d/90lab", self.apt_conf)
        for name in os.listdir(f"{new}/etc/ssh"):
            if name.startswith("ssh_host_"):
                os.unlink(f"{new}/etc/ssh/{name}")
        os.rename(new, self.base)

    def _lists(self) -> str | None:
        """The newest package lists that are fresh enough."""
        begins = f"lists-{self.key}-"
        with contextlib.suppress(FileNotFoundError):
            stamps = [int(name[len(begins) :]) for name in os.listdir(self.directory) if name[len(begins) :].isdigit()
                      and name.startswith(begins)]
            if stamps and time.time() - max(stamps) < LISTS_MAX_AGE:
                return f"{self.directory}/{begins}{max(stamps)}"
        return None

    def _build_lists(self) -> str:
        self.progress("refreshing the package lists")
        layer = f"{self.directory}/lists-{self.key}-{int(time.time())}"
        new = f"{layer}.new"
        for part in ("upper", "work", "root"):
            os.makedirs(f"{new}/{part}")
        root = shlex.quote(f"{new}/root")
        script = "\n".join(
            [
                "set -e",
                "mount -t overlay overlay -o "
                + shlex.quote(f"lowerdir={self.base},upperdir={new}/upper,workdir={new}/work") + f" {root}",
                f"cat > {root}/etc/resolv.conf",
                f"chroot {root} apt-get -q update",
                f"chroot {root} apt-cache gencaches",
                f"rm {root}/etc/resolv.conf",
            ]
        )
        done = run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
            stdin=resolv_conf(), check=False, timeout=600,
        )  # fmt: skip
        if done.returncode != 0 or "\nErr:" in done.stdout:
            said = (done.stderr or done.stdout).strip().splitlines()[-5:]
            raise LabError("apt-get update in the base image failed:\n" + "\n".join(said))
        for name in os.listdir(f"{new}/upper"):
            if name != "var":
                shutil.rmtree(f"{new}/upper/{name}", ignore_errors=True)
        os.rename(f"{new}/upper", layer)
        shutil.rmtree(new, ignore_errors=True)
        return layer

    def prune(self, used: set[str]) -> None:
        """Remove package lists that are neither the newest nor in use by a lab."""
        with self._locked():
            mine = sorted(name for name in os.listdir(self.directory) if name.startswith("lists-"))
            for name in mine[:-1]:
                if f"{self.directory}/{name}" not in used:
                    shutil.rmtree(f"{self.directory}/{name}", ignore_errors=True)

    def give_packages(self, upper: str) -> None:
        """Put the packages that earlier hosts downloaded into a new host's apt cache, without copying."""
        source, target = f"{self.directory}/debs", f"{upper}/var/cache/apt/archives"
        if os.path.isdir(source):
            os.makedirs(target, exist_ok=True)
            for name in os.listdir(source):
                _link(f"{source}/{name}", f"{target}/{name}")

    def take_packages(self, upper: str) -> None:
        """Keep what a host has downloaded for the hosts to come; an older version of a package gives way."""
        source, target = f"{upper}/var/cache/apt/archives", f"{self.directory}/debs"
        if not os.path.isdir(source):
            return
        with self._locked():
            os.makedirs(target, exist_ok=True)
            have = set(os.listdir(target))
            for name in os.listdir(source):
                if name.endswith(".deb") and name not in have:
                    for other in have:
                        if other.split("_")[0] == name.split("_")[0]:
                            with contextlib.suppress(FileNotFoundError):
                                os.unlink(f"{target}/{other}")
                    _link(f"{source}/{name}", f"{target}/{name}")


def _link(source: str, target: str) -> None:
    """A hard link where both are on one file system, else a copy; what is there already stays."""
    try:
        os.link(source, target)
    except (FileExistsError, FileNotFoundError):
        return
    except OSError:
        shutil.copy2(source, f"{target}.new")
        os.rename(f"{target}.new", target)


def resolv_conf() -> str:
    """The machine's resolvers as a host can use them: an address on the machine's loopback is none of theirs."""
    for path in ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"):
        with contextlib.suppress(OSError), open(path, encoding="utf-8") as file:
            lines = [line.strip() for line in file if line.split()[:1] and line.split()[0] in ("nameserver", "search")]
            usable = [line for line in lines if not line.startswith(("nameserver 127.", "nameserver ::1"))]
            if any(line.startswith("nameserver") for line in usable):
                return "\n".join(usable) + "\n"
    raise LabError("/etc/resolv.conf names only resolvers on loopback, which hosts of the lab cannot reach; add a real one")
