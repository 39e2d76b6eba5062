# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Started as `python3 -IB /usr/lib/chainops/chain_health`: by chain_health.service and by the command chain-health."""

import sys
from pathlib import Path

# where this directory is a package
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from chain_health.chain_daemon.cli import main  # noqa: E402  (found only with the path above)

sys.exit(main())
