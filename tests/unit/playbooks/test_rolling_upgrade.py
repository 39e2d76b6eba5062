# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rolling upgrade from end to end on a simulated site: its order, its way back, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.playbooks.simulated import DIES, OTHER_FORK, UNFIT, Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def versions(site: Site) -> dict[str, str]:
    return {name: pair.version() for name, pair in site.pairs.items()}


def test_references_first_then_standbys_then_primaries_and_never_two(site: Site) -> None:
    status, output = site.upgrade(geth_version="2.0.0")
    assert status == 0, output
    order = [(name, event) for name in ("eth-r", "eth-s", "eth-p") for event in ("drained", "back")]
    assert site.events == order
    assert site.most_drained == 1
    assert set(versions(site).values()) == {"2.0.0"}
    status, output = site.upgrade(geth_version="2.0.0")
    assert status == 0, output
    assert "changed=0" in output
    assert "changed=1" not in output
    assert site.events == order


def test_a_version_that_dies_is_rolled_back_and_the_rest_is_untouched(site: Site) -> None:
    status, output = site.upgrade(geth_version=DIES)
    assert status != 0
    assert "eth-r was rolled back" in output
    assert "ended with status 1 right after its start" in output
    assert site.events[0] == ("eth-r", "drained")
    assert {name for name, _event in site.events} == {"eth-r"}
    assert set(versions(site).values()) == {"1.0.0"}
    assert {pair.running for pair in site.pairs.values()} == {"1.0.0"}
    assert not any(pair.drain for pair in site.pairs.values())


def test_one_that_knows_another_fork_is_rolled_back(site: Site) -> None:
    status, output = site.upgrade(geth_version=OTHER_FORK, upgrade_timeout=2)
    assert status != 0
    assert "eth-r is at fork 0xbbbbbbbb" in output
    assert "eth-r was rolled back" in output
    assert set(versions(site).values()) == {"1.0.0"}


def test_without_a_way_back_it_stays_drained_and_says_what_remains(site: Site) -> None:
    status, output = site.upgrade(geth_version=UNFIT, geth_releases={UNFIT: {"rollback_to": []}})
    assert status != 0
    assert "eth-r stays drained" in output
    assert "rm -r /var/lib/geth/geth/chaindata" in output
    assert "switchover_back=eth-r" in output
    assert site.pairs["eth-r"].drain == {"reason": f"geth 1.0.0 to {UNFIT}", "who": "rolling_upgrade", "since": 1.0}
    assert versions(site) == {"eth-r": UNFIT, "eth-s": "1.0.0", "eth-p": "1.0.0"}
    # Run again, with data that somebody has looked into meanwhile: it goes on there, and knows where it came from.
    status, output = site.upgrade(geth_version=UNFIT)
    assert status != 0
    assert "eth-r was rolled back" in output
    assert set(versions(site).values()) == {"1.0.0"}
    assert not site.pairs["eth-r"].drain


def test_nothing_begins_while_another_pair_is_out(site: Site) -> None:
    (site.pairs["eth-p"].directory / "geth" / "started").write_text(UNFIT)
    status, output = site.upgrade(geth_version="2.0.0", upgrade_timeout=2)
    assert status != 0
    assert "the pair is not in service after 2 s: unfit" in output
    assert site.events == []
    status, output = site.upgrade("--limit", "eth-s", geth_version="2.0.0", upgrade_ignore="eth-p")
    assert status == 0, output
    assert versions(site) == {"eth-r": "1.0.0", "eth-s": "2.0.0", "eth-p": "1.0.0"}


def test_somebody_elses_drain_stays(site: Site) -> None:
    drain = {"who": "alice", "reason": "new disk", "since": 1.0}
    site.pairs["eth-s"].drain = drain
    status, output = site.upgrade("--limit", "eth-s", geth_version="2.0.0")
    assert status == 0, output
    assert site.pairs["eth-s"].drain == drain
    assert versions(site)["eth-s"] == "2.0.0"


def test_check_mode_changes_nothing(site: Site) -> None:
    before = versions(site)
    status, output = site.upgrade("--check", geth_version="2.0.0")
    assert status == 0, output
    assert (versions(site), site.events) == (before, [])


def test_wrong_values_are_named(site: Site) -> None:
    wrong = {"upgrade_timeout": "soon", "upgrade_settle": 0, "upgrade_ignore": "eth-x"}
    status, output = site.upgrade(geth_version="2.0.0", **wrong)
    assert status != 0
    for said in ("upgrade_timeout = soon", "upgrade_settle = 0", "eth-x", "eth-p, eth-s, eth-r"):
        assert said in output, output
    assert site.events == []
