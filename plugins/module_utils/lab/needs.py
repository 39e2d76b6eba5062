# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What the machine must have for a lab, checked before anything is made."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .shell import SBIN, LabError

COMMANDS = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "ip": "iproute2",
    "ssh-keygen": "openssh-client",
    "mkfs.ext4": "e2fsprogs",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setsid": "util-linux",
    "mount": "mount",
    "apt-config": "apt",
}
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MEMORY_PER_HOST_MB = 200
DISK_PER_HOST_MB = 400
IMAGE_MB = 900


def check_root() -> None:
    """Refuse anyone but root."""
    if os.geteuid() != 0:
        raise LabError("the lab boots machines, makes bridges and mounts: run as root (sudo tools/lab up)")


def check_commands() -> None:
    """Refuse a machine that lacks a command, naming the Debian packages to install."""
    missing = {package for name, package in COMMANDS.items() if not shutil.which(name, path=SBIN)}
    if not KEYRING.exists():
        missing.add("debian-archive-keyring")
    if missing:
        raise LabError(f"the lab needs packages that are missing: apt-get install {' '.join(sorted(missing))}")


def check_room(new_hosts: int, starting: int, new_image: bool, state_root: Path, cache: Path) -> None:
    """Refuse when memory or disk would not do: ``new_hosts`` get a disk, ``starting`` boot."""
    need_memory = starting * MEMORY_PER_HOST_MB
    have_memory = available_memory_mb()
    if need_memory > have_memory:
        raise LabError(
            f"not enough memory: {starting} hosts need {need_memory} MB ({MEMORY_PER_HOST_MB} each, before any service "
            f"runs in them), {have_memory} MB are available; end something, or choose fewer hosts with lab_limit"
        )
    needs: dict[int, tuple[Path, int]] = {}  # by file system, since both may be on one
    for path, megabytes in ((state_root, new_hosts * DISK_PER_HOST_MB), (cache, IMAGE_MB if new_image else 0)):
        where = existing(path)
        device = where.stat().st_dev
        needs[device] = (where, needs.get(device, (where, 0))[1] + megabytes)
    for where, megabytes in needs.values():
        free = shutil.disk_usage(where).free >> 20
        if megabytes > free:
            raise LabError(f"not enough disk: the lab needs {megabytes} MB in {where}, {free} MB are free")


def available_memory_mb() -> int:
    """What the kernel thinks can be had without swapping, in MB."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) >> 10
    return 0


def existing(path: Path) -> Path:
    """The nearest directory above that exists."""
    return next(where for where in (path, *path.parents) if where.is_dir())
