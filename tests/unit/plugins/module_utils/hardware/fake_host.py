"""Made-up hosts: the files of /sys, /proc and /run that hardware_info reads, as real kernels lay them out."""

from __future__ import annotations

import os
import struct
from pathlib import Path

GIB = 2**30
FLAGS = "fpu vme de pse tsc msr pae aes avx2 sha_ni"


def structure(kind: int, handle: int, fields: bytes, *strings: str) -> bytes:
    """One SMBIOS structure: header, formatted area, strings."""
    text = b"".join(item.encode() + b"\0" for item in strings) + b"\0"
    return struct.pack("<BBH", kind, 4 + len(fields), handle) + fields + (text if strings else b"\0\0")


def processor(cores: int, threads: int, populated: bool = True) -> bytes:
    area = bytearray(0x30 - 4)
    area[0x04 - 4] = 1
    area[0x10 - 4] = 2
    area[0x18 - 4] = 0x41 if populated else 0
    area[0x23 - 4] = area[0x24 - 4] = min(cores, 255)
    area[0x25 - 4] = min(threads, 255)
    struct.pack_into("<HHH", area, 0x2A - 4, cores, cores, threads)
    return structure(4, 0x0400, bytes(area), "CPU1", "AMD EPYC 9354P 32-Core Processor")


def memory_array(correction: int) -> bytes:
    return structure(16, 0x1000, struct.pack("<BBBIHH", 3, 3, correction, 0x80000000, 0xFFFE, 12))


def module(gib: int, slot: str, ecc: bool = True) -> bytes:
    """A DDR5 module; sizes of 32 GiB and more do not fit the old field."""
    area = bytearray(0x28 - 4)
    width = 80 if ecc else 64
    small = 0x7FFF if gib * 1024 >= 0x7FFF else gib * 1024
    struct.pack_into("<HHHHHB", area, 0, 0x1000, 0xFFFE, width, 64, small, 9)
    area[0x10 - 4], area[0x11 - 4], area[0x12 - 4], area[0x17 - 4] = 1, 2, 0x22, 3
    struct.pack_into("<H", area, 0x15 - 4, 4800)
    if small == 0x7FFF:
        struct.pack_into("<I", area, 0x1C - 4, gib * 1024)
    return structure(17, 0x1100, bytes(area), slot, "P0 CHANNEL A", "Samsung")


def empty_slot(slot: str) -> bytes:
    area = bytearray(0x28 - 4)
    area[0x10 - 4] = 1
    return structure(17, 0x1101, bytes(area), slot)


def supply(name: str, present: bool = True, plugged: bool = True, status: int = 3) -> bytes:
    flags = 0x01 | (0x02 if present else 0) | (0 if plugged else 0x04) | status << 7
    fields = struct.pack("<BBBBBBBBHH", 1, 1, 2, 0, 0, 0, 0, 0, 800, flags)
    return structure(39, 0x2700, fields, "Rear", name)


END = structure(127, 0xFEFF, b"")


