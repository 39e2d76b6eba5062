# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hardware as found, judged against a profile. Pure: a profile and the result of collect in, lines out.

Each line says what was wanted, what was found, and how it was read; its state is ok, short, or unread. What could not
be read is never taken for missing, nor for present.

Memory is sold in powers of two, so 64 GB are 64 GiB. Where the firmware says what is installed, that counts, to the
byte. Where only the kernel's MemTotal can be read, RESERVE of the wanted size may be missing: firmware, crash kernel
and page tables take their share before the kernel counts (62.5 to 63.0 GiB of 64 are usual).

Drives are sold in powers of ten, so 4 TB are 4,000,000,000,000 bytes, and nothing may be missing: a drive sold as
3.84 TB has 3.84, and who wants to accept it says so in the profile. What the kernel's RAID spends on redundancy does
not count.
"""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass

from .reading import NOT_READ, Reading
from .system import hidden_by

OK, SHORT, UNREAD = "ok", "short", "unread"
GIB = 2**30
GB = 10**9
RESERVE = 0.05
"""Share of the wanted memory that MemTotal may lack."""


@dataclass(frozen=True)
class Line:
    """One requirement on one host."""

    item: str
    wanted: str
    found: str
    read_from: str
    state: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


class Requirement(t.NamedTuple):
    """How one key of a profile is judged, and what its value may be."""

    kind: type
    judge: t.Callable[[t.Any, dict[str, t.Any]], Line]
    lowest: int = 1


def judge(profile: dict[str, t.Any], hardware: dict[str, t.Any]) -> list[Line]:
    """One line for each requirement of a profile that has passed check_profile, in the order of REQUIREMENTS."""
    return [
        requirement.judge(profile[key], hardware)
        for key, requirement in REQUIREMENTS.items()
        if profile.get(key) not in (None, False)
    ]


def check_profile(name: str, profile: dict[str, t.Any]) -> list[str]:
    """What is wrong with a profile, as sentences."""
    problems = []
    for key, value in profile.items():
        if key not in REQUIREMENTS:
            problems.append(f"profile {name} has the unknown key {key}: known are {', '.join(REQUIREMENTS)}")
            continue
        kind, lowest = REQUIREMENTS[key].kind, REQUIREMENTS[key].lowest
        if value is None:
            continue
        if kind is bool and not isinstance(value, bool):
            problems.append(f"profile {name}: {key} = {value!r}: must be true or false")
        elif kind is int and (isinstance(value, bool) or not isinstance(value, int) or value < lowest):
            problems.append(f"profile {name}: {key} = {value!r}: must be an integer of at least {lowest}, or null")
    return problems


def strictest(profiles: list[dict[str, t.Any]]) -> dict[str, t.Any]:
    """The profile of a host that belongs to several classes: of each key the higher value."""
    merged: dict[str, t.Any] = {}
    for profile in profiles:
        for key, value in profile.items():
            if value is not None:
                merged[key] = (
                    max(merged.get(key) or 0, value) if not isinstance(value, bool) else merged.get(key) or value
                )
    return merged


def line(item: str, wanted: str, reading: Reading, show: str, good: bool) -> Line:
    """A line for one reading; its error is the answer where it has no value."""
    if reading["error"]:
        return Line(item, wanted, reading["error"], reading["read_from"], UNREAD)
    return Line(item, wanted, show, reading["read_from"], OK if good else SHORT)


def cores(wanted: int, hardware: dict[str, t.Any]) -> Line:
    reading, threads = hardware["cpu"]["cores"], hardware["cpu"]["threads"]["value"]
    model = hardware["cpu"]["model"]["value"]
    detail = ", ".join(filter(None, (f"{threads} threads" if threads else "", model)))
    show = f"{reading['value']} cores" + (f" ({detail})" if detail else "")
    return line("processor cores", f"{wanted} or more", reading, show, (reading["value"] or 0) >= wanted)


def memory(wanted: int, hardware: dict[str, t.Any]) -> Line:
    installed, usable = hardware["memory"]["installed_bytes"], hardware["memory"]["usable_bytes"]
    if installed["error"] is None:
        good = installed["value"] >= wanted * GIB
        return line("memory", f"{wanted} GB", installed, f"{amount(installed['value'], GIB)} GiB installed", good)
    good = (usable["value"] or 0) >= wanted * GIB * (1 - RESERVE)
    show = "" if usable["error"] else f"{amount(usable['value'], GIB)} GiB usable (up to {RESERVE:.0%} may be reserved)"
    return line("memory", f"{wanted} GB", usable, show, good)


def ecc(_wanted: bool, hardware: dict[str, t.Any]) -> Line:
    reading = hardware["memory"]["ecc"]
    return line(
        "memory error correction", "ECC", reading, "ECC" if reading["value"] else "none", bool(reading["value"])
    )


def nvme(wanted: int, hardware: dict[str, t.Any]) -> Line:
    """The sum of the NVMe drives, less what arrays over them spend on redundancy."""
    item, words = "NVMe storage", f"{wanted:,} GB"
    drives = hardware["storage"]["drives"]
    if drives["error"]:
        return line(item, words, drives, "", False)
    unreadable = [
        each["transport"] for each in drives["value"] if each["transport"]["error"] and "nvme" in each["name"]
    ]
    chosen = [each for each in drives["value"] if str(each["transport"]["value"]).startswith("nvme")]
    unreadable += [each["size_bytes"] for each in chosen if each["size_bytes"]["error"]]
    if unreadable:
        return line(item, words, unreadable[0], "", False)
    lost, problem = redundancy(hardware)
    if problem:
        return line(item, words, problem, "", False)
    total = sum(each["size_bytes"]["value"] for each in chosen) - lost
    each_of = ", ".join(f"{each['name']} {amount(each['size_bytes']['value'], GB)}" for each in chosen)
    show = f"{amount(total, GB)} GB" + (
        f" ({each_of}{f', less {amount(lost, GB)} for RAID' if lost else ''})" if chosen else ""
    )
    source = ", ".join(each["size_bytes"]["read_from"] for each in chosen) or drives["read_from"]
    return Line(item, words, show, source, OK if total >= wanted * GB else SHORT)


def redundancy(hardware: dict[str, t.Any]) -> tuple[int, Reading | None]:
    """Bytes of NVMe drives that arrays spend on redundancy, or the reading that has none."""
    arrays = hardware["raid"]["arrays"]
    if arrays["error"]:
        return 0, arrays
    for each in arrays["value"]:
        if each["lost_bytes"]["error"]:
            return 0, each["lost_bytes"]
    return sum(each["lost_bytes"]["value"] for each in arrays["value"]), None


def storage(wanted: int, hardware: dict[str, t.Any]) -> Line:
    drives = hardware["storage"]["drives"]
    known = [each for each in drives["value"] or [] if each["size_bytes"]["error"] is None]
    total = sum(each["size_bytes"]["value"] for each in known)
    show = f"{amount(total, GB)} GB" + "".join(
        f", {each['name']} {amount(each['size_bytes']['value'], GB)}" for each in known
    )
    return line("storage of any kind", f"{wanted:,} GB", drives, show, total >= wanted * GB)


def drive_health(_wanted: bool, hardware: dict[str, t.Any]) -> Line:
    """A drive that warns of itself, or has used up what it was rated for, is no drive to build on."""
    item, words = "NVMe health", "no warning, under 90 % used"
    drives = hardware["storage"]["drives"]
    if drives["error"]:
        return line(item, words, drives, "", False)
    chosen = [each for each in drives["value"] if "health" in each]
    for each in chosen:
        if each["health"]["error"]:
            return line(item, words, each["health"], "", False)
    bad = [
        each["name"]
        for each in chosen
        if each["health"]["value"]["critical_warning"] or (each["health"]["value"]["used_percent"] or 0) >= 90
    ]
    show = (
        ", ".join(f"{each['name']} {each['health']['value']['used_percent']} % used" for each in chosen)
        or "no NVMe drive"
    )
    source = ", ".join(each["health"]["read_from"] for each in chosen) or drives["read_from"]
    return Line(item, words, f"{show}{'; warning: ' + ', '.join(bad) if bad else ''}", source, SHORT if bad else OK)


def links(gbps: int, hardware: dict[str, t.Any]) -> Line:
    """Two links of this speed at least, each with a carrier; the same count whether they are bonded or routed."""
    item, words = "redundant links", f"2 of {gbps} Gbit/s or more, up"
    ports = hardware["network"]["ports"]
    if ports["error"]:
        return line(item, words, ports, "", False)
    problem = unread_port(ports["value"])
    fast = [each for each in ports["value"] if (each["speed_mbps"]["value"] or 0) >= gbps * 1000]
    dead = set(bond_faults(hardware))
    fast = [each for each in fast if each["name"] not in dead]
    if len(fast) < 2 and problem:
        return line(item, words, problem, "", False)
    cards = {each["card"] for each in fast}
    show = ", ".join(port_words(each, dead) for each in ports["value"]) or "no port"
    show += "; all on one card" if len(fast) >= 2 and len(cards) == 1 else ""
    return Line(item, words, show, port_sources(ports), OK if len(fast) >= 2 else SHORT)


def bandwidth(gbps: int, hardware: dict[str, t.Any]) -> Line:
    """The links that are up, together."""
    item, words = "network bandwidth", f"{gbps} Gbit/s or more, up"
    ports = hardware["network"]["ports"]
    if ports["error"]:
        return line(item, words, ports, "", False)
    total = sum(each["speed_mbps"]["value"] or 0 for each in ports["value"])
    problem = unread_port(ports["value"])
    if total < gbps * 1000 and problem:
        return line(item, words, problem, "", False)
    show = ", ".join(port_words(each, set()) for each in ports["value"]) or "no port"
    return Line(item, words, show, port_sources(ports), OK if total >= gbps * 1000 else SHORT)


def unread_port(ports: list[dict[str, t.Any]]) -> Reading | None:
    """A link that is up, or may be, and whose speed is not known."""
    for each in ports:
        if each["link"]["error"]:
            return each["link"]
        if each["link"]["value"] and each["speed_mbps"]["error"]:
            return each["speed_mbps"]
    return None


def bond_faults(hardware: dict[str, t.Any]) -> list[str]:
    """Ports with a carrier that their bond does not use."""
    bonds = hardware["network"]["bonds"]["value"] or []
    return [member["name"] for bond in bonds for member in bond["members"]["value"] or [] if not member["up"]]


def port_words(port: dict[str, t.Any], dead: set[str]) -> str:
    speed, fastest = port["speed_mbps"]["value"], port["fastest_mbps"]["value"]
    if not port["link"]["value"]:
        return f"{port['name']} down"
    words = f"{port['name']} {speed / 1000:g} Gbit/s" if speed else f"{port['name']} up, speed unknown"
    words += f" of {fastest / 1000:g}" if speed and fastest and fastest > speed else ""
    return words + (f" (down in {port['bond']})" if port["name"] in dead else "")


def port_sources(ports: Reading) -> str:
    return ", ".join(each["speed_mbps"]["read_from"] for each in ports["value"]) or ports["read_from"]


def supplies(wanted: int, hardware: dict[str, t.Any]) -> Line:
    reading = hardware["power"]["supplies"]
    every = reading["value"] or []
    works = [each for each in every if each["works"]]
    show = f"{len(works)} of {len(every)} give power" + "".join(
        f"; {each['name']}: {', '.join(each['faults']) if each['present'] else 'not there'}"
        for each in every
        if not each["works"]
    )
    return line("power supplies", f"{wanted} or more", reading, show, len(works) >= wanted)


def hardware_raid(_wanted: bool, hardware: dict[str, t.Any]) -> Line:
    item, words = "RAID controller", "hardware RAID"
    controllers = hardware["raid"]["controllers"]
    if controllers["error"]:
        return line(item, words, controllers, "", False)
    real = [each for each in controllers["value"] if each["hardware"]]
    unknown = [each for each in controllers["value"] if each["hardware"] is None]
    hidden = hidden_by(hardware["system"])
    if not real and (unknown or hidden):
        reason = hidden or ", ".join(
            f"{each['id']} has {each['driver'] or 'no driver'}, which says nothing" for each in unknown
        )
        return Line(item, words, f"{NOT_READ}: {reason}", controllers["read_from"], UNREAD)
    show = ", ".join(controller_words(each) for each in controllers["value"]) or "none"
    return Line(item, words, show, controllers["read_from"], OK if real else SHORT)


def controller_words(controller: dict[str, t.Any]) -> str:
    if not controller["hardware"]:
        return f"{controller['id']} ({controller['driver']}: the host does the work)"
    levels = ", ".join(
        f"{volume['name']} {volume['level']['value'] or 'of unknown level'}" for volume in controller["volumes"]
    )
    return f"{controller['id']} ({controller['driver']})" + (f" with {levels}" if levels else "")


def amount(number: int, unit: int) -> str:
    """A size without digits that say nothing: 3,840 or 62.7."""
    value = number / unit
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:,.1f}"


REQUIREMENTS = {
    "cores": Requirement(int, cores),
    "memory_gb": Requirement(int, memory),
    "memory_ecc": Requirement(bool, ecc),
    "nvme_gb": Requirement(int, nvme),
    "nvme_healthy": Requirement(bool, drive_health),
    "storage_gb": Requirement(int, storage),
    "redundant_links_gbps": Requirement(int, links),
    "bandwidth_gbps": Requirement(int, bandwidth),
    "power_supplies": Requirement(int, supplies),
    "hardware_raid": Requirement(bool, hardware_raid),
}
