"""Collections are imported as Ansible imports them, in every test: once done otherwise, their plugins are not found."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible.plugins.loader import init_plugin_loader

init_plugin_loader([str(Path(__file__).resolve().parents[1] / ".ansible" / "collections")])

# Python's own. eth-account's py_ecc raises it to 100,000 for the whole process, where JSON that is nested too deeply
# overflows the C stack instead of raising RecursionError, as it does on a host.
RECURSION_LIMIT = 1000


@pytest.fixture(autouse=True)
def recursion_limit_of_a_host() -> Iterator[None]:
    """What one test has imported must not change what another one meets."""
    raised = sys.getrecursionlimit()
    sys.setrecursionlimit(RECURSION_LIMIT)
    yield
    sys.setrecursionlimit(raised)
