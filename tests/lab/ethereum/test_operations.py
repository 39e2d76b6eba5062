"""The operations that show and change without a failover: the site's status, and peers. On the converged lab."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.chainops.infra.plugins.module_utils.chain.peerid import enode

from tests.lab.ethereum.failover.world import PAIRS
from tests.lab.site import Run, Site

STATUS = "chainops.infra.operations.chain_status"
PEERS = "chainops.infra.operations.peers"
# A node that does not exist, in a network for documentation (RFC 5737).
NOBODY = enode("01" * 32, "192.0.2.7")


def row(run: Run, host: str) -> str:
    rows = [line for line in run.output.splitlines() if line.startswith(f"{host} ")]
    assert rows, f"no row for {host}:\n{run.output[-3000:]}"
    return rows[0]


def test_status_in_the_terminal_and_as_one_page(site: Site, tmp_path: Path) -> None:
    page = tmp_path / "status.html"
    run = site.play(STATUS, "-e", f"chain_status_page={page}").check()
    for host in PAIRS:
        assert "healthy" in row(run, host) and "1.17.6" in row(run, host), run.output[-3000:]
    text = page.read_text(encoding="utf-8")
    assert all(host in text for host in PAIRS)
    assert "<svg" in text, "no head lag over time"
    for elsewhere in ("<script", 'http-equiv="refresh', 'src="http', 'href="http', "@import"):
        assert elsewhere not in text, f"the page needs something else: {elsewhere}"


def test_status_of_a_pair_that_is_out(site: Site, tmp_path: Path) -> None:
    site.run("eth-d", "chain-health", "drain", "--reason", "new disk")
    try:
        run = site.play(STATUS, "-e", f"chain_status_page={tmp_path / 'status.html'}").check()
    finally:
        site.run("eth-d", "chain-health", "undrain")
    assert "drained" in row(run, "eth-d") and "new disk" in run.output, run.output[-3000:]


def test_a_peer_is_added_once_and_removed_once(site: Site) -> None:
    change = ["-e", "peers_client=geth", "-e", f"peers={NOBODY}", "--limit", "eth-d,localhost"]
    there = site.play(PEERS, "-e", "peers_state=present", *change).check()
    assert there.changed.keys() == {"eth-d"}, there.output[-3000:]
    assert "192.0.2.7" in there.output
    again = site.play(PEERS, "-e", "peers_state=present", *change).check()
    assert not again.changed, again.output[-3000:]
    gone = site.play(PEERS, "-e", "peers_state=absent", *change).check()
    assert gone.changed.keys() == {"eth-d"}, gone.output[-3000:]
    again = site.play(PEERS, "-e", "peers_state=absent", *change).check()
    assert not again.changed, again.output[-3000:]


def test_the_list_shows_both_clients_of_every_pair(site: Site) -> None:
    run = site.play(PEERS).check()
    for host in PAIRS:
        assert host in run.output
    assert "geth" in run.output and "prysm" in run.output, run.output[-3000:]
