# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Break the lab on purpose, and mend it again: for tests and for game days.

```
with Faults.load("lab") as faults:
    with faults.freeze_unit("eth-a", "geth"):
        ...                                   # thawed here
    faults.partition(["east"], ["west"])      # stays until the outer block ends, however it ends
```

Every fault is written to a journal in the lab's state directory before it is made, so that what a killed process has
left is undone by ``tools/faults undo-all``.
"""

from .core import Fault, Faults, Impossible

__all__ = ["Fault", "Faults", "Impossible"]
