# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the kernel says of the host's clock: whether a time daemon disciplines it, and how wrong it may be at most."""

from __future__ import annotations

import ctypes
import os
import struct

from ..chain.samples import Clock

# struct timex begins with: modes, offset, freq, maxerror, esterror, status; modes 0 only reads
_TIMEX = struct.Struct("@Illlli")
_SIZE = 512  # the whole of it has 208 bytes on 64 bits
_STA_UNSYNC = 0x0040


def kernel_clock() -> Clock:
    """Unknown where the kernel cannot be asked, as in a container whose filter knows no adjtimex."""
    buffer = ctypes.create_string_buffer(_SIZE)
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    except (OSError, AttributeError) as error:
        return Clock(problem=str(error))
    if state < 0:
        return Clock(problem=f"adjtimex: {os.strerror(ctypes.get_errno())}")
    _modes, _offset, _frequency, max_error, _estimate, status = _TIMEX.unpack_from(buffer)
    return Clock(not status & _STA_UNSYNC, max_error / 1e6)
