# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a cluster may be founded."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.chainops.infra.plugins.modules import etcd_info

from tests.unit.plugins.modules.in_process import run_module


@pytest.mark.parametrize(
    ("data", "founding", "empty"), [(False, False, True), (True, False, False), (True, True, True), (False, True, True)]
)
def test_data_of_a_founding_that_never_got_ready_is_no_data(
    tmp_path: Path, data: bool, founding: bool, empty: bool
) -> None:
    if data:
        (tmp_path / "data" / "member").mkdir(parents=True)
    if founding:
        (tmp_path / ".founding").touch()
    found = run_module(etcd_info, data_dir=str(tmp_path / "data"), founding=str(tmp_path / ".founding"))
    assert found == {"changed": False, "has_data": data, "founding": founding, "empty": empty}
