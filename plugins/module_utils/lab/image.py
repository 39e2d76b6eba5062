# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The base image and what goes with it, all in the cache: built once, keyed by what they are made of.

``base-KEY`` is a minimal Debian with systemd, sshd and what Ansible's modules need. ``lists-KEY-TIME`` holds package
lists, a layer of its own since they age faster. ``debs`` holds packages that hosts have downloaded, for the next ones.
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
from pathlib import Path

from .shell import LabError, remove_tree, run, unshared, write

SUITE = "trixie"
USER = "ops"
USER_ID = 1000
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
SSHD = "HostKey /etc/ssh/ssh_host_ed25519_key\nPasswordAuthentication no\nMaxSessions 64\nMaxStartups 64\n"
QUIET_TIMER = "[Timer]\nOnCalendar=\nOnBootSec=52w\nPersistent=false\n"
FILES = {
    f"etc/sudoers.d/{USER}": (f"{USER} ALL=(ALL) NOPASSWD: ALL\n", 0o440),
    "etc/ssh/sshd_config.d/10-lab.conf": (SSHD, 0o644),
    # Many journals on one machine: small, and in memory.
    "etc/systemd/journald.conf.d/10-lab.conf": ("[Journal]\nStorage=volatile\nRuntimeMaxUse=24M\n", 0o644),
    # These stay enabled, as on any Debian, but must not take the package lock at a random moment of a test.
    "etc/systemd/system/apt-daily.timer.d/10-lab.conf": (QUIET_TIMER, 0o644),
    "etc/systemd/system/apt-daily-upgrade.timer.d/10-lab.conf": (QUIET_TIMER, 0o644),
}
MASKED = ("console-getty.service", "systemd-journald-audit.socket")
# What of the machine's own apt configuration hosts need to reach the same mirrors.
CARRIED = ("Acquire::http::Proxy", "Acquire::https::Proxy", "Acquire::Check-Valid-Until", "Acquire::Check-Date")
LISTS_MAX_AGE = 24 * 3600
BUILD_TIMEOUT = 1800


