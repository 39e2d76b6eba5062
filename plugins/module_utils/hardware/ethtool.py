# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a port could do at most, by the kernel's ethtool interface (linux/ethtool.h): sysfs has the speed in use."""

from __future__ import annotations

import array
import fcntl
import socket
import struct

from .reading import Unreadable
from .tree import why

SIOCETHTOOL = 0x8946
GLINKSETTINGS = 0x4C
HEAD = "<II7xb32x"
HEAD_SIZE = struct.calcsize(HEAD)
WORDS = 127
"""The most 32 bit words that each of the three masks of link modes can have."""

# Bits of the link mode mask by Mbit/s (enum ethtool_link_mode_bit_indices), full duplex, 1 Gbit/s and more.
BITS = {
    1000: (5, 17, 41, 68),
    2500: (15, 47),
    5000: (48,),
    10000: (12, 18, 19, 20, 42, 43, 44, 45, 46),
    20000: (21, 22),
    25000: (31, 32, 33),
    40000: (23, 24, 25, 26),
    50000: (34, 35, 40, 52, 53, 54, 55, 56),
    56000: (27, 28, 29, 30),
    100000: (36, 37, 38, 39, 57, 58, 59, 60, 61, 75, 76, 77, 78, 79),
    200000: (62, 63, 64, 65, 66, 80, 81, 82, 83, 84),
    400000: (69, 70, 71, 72, 73, 85, 86, 87, 88, 89),
}


def fastest(mask: int) -> int | None:
    """The fastest mode in a mask of link modes, in Mbit/s."""
    return max((speed for speed, bits in BITS.items() if any(mask >> bit & 1 for bit in bits)), default=None)


def fastest_supported(interface: str) -> int:
    """What the port could do at most, in Mbit/s."""
    where = f"ethtool {interface}"
    # struct ethtool_link_settings: cmd, speed, seven bytes, the number of words of a mask (asked for with 0, answered
    # negative), four bytes and seven reserved words; the three masks (supported, advertised, the partner's) follow.
    try:
        words = -request(interface, struct.pack(HEAD, GLINKSETTINGS, 0, 0))[1]
        if not 0 < words <= WORDS:
            raise Unreadable(where, "the driver names no link modes")
        answer, _words = request(interface, struct.pack(HEAD, GLINKSETTINGS, 0, words))
    except OSError as error:
        raise Unreadable(where, why(error)) from error
    speed = fastest(int.from_bytes(answer[HEAD_SIZE : HEAD_SIZE + 4 * words], "little"))
    if speed is None:
        raise Unreadable(where, "the driver names no link mode of a known speed")
    return speed


def request(interface: str, head: bytes) -> tuple[bytes, int]:
    """One request; the answer with the number of mask words in it."""
    buffer = array.array("B", head + bytes(12 * WORDS))
    argument = struct.pack("16sP16x", interface.encode()[:15], buffer.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCETHTOOL, argument)
    return buffer.tobytes(), struct.unpack_from("<b", buffer, 15)[0]
