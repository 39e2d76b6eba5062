# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What a lab is to be: names, addresses and limits, all derived from one prefix and one network."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .shell import LabError

STATE_ROOT = Path("/var/lib/chainops-lab")
IFNAME_MAX = 15
PREFIX_MAX = IFNAME_MAX - len("vb-") - 4  # a host's link: vb-PREFIX and four hexadecimal digits
CAPABILITIES = ("containers",)
DISK_SIZE = re.compile(r"^[1-9][0-9]*[MG]$")
SECRET = re.compile(r"^([a-z][a-z0-9_]*/)?[a-z][a-z0-9_]*$")
NAME = re.compile(r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$")


@dataclass
class Disk:
    """A file system of its own: ``size`` (like 512M or 2G) of ext4 at ``path`` in the host."""

    path: str
    size: str

    @property
    def size_bytes(self) -> int:
        """The size in bytes."""
        return int(self.size[:-1]) * (1 << 20 if self.size[-1] == "M" else 1 << 30)


@dataclass
class Host:
    """One host, as the inventory describes it."""

    name: str
    address: str
    region: str
    capabilities: list[str] = field(default_factory=list)
    memory_mb: int = 0  # 0: no limit
    disks: list[Disk] = field(default_factory=list)

    def validate(self) -> None:
        """Refuse what cannot be built, naming the variable."""
        where = f"host {self.name}: "
        if not NAME.match(self.name) or len(self.name) > 40:
            raise LabError(f"{where}a name is lower case letters, digits and single dashes, at most 40 characters")
        for capability in self.capabilities:
            if capability not in CAPABILITIES:
                raise LabError(f"{where}lab_capabilities has {capability!r}; allowed: {', '.join(CAPABILITIES)}")
        if self.memory_mb and self.memory_mb < 128:
            raise LabError(f"{where}lab_memory_mb is {self.memory_mb}; a host needs at least 128, or 0 for no limit")
        for disk in self.disks:
            if not disk.path.startswith("/") or os.path.normpath(disk.path) != disk.path or disk.path == "/":
                raise LabError(f"{where}lab_disks has path {disk.path!r}; an absolute, plain path below / is needed")
            if not DISK_SIZE.match(disk.size) or disk.size_bytes < 32 << 20:
                raise LabError(f"{where}lab_disks has size {disk.size!r}; allowed: 32M or more, as in 512M or 2G")


@dataclass
class Spec:
    """One site on this machine."""

    prefix: str
    network: str
    hosts: dict[str, Host] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)

    @property
    def state_dir(self) -> Path:
        """Where this lab keeps all that is its own."""
        return STATE_ROOT / self.prefix

    @property
    def regions(self) -> dict[str, ipaddress.IPv4Network]:
        """Region name to its /24, by the third octet of its hosts' addresses."""
        found: dict[str, ipaddress.IPv4Network] = {}
        for host in self.hosts.values():
            found.setdefault(host.region, ipaddress.IPv4Network(f"{host.address}/24", strict=False))
        return found

    def bridge(self, region: str) -> str:
        """The bridge of a region."""
        return f"{self.prefix}-{region}"

    def gateway(self, region: str) -> str:
        """The machine's own address in a region."""
        return str(self.regions[region][1])

    def mark(self, name: str) -> int:
        """The packet mark that says which host a packet came from: region and host octet, never 0."""
        octets = self.hosts[name].address.split(".")
        return int(octets[2]) << 8 | int(octets[3])

    def validate(self) -> None:
        """Refuse a site that cannot be built: every message names the variable, the value and what is allowed."""
        if not NAME.match(self.prefix) or "-" in self.prefix:
            raise LabError(f"lab_prefix is {self.prefix!r}; lower case letters and digits, a letter first")
        if len(self.prefix) > PREFIX_MAX:
            raise LabError(f"lab_prefix {self.prefix!r} is too long: at most {PREFIX_MAX} characters")
        try:
            network = ipaddress.IPv4Network(self.network)
        except ValueError as error:
            raise LabError(f"lab_network is {self.network!r}: {error}; a private IPv4 /16 is needed") from error
        if network.prefixlen != 16 or not network.is_private:
            raise LabError(f"lab_network is {self.network!r}; a private IPv4 /16 is needed, like 10.87.0.0/16")
        for secret in self.secrets:
            if not SECRET.match(secret):
                raise LabError(
                    f"lab_secrets has {secret!r}; lower case letters, digits and underscores, in one folder at most"
                )
        seen: dict[str, str] = {}
        for host in self.hosts.values():
            host.validate()
            try:
                address = ipaddress.IPv4Address(host.address)
            except ValueError as error:
                raise LabError(f"host {host.name}: ansible_host is {host.address!r}, not an IPv4 address") from error
            if address not in network:
                raise LabError(f"host {host.name}: ansible_host {address} is not in lab_network {network}")
            if host.address in seen:
                raise LabError(f"host {host.name}: ansible_host {address} is also the address of {seen[host.address]}")
            seen[host.address] = host.name
            if int(address) & 0xFF in (0, 1, 255):
                raise LabError(f"host {host.name}: ansible_host {address}: .0, .1 (the gateway) and .255 are taken")
            if not NAME.match(host.region):
                raise LabError(f"host {host.name}: site_region is {host.region!r}; letters, digits and single dashes")
        self._validate_regions()

    def _validate_regions(self) -> None:
        subnets: dict[ipaddress.IPv4Network, str] = {}
        for region, subnet in self.regions.items():
            name = self.bridge(region)
            if len(name) > IFNAME_MAX:
                raise LabError(
                    f"lab_prefix {self.prefix!r} is too long: its bridge {name!r} would have {len(name)} characters, "
                    f"and a network interface has at most {IFNAME_MAX}"
                )
            if subnet in subnets:
                raise LabError(
                    f"regions {subnets[subnet]} and {region} share the subnet {subnet}; each has its own /24"
                )
            subnets[subnet] = region
        for host in self.hosts.values():
            subnet = self.regions[host.region]
            if ipaddress.IPv4Address(host.address) not in subnet:
                raise LabError(
                    f"host {host.name}: {host.address} is not in {subnet}, the subnet of region {host.region}"
                )

    def as_dict(self) -> dict:
        """Plain data, for site.json."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict) -> Spec:
        """The reverse of :meth:`as_dict`; also takes the module's parameters."""
        hosts = {}
        for name, given in data["hosts"].items():
            values = {key: value for key, value in given.items() if key not in ("name", "disks")}
            hosts[name] = Host(name=name, disks=[Disk(**disk) for disk in given.get("disks") or []], **values)
        return cls(prefix=data["prefix"], network=data["network"], hosts=hosts, secrets=data.get("secrets") or [])
