# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host is made of, read without any package beyond Python, and judged against a profile.

reading   a value, where it was read, and why it could not be read
tree      files under a root directory, so that tests use a made-up /sys and /proc
smbios    the firmware's own table (/sys/firmware/dmi/tables/DMI)
ethtool   two requests of the kernel's ethtool interface
cpu, memory, storage, raid, network, power, system   one part of a host each
collect   all of them
verdict   found against wanted; pure
placement primaries and standbys against each other, from the inventory alone; pure
"""

from __future__ import annotations