class Host:
    """Writes files below root; every method adds one part."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for directory in ("sys/block", "sys/class/net", "sys/class/nvme", "sys/bus/pci/devices", "sys/bus/pci/drivers"):
            (root / directory).mkdir(parents=True)
        self.write("/proc/sys/kernel/osrelease", "6.12.48+deb13-amd64\n")

    def write(self, path: str, content: str | bytes) -> None:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)

    def link(self, path: str, target: str) -> None:
        """A relative link, as sysfs has them; target is a path below root, which is made."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        real = self.root / target.lstrip("/")
        real.mkdir(parents=True, exist_ok=True)
        file.symlink_to(os.path.relpath(real, file.parent.resolve()))

    def cpus(self, cores: int, threads_per_core: int = 2, flags: str = FLAGS) -> None:
        entry = f"processor\t: 0\nmodel name\t: AMD EPYC 9354P 32-Core Processor\nflags\t\t: {flags}\n\n"
        self.write("/proc/cpuinfo", entry * cores * threads_per_core)
        for cpu in range(cores * threads_per_core):
            siblings = sorted(cpu % cores + cores * thread for thread in range(threads_per_core))
            topology = f"/sys/devices/system/cpu/cpu{cpu}/topology"
            self.write(f"{topology}/thread_siblings_list", ",".join(map(str, siblings)) + "\n")
            self.write(f"{topology}/physical_package_id", "0\n")
        self.write("/sys/devices/system/cpu/cpufreq/boost", "1\n")

    def memory(self, usable_kib: int, edac: bool = False) -> None:
        self.write("/proc/meminfo", f"MemTotal:       {usable_kib} kB\nMemFree:         1234 kB\n")
        if edac:
            self.write("/sys/devices/system/edac/mc/mc0/ce_count", "2\n")
            self.write("/sys/devices/system/edac/mc/mc0/ue_count", "0\n")

    def smbios(self, *structures: bytes) -> None:
        self.write("/sys/class/dmi/id/sys_vendor", "Supermicro\n")
        self.write("/sys/class/dmi/id/product_name", "AS -1115CS-TNR\n")
        self.write("/sys/class/dmi/id/bios_version", "1.8\n")
        self.write("/sys/firmware/dmi/tables/DMI", b"".join(structures) + END)

    def nvme(self, index: int, size_bytes: int) -> str:
        name, controller = f"nvme{index}n1", f"nvme{index}"
        device = f"/sys/devices/pci0000:40/0000:40:01.{index}/0000:4{index}:00.0/nvme/{controller}"
        self.link(f"/sys/block/{name}", f"{device}/{name}")
        self.link(f"{device}/{name}/device", device)
        self.link(f"/sys/class/nvme/{controller}", device)
        self.write(f"{device}/model", "SAMSUNG MZQL23T8HCLS-00A07              \n")
        self.write(f"{device}/transport", "pcie\n")
        self.write(f"{device}/state", "live\n")
        self.write(f"{device}/{name}/size", f"{size_bytes // 512}\n")
        self.write(f"{device}/{name}/queue/rotational", "0\n")
        self.write(f"{device}/{name}/removable", "0\n")
        return name

    def raid_controller(
        self, address: str, driver: str, identifier: tuple[int, int], pci_class: str = "0x010400"
    ) -> str:
        device = f"/sys/devices/pci0000:20/0000:20:01.1/{address}"
        self.link(f"/sys/bus/pci/devices/{address}", device)
        self.write(f"{device}/class", f"{pci_class}\n")
        self.write(f"{device}/vendor", f"{identifier[0]:#06x}\n")
        self.write(f"{device}/device", f"{identifier[1]:#06x}\n")
        if driver:
            self.link(f"{device}/driver", f"/sys/bus/pci/drivers/{driver}")
        return device

    def scsi_disk(self, name: str, behind: str, size_bytes: int, level: str = "") -> None:
        device = f"{behind}/host0/target0:2:0/0:2:0:0"
        self.link(f"/sys/block/{name}", f"{device}/block/{name}")
        self.link(f"{device}/block/{name}/device", device)
        self.write(f"{device}/model", "LOGICAL VOLUME  \n")
        self.write(f"{device}/block/{name}/size", f"{size_bytes // 512}\n")
        self.write(f"{device}/block/{name}/queue/rotational", "1\n")
        if level:
            self.write(f"{device}/raid_level", f"{level}\n")

    def port(self, name: str, address: str, mbps: int, up: bool = True, driver: str = "ice") -> None:
        device = f"/sys/devices/pci0000:80/0000:80:01.1/{address}"
        self.link(f"/sys/class/net/{name}", f"{device}/net/{name}")
        self.link(f"{device}/net/{name}/device", device)
        self.link(f"{device}/driver", f"/sys/bus/pci/drivers/{driver}")
        path = f"{device}/net/{name}"
        self.write(f"{path}/type", "1\n")
        self.write(f"{path}/operstate", "up\n" if up else "down\n")
        if up:
            self.write(f"{path}/carrier", "1\n")
            self.write(f"{path}/speed", f"{mbps}\n")

    def virtual_port(self, name: str) -> None:
        device = f"/sys/devices/virtual/net/{name}"
        self.link(f"/sys/class/net/{name}", device)
        self.write(f"{device}/type", "1\n")
        self.write(f"{device}/speed", "10000\n")
        self.write(f"{device}/carrier", "1\n")

    def bond(self, name: str, members: dict[str, bool], mode: str = "802.3ad 4") -> None:
        self.virtual_port(name)
        self.write(f"/sys/devices/virtual/net/{name}/bonding/mode", f"{mode}\n")
        text = "Ethernet Channel Bonding Driver: v6.12\n\nBonding Mode: IEEE 802.3ad Dynamic link aggregation\n"
        text += "MII Status: up\n"
        for member, up in members.items():
            text += f"\nSlave Interface: {member}\nMII Status: {'up' if up else 'down'}\nSpeed: 25000 Mbps\n"
            text += "Link Failure Count: 1\n"
            self.link(f"/sys/class/net/{member}/master", f"/sys/devices/virtual/net/{name}")
            self.write(f"/sys/class/net/{member}/bonding_slave/mii_status", "up\n")
        self.write(f"/proc/net/bonding/{name}", text)


