# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Started as `python3 -IB /usr/lib/chainops/redis`: by the units and by the command chainops-redis."""

import sys
from pathlib import Path

# where this directory is a package
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from redis.redis.cli import main  # noqa: E402  (found only with the path above)

sys.exit(main())
