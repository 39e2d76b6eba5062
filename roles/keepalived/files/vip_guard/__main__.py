# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""python3 -m vip_guard /etc/keepalived/vip_guard.json"""

from __future__ import annotations

import sys
from pathlib import Path

from .guard import Config, Guard

if __name__ == "__main__":
    Guard(Config.read(Path(sys.argv[1]))).run()