class Images:
    """The lab's part of the cache."""

    def __init__(self, cache: Path, mirror: str, progress: Callable[[str], None]) -> None:
        self.directory = cache / "lab"
        self.mirror = mirror
        self.progress = progress
        options = run(["apt-config", "dump"]).stdout.splitlines()
        carried = [line for line in options if line.split(" ")[0] in CARRIED and not line.endswith(' "";')]
        self.apt_conf = "\n".join([*carried, 'Acquire::Languages "none";', ""])
        made_of = [SUITE, PACKAGES, FILES, MASKED, USER, mirror, self.apt_conf, os.uname().machine]
        self.key = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:12]
        self.base = self.directory / f"base-{self.key}"

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """One process at a time; yields the lock, for the commands of a build to hold on to."""
        self.directory.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield handle
        finally:
            os.close(handle)

    @property
    def complete(self) -> bool:
        """Whether :meth:`ensure` has nothing to build."""
        return self.base.is_dir() and self._lists() is not None

    def ensure(self) -> tuple[Path, Path]:
        """Build what is missing; returns the directories of the base image and of the package lists."""
        with self._locked() as lock:
            for entry in self.directory.glob("*.new"):  # of a build that was killed
                remove_tree(entry)
            if not self.base.is_dir():
                self._build_base(lock)
            return self.base, self._lists() or self._build_lists(lock)

    def _build_base(self, lock: int) -> None:
        self.progress(f"building the base image, Debian {SUITE} (half a minute, once)")
        new = self.directory / f"{self.base.name}.new"
        argv = [
            "mmdebstrap",
            "--mode=root",
            "--format=directory",
            "--variant=minbase",
            f"--include={','.join(PACKAGES)}",
        ]
        argv += [SUITE, str(new), *([self.mirror] if self.mirror else [])]
        run(unshared(argv), timeout=BUILD_TIMEOUT, hold=[lock])  # it mounts /dev, /proc and /sys in the image
        inside = ["chroot", str(new)]
        run([*inside, "useradd", "--create-home", "--uid", str(USER_ID), "--shell", "/bin/bash", USER])
        run([*inside, "systemctl", "--quiet", "enable", "systemd-networkd.service"])
        run([*inside, "systemctl", "--quiet", "mask", *MASKED])
        for path, (content, mode) in FILES.items():
            write(new / path, content, mode)
        write(new / "etc/apt/apt.conf.d/90lab", self.apt_conf)
        for key in (new / "etc/ssh").glob("ssh_host_*"):
            key.unlink()
        new.rename(self.base)

    def _lists(self) -> Path | None:
        """The newest package lists, if they are fresh enough."""
        begins = f"lists-{self.key}-"
        stamps = [int(path.name.removeprefix(begins)) for path in self.directory.glob(f"{begins}[0-9]*[0-9]")]
        if stamps and time.time() - max(stamps) < LISTS_MAX_AGE:
            return self.directory / f"{begins}{max(stamps)}"
        return None

    def _build_lists(self, lock: int) -> Path:
        self.progress("refreshing the package lists")
        layer = self.directory / f"lists-{self.key}-{int(time.time())}"
        new = self.directory / f"{layer.name}.new"
        for part in ("upper", "work", "root"):
            (new / part).mkdir(parents=True)
        root = shlex.quote(str(new / "root"))
        options = shlex.quote(f"lowerdir={self.base},upperdir={new / 'upper'},workdir={new / 'work'}")
        script = (
            f"set -e\nmount -t overlay overlay -o {options} {root}\ncat > {root}/etc/resolv.conf\n"
            f"chroot {root} apt-get -q update\nchroot {root} apt-cache gencaches\n"
        )
        done = run(
            unshared(["sh", "-c", script]),
            stdin=resolv_conf(),
            check=False,
            timeout=BUILD_TIMEOUT,
            hold=[lock],
        )
        if done.returncode or "\nErr:" in done.stdout:  # apt-get update succeeds without a mirror
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-5:]
            raise LabError("apt-get update in the base image failed:\n" + "\n".join(said))
        for path in (new / "upper").iterdir():
            if path.name != "var":
                remove_tree(path)
        (new / "upper").rename(layer)
        remove_tree(new)
        return layer

    def prune(self, used: set[str]) -> None:
        """Remove images and lists that are neither the newest nor part of a host of any lab."""
        with self._locked():
            keep = {*used, str(self.base), str(self._lists())}
            for path in (*self.directory.glob("base-*"), *self.directory.glob("lists-*")):
                if str(path) not in keep:
                    remove_tree(path)

    def give_packages(self, upper: Path) -> None:
        """Put the packages that earlier hosts downloaded into a new host's apt cache, without copying."""
        target = upper / "var/cache/apt/archives"
        target.mkdir(parents=True, exist_ok=True)
        for path in (self.directory / "debs").glob("*.deb"):
            _link(path, target / path.name)

    def take_packages(self, upper: Path) -> None:
        """Keep what a host has downloaded for the hosts to come; an older version of a package gives way."""
        found = list((upper / "var/cache/apt/archives").glob("*.deb"))
        target = self.directory / "debs"
        if not found:
            return
        with self._locked():
            target.mkdir(exist_ok=True)
            have = {path.name for path in target.iterdir()}
            for path in found:
                if path.name not in have:
                    for older in target.glob(f"{path.name.split('_')[0]}_*"):
                        older.unlink()
                    _link(path, target / path.name)


def _link(source: Path, target: Path) -> None:
    """A hard link where both are on one file system, else a copy; what is there already stays."""
    try:
        os.link(source, target)
    except FileExistsError:
        return
    except OSError:
        new = target.with_name(f"{target.name}.new")
        shutil.copy2(source, new)
        new.rename(target)


def resolv_conf() -> str:
    """The machine's resolvers as a host can use them: an address on the machine's loopback is none of theirs."""
    for path in (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")):
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        found = [line.split() for line in lines if line.startswith(("nameserver", "search"))]
        usable = [" ".join(words) for words in found if len(words) > 1 and not words[1].startswith(("127.", "::1"))]
        if any(line.startswith("nameserver") for line in usable):
            return "\n".join(usable) + "\n"
    raise LabError("/etc/resolv.conf names no resolver that hosts of the lab can reach (only loopback); add a real one")
