# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Drives: size, kind and health of each. Serial numbers are left out: reports get passed on."""

from __future__ import annotations

import json
import typing as t

from .reading import Reading, Unreadable, attempt
from .tree import Tree

BLOCK = "/sys/block"
SECTOR = 512
"""Bytes; sysfs counts in these whatever the drive's own sector is."""
NOT_DRIVES = ("loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd", "drbd", "rbd", "zd")
# Part of the device's path in sysfs: how it is attached. The first that fits; a SATA drive on a SAS controller is SAS.
TRANSPORTS = (
    ("/usb", "usb"),
    ("/ata", "sata"),
    ("/virtio", "virtio"),
    ("/end_device", "sas"),
    ("/mmc", "mmc"),
    ("/host", "scsi"),
)


def collect(tree: Tree) -> dict[str, Reading]:
    return {"drives": attempt(lambda: drives(tree), BLOCK)}


def drives(tree: Tree) -> list[dict[str, t.Any]]:
    """Every fixed drive, by kernel name."""
    result = []
    for name in tree.names(BLOCK):
        path = f"{BLOCK}/{name}"
        if name.startswith(NOT_DRIVES) or tree.exists(f"{path}/hidden") and tree.text(f"{path}/hidden") == "1":
            continue
        if tree.exists(f"{path}/removable") and tree.text(f"{path}/removable") == "1":
            continue
        result.append(drive(tree, name))
    return result


def drive(tree: Tree, name: str) -> dict[str, t.Any]:
    path = f"{BLOCK}/{name}"
    nvme = name.startswith("nvme")
    entry: dict[str, t.Any] = {
        "name": name,
        "model": attempt(lambda: tree.text(f"{path}/device/model"), f"{path}/device/model"),
        "size_bytes": attempt(lambda: tree.number(f"{path}/size") * SECTOR, f"{path}/size"),
        "rotational": attempt(lambda: tree.text(f"{path}/queue/rotational") == "1", f"{path}/queue/rotational"),
        "transport": attempt(lambda: transport(tree, name), path),
    }
    if nvme:
        controller = name.rsplit("n", maxsplit=1)[0]
        entry["state"] = nvme_state(tree, controller)
        entry["health"] = attempt(lambda: nvme_health(tree, controller), f"nvme smart-log /dev/{controller}")
    return entry


def transport(tree: Tree, name: str) -> str:
    path = f"{BLOCK}/{name}"
    if name.startswith("nvme"):
        # A drive with one path hangs on its controller, one that may have several on its subsystem.
        for at in (f"{path}/device", *(f"{path}/device/{each}" for each in tree.names(f"{path}/device", "nvme*"))):
            if tree.exists(f"{at}/transport"):
                kind = tree.text(f"{at}/transport")
                return "nvme" if kind == "pcie" else f"nvme-{kind}"
        raise Unreadable(f"{path}/device/transport", "there is no such file")
    target = tree.target(path)
    for part, kind in TRANSPORTS:
        if part in target:
            return kind
    return "virtual" if "/devices/virtual/" in target else "other"


def nvme_state(tree: Tree, controller: str) -> Reading:
    """The kernel's word on the controller: "live" when it works."""
    path = f"/sys/class/nvme/{controller}/state"
    return attempt(lambda: tree.text(path), path)


def nvme_health(tree: Tree, controller: str) -> dict[str, t.Any]:
    """The drive's own log by nvme-cli; the words of the log are kept."""
    log = json.loads(tree.command("nvme", "smart-log", "--output-format=json", f"/dev/{controller}"))
    warning = log.get("critical_warning")
    if isinstance(warning, dict):
        warning = warning.get("value")
    return {
        "critical_warning": warning,
        "available_spare_percent": log.get("avail_spare"),
        "used_percent": log.get("percent_used", log.get("percentage_used")),
        "media_errors": log.get("media_errors"),
    }
