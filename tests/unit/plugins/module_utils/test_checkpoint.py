"""An empty data directory is filled only from a checkpoint that two sources agree on."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.chainops.infra.plugins.module_utils import checkpoint
from ansible_collections.chainops.infra.plugins.module_utils.checkpoint import (
    Client,
    Header,
    Lighthouse,
    Prysm,
    Refused,
    Source,
    agree,
    extra_flags,
    read_record,
)

from tests.unit.plugins.module_utils.beacon_sources import Beacon, block, serve

PROGRAM = Path(checkpoint.__file__)
FINALITY = "/eth/v1/beacon/states/head/finality_checkpoints"


def sources(urls: list[str], timeout: float = 5) -> list[Source]:
    return [Source(url, timeout) for url in urls]


def fill(client: Client) -> None:
    """What the client itself does at its first start."""
    for path in ("beaconchaindata/beaconchain.db", "beacon/chain_db"):
        target = client.data_dir / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()


def test_root_of_a_header_is_its_hash_tree_root() -> None:
    header = Header(0, 0, "0x" + "00" * 32, "0x" + "00" * 32, "0x" + "00" * 32)
    # the tree of eight zero leaves, as every SSZ library has it (zero hash of depth 3)
    assert header.root() == "0xc78009fdf07fc56a11f122370658a353aaa542ed63e44c4bc15ff4cd105ab33c"


def test_two_that_agree_are_enough() -> None:
    with serve(Beacon(100), Beacon(100)) as urls:
        agreed = agree(sources(urls))
    assert (agreed.epoch, agreed.root, agreed.state_root) == (100, block(3200).root(), block(3200).state_root)
    assert (agreed.slot, agreed.slots_per_epoch, agreed.block_epoch) == (3200, 32, 100)
    assert set(agreed.confirmed_by) == set(urls)


def test_two_that_disagree_are_refused_by_name() -> None:
    with serve(Beacon(100), Beacon(100, fork=1)) as urls, pytest.raises(Refused) as refused:
        agree(sources(urls))
    assert all(url in str(refused.value) for url in urls)
    assert "contradicted by" in str(refused.value)


def test_one_that_is_down_leaves_too_few(unused_url: str) -> None:
    with serve(Beacon(100)) as urls, pytest.raises(Refused) as refused:
        agree(sources([*urls, unused_url]))
    assert unused_url in str(refused.value)
    assert "confirmed by " + urls[0] in str(refused.value)


def test_one_of_three_that_is_down_does_not_matter(unused_url: str) -> None:
    with serve(Beacon(100), Beacon(100)) as urls:
        assert agree(sources([unused_url, *urls])).epoch == 100


def test_one_of_three_that_lies_is_outvoted_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    with serve(Beacon(100), Beacon(100), Beacon(100, fork=1)) as urls:
        agreed = agree(sources(urls))
    assert agreed.root == block(3200).root()
    assert f"warning: {urls[2]} contradicts" in capsys.readouterr().err


def test_two_against_two_is_no_majority() -> None:
    beacons = (Beacon(100), Beacon(100), Beacon(100, fork=1), Beacon(100, fork=1))
    with serve(*beacons) as urls, pytest.raises(Refused):
        agree(sources(urls))


def test_a_source_ahead_confirms_an_older_block_of_its_chain() -> None:
    with serve(Beacon(101), Beacon(100)) as urls:
        agreed = agree(sources(urls))
    assert agreed.epoch == 100
    assert set(agreed.confirmed_by) == set(urls)


def test_a_source_ahead_on_another_chain_confirms_nothing() -> None:
    with serve(Beacon(101, fork=1), Beacon(100)) as urls, pytest.raises(Refused):
        agree(sources(urls))


def test_a_header_with_another_root_is_not_believed() -> None:
    liars = (Beacon(100, lies_about_headers=True), Beacon(100, lies_about_headers=True))
    with serve(*liars) as urls, pytest.raises(Refused, match="has another root"):
        agree(sources(urls))


def test_the_header_of_an_honest_source_serves() -> None:
    honest = Beacon(100)
    with serve(Beacon(100, lies_about_headers=True), honest) as urls:
        assert agree(sources(urls)).source == honest.url


def test_one_that_hangs_costs_its_timeout() -> None:
    with serve(Beacon(100), Beacon(100), Beacon(100, delay=30)) as urls:
        began = time.monotonic()
        assert agree(sources(urls, timeout=0.5)).epoch == 100
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, b"<html>"), "not the answer of a Beacon API"),
        ((200, b'{"data": {"finalized": {"epoch": "x", "root": "0x00"}}}'), "unexpected content"),
        ((200, b'{"data": []}'), "unexpected content"),
        ((503, b"{}"), "HTTP status 503"),
        (
            (200, json.dumps({"data": {"finalized": {"epoch": "0", "root": "0x" + "0" * 64}}}).encode()),
            "nothing is finalised",
        ),
        ((200, b" " * (checkpoint.MAX_JSON + 1)), "too long"),
    ],
    ids=["no JSON", "no numbers", "a list", "503", "not final", "huge"],
)
def test_answers_that_cannot_be_used_are_told(answer: tuple[int, bytes], words: str) -> None:
    with serve(Beacon(100), Beacon(100, broken={FINALITY: answer})) as urls, pytest.raises(Refused) as refused:
        agree(sources(urls))
    assert words in str(refused.value)
    assert urls[1] in str(refused.value)


def test_an_empty_first_slot_puts_the_block_into_the_epoch_before() -> None:
    """Prysm looks for the block among the slots of the epoch it is told."""
    agreed = checkpoint.Agreement(100, "0x" + "11" * 32, 3199, "0x" + "22" * 32, 32, "http://x", (), 0.0)
    assert agreed.block_epoch == 99


def test_prysm_begins_from_files_asked_for_by_their_roots(tmp_path: Path) -> None:
    beacon = Beacon(100)
    client = Prysm(tmp_path)
    with serve(beacon, Beacon(100)) as urls:
        flags = extra_flags(client, sources(urls))
    root, state_root = block(3200).root(), block(3200).state_root
    assert flags == [
        f"--weak-subjectivity-checkpoint={root}:100",
        f"--checkpoint-block={tmp_path}/checkpoint/block.ssz",
        f"--checkpoint-state={tmp_path}/checkpoint/state.ssz",
        f"--genesis-beacon-api-url={beacon.url}",
    ]
    assert (tmp_path / "checkpoint/block.ssz").read_bytes().startswith(f"ssz of /eth/v2/beacon/blocks/{root}".encode())
    assert (
        (tmp_path / "checkpoint/state.ssz")
        .read_bytes()
        .startswith(b"ssz of /eth/v2/debug/beacon/states/" + state_root.encode())
    )


def test_lighthouse_is_told_the_state_root(tmp_path: Path) -> None:
    beacon = Beacon(100)
    with serve(beacon, Beacon(100)) as urls:
        flags = extra_flags(Lighthouse(tmp_path), sources(urls))
    assert flags == [
        f"--wss-checkpoint={block(3200).root()}:100",
        f"--checkpoint-sync-url={beacon.url}",
        f"--checkpoint-sync-state-id={block(3200).state_root}",
    ]


@pytest.mark.parametrize("kind", [Prysm, Lighthouse])
def test_data_that_exists_is_left_alone_and_nobody_is_asked(kind: type[Client], tmp_path: Path) -> None:
    beacon = Beacon(100)
    client = kind(tmp_path)
    fill(client)
    with serve(beacon, Beacon(100)) as urls:
        assert extra_flags(client, sources(urls)) == []
    assert beacon.asked == []


def test_a_truncated_state_starts_nothing_and_leaves_no_state(tmp_path: Path) -> None:
    with serve(Beacon(100, truncates=True), Beacon(100)) as urls, pytest.raises(Refused, match="cut off"):
        extra_flags(Prysm(tmp_path), sources(urls))
    assert not (tmp_path / "checkpoint/block.ssz").exists()
    assert not (tmp_path / checkpoint.RECORD).exists()


def test_a_page_in_place_of_the_state_starts_nothing(tmp_path: Path) -> None:
    path = f"/eth/v2/debug/beacon/states/{block(3200).state_root}"
    beacons = (Beacon(100, broken={path: (200, b"{}")}), Beacon(100))
    with serve(*beacons) as urls, pytest.raises(Refused, match="not SSZ"):
        extra_flags(Prysm(tmp_path), sources(urls))


def test_the_root_is_verified_for_a_month_and_files_are_removed(tmp_path: Path) -> None:
    client = Prysm(tmp_path)
    with serve(Beacon(100), Beacon(100)) as urls:
        first = extra_flags(client, sources(urls))
        fill(client)
        soon = extra_flags(client, sources(urls))
        record = read_record(tmp_path / checkpoint.RECORD)
        assert record
        later = extra_flags(client, sources(urls), now=record.made + 7200)
        last = extra_flags(client, sources(urls), now=record.made + 31 * 86400)
    # a start that was interrupted before the files were loaded is repeated with them
    assert soon == first
    assert later == first[:1]
    assert not (tmp_path / "checkpoint").exists()
    assert last == []


def test_data_that_was_removed_begins_anew(tmp_path: Path) -> None:
    client = Prysm(tmp_path)
    with serve(Beacon(100), Beacon(100)) as urls:
        extra_flags(client, sources(urls))
        fill(client)
        (tmp_path / "beaconchaindata/beaconchain.db").unlink()
    with serve(Beacon(200), Beacon(200)) as urls:
        flags = extra_flags(client, sources(urls))
    assert flags[0].endswith(":200")


def test_a_record_that_is_none_is_refused(tmp_path: Path) -> None:
    client = Prysm(tmp_path)
    fill(client)
    (tmp_path / checkpoint.RECORD).write_text("{}")
    with pytest.raises(Refused, match=checkpoint.RECORD):
        extra_flags(client, [])


def test_the_program_becomes_the_client(tmp_path: Path) -> None:
    client = tmp_path / "client"
    client.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    client.chmod(0o755)
    (tmp_path / "data").mkdir()
    with serve(Beacon(100), Beacon(100)) as urls:
        ran = run(tmp_path / "data", urls, str(client))
    assert ran.returncode == 0
    assert ran.stdout.splitlines()[:2] == ["--own=1", f"--weak-subjectivity-checkpoint={block(3200).root()}:100"]


def test_the_program_starts_nothing_and_says_why(tmp_path: Path) -> None:
    with serve(Beacon(100), Beacon(100, fork=1)) as urls:
        ran = run(tmp_path, urls, "/bin/echo")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("not started: 2 sources must agree")


def run(data_dir: Path, urls: list[str], command: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-I", str(PROGRAM), "--client=prysm", f"--data-dir={data_dir}"]
    argv += [f"--source={url}" for url in urls]
    return subprocess.run([*argv, "--", command, "--own=1"], capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture
def unused_url() -> str:
    """Where nothing listens."""
    with serve(Beacon(1)) as urls:
        return urls[0]
