# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""State of a host that no file shows: kernel parameters in force, the clock's offset, how sshd would treat a user."""

from __future__ import annotations