def execution_primary(root: Path) -> Host:
    """32 cores, 128 GiB ECC, 2 NVMe drives of 3.84 TB, two 25 Gbit/s ports of two cards in a bond, two supplies."""
    host = Host(root)
    host.cpus(32)
    host.memory(131_700_000, edac=True)
    modules = [module(32, f"DIMM_{letter}") for letter in "ABCD"]
    host.smbios(processor(32, 64), memory_array(6), *modules, empty_slot("DIMM_E"), supply("PSU1"), supply("PSU2"))
    host.nvme(0, 3_840_755_982_336)
    host.nvme(1, 3_840_755_982_336)
    host.port("eno1", "0000:81:00.0", 25000)
    host.port("eno2", "0000:82:00.0", 25000)
    host.bond("bond0", {"eno1": True, "eno2": True})
    host.virtual_port("lo")
    return host


def under_sized(root: Path) -> Host:
    """8 cores, 32 GiB without ECC, one NVMe drive of 2 TB, 1 and 10 Gbit/s, a supply whose cable is out."""
    host = Host(root)
    host.cpus(8)
    host.memory(32_780_000)
    host.smbios(
        processor(8, 16),
        memory_array(3),
        module(32, "DIMM_A", ecc=False),
        supply("PSU1"),
        supply("PSU2", plugged=False),
    )
    host.nvme(0, 2_000_398_934_016)
    host.port("enp1s0", "0000:01:00.0", 1000)
    host.port("enp2s0", "0000:02:00.0", 10000)
    host.port("enp2s1", "0000:02:00.1", 10000, up=False)
    return host


def virtual_machine(root: Path) -> Host:
    """A guest: no firmware table, a virtio disk, a port that knows no speed."""
    host = Host(root)
    host.cpus(2, threads_per_core=1, flags=f"{FLAGS} hypervisor")
    host.memory(24_684_084)
    device = "/sys/devices/pci0000:00/0000:00:02.0/virtio1"
    host.link("/sys/block/vda", f"{device}/block/vda")
    host.write(f"{device}/block/vda/size", "536870912\n")
    host.port("eth0", "0000:00:03.0", -1, driver="virtio_net")
    return host


def container(root: Path) -> Host:
    """A system in systemd-nspawn: the machine's drives show, its network does not."""
    host = virtual_machine(root)
    for link in (root / "sys/class/net").iterdir():
        link.unlink()
    host.virtual_port("host0")
    host.write("/run/systemd/container", "systemd-nspawn\n")
    return host


def ipfs(root: Path) -> Host:
    """16 cores, 64 GiB, hardware RAID with a volume, NVMe mirror of 2 TB drives by md, two supplies."""
    host = Host(root)
    host.cpus(16)
    host.memory(65_700_000, edac=True)
    host.smbios(processor(16, 32), memory_array(6), module(64, "DIMM_A"), supply("PSU1"), supply("PSU2"))
    names = [host.nvme(0, 2_000_398_934_016), host.nvme(1, 2_000_398_934_016)]
    controller = host.raid_controller("0000:21:00.0", "smartpqi", (0x9005, 0x028F))
    host.scsi_disk("sda", controller, 48_000_000_000_000, "RAID-6")
    host.link("/sys/block/md0", "/sys/devices/virtual/block/md0")
    host.write("/sys/devices/virtual/block/md0/size", f"{2_000_000_000_000 // 512}\n")
    for name in names:
        (root / "sys/devices/virtual/block/md0/slaves").mkdir(parents=True, exist_ok=True)
        (root / f"sys/devices/virtual/block/md0/slaves/{name}").symlink_to(root / "sys/block" / name)
    host.write(
        "/proc/mdstat",
        "Personalities : [raid1]\nmd0 : active raid1 nvme1n1[1] nvme0n1[0]\n"
        "      1953125000 blocks super 1.2 [2/2] [UU]\n      bitmap: 1/15 pages [4KB], 65536KB chunk\n\n"
        "unused devices: <none>\n",
    )
    host.port("eno1", "0000:81:00.0", 10000)
    host.port("eno2", "0000:81:00.1", 10000)
    return host
