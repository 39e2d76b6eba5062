"""A data directory and a chain stay together, whatever is configured and whatever was killed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.roles_ethereum.program import load

PROGRAM = Path(__file__).parents[3] / "roles/geth/files/chain_guard.py"
guard = load(PROGRAM)

# geth as far as the guard is concerned: init keeps the genesis it was first given, dumpconfig knows two flags
GETH = r"""#!/usr/bin/env python3
import json, pathlib, sys
log = pathlib.Path(__file__).with_name("log")
log.write_text(log.read_text() + " ".join(sys.argv[1:]) + "\n" if log.exists() else " ".join(sys.argv[1:]) + "\n")
arguments = sys.argv[1:]
if "--bogus" in arguments:
    print("NAME:\n geth\nflag provided but not defined: -bogus")
    sys.exit(1)
if arguments[0] == "init":
    data = pathlib.Path(arguments[2]) / "geth" / "chaindata"
    genesis = json.load(open(arguments[-1]))
    data.mkdir(parents=True, exist_ok=True)
    kept = data / "genesis"
    chain = json.dumps({k: v for k, v in genesis.items() if k != "config"}, sort_keys=True)
    if kept.exists() and kept.read_text() != chain:
        print("Fatal: database contains incompatible genesis (have 1, new 2)", file=sys.stderr)
        sys.exit(1)
    kept.write_text(chain)
    (data / "CURRENT").touch()
"""
GENESIS: dict[str, Any] = {"config": {"chainId": 32382, "pragueTime": 0}, "alloc": {}, "gasLimit": "0x1"}


class Host:
    """A data directory, a genesis and a geth."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = path / "data"
        self.data.mkdir()
        self.geth = path / "geth"
        self.geth.write_text(GETH)
        self.geth.chmod(0o755)
        self.genesis = path / "genesis.json"
        self.genesis.write_text(json.dumps(GENESIS))

    def rewrite(self, **changes: Any) -> None:
        self.genesis.write_text(json.dumps({**GENESIS, **changes}))

    def run(self, what: str, *flags: str, network: str = "custom") -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-I", str(PROGRAM), what, "--network", network, "--data-dir", str(self.data)]
        argv += ["--genesis", str(self.genesis)] if network == "custom" else []
        argv += ["--", str(self.geth), *flags]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)

    @property
    def calls(self) -> list[str]:
        log = self.path / "log"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_an_empty_directory_gets_the_genesis_once(host: Host) -> None:
    assert host.run("init").stdout == "genesis of custom (chain id 32382) written\n"
    assert host.run("init").stdout == "the data directory is this chain's\n"
    assert host.calls == [f"init --datadir {host.data} --state.scheme path {host.genesis}"]


def test_killed_before_the_marker_it_is_done_again(host: Host) -> None:
    host.run("init")
    (host.data / guard.MARKER).unlink()
    assert host.run("init").returncode == 0
    assert len(host.calls) == 2
    assert (host.data / guard.MARKER).exists()


def test_a_directory_emptied_by_hand_is_filled_again(host: Host) -> None:
    host.run("init")
    (host.data / "geth/chaindata/CURRENT").unlink()
    assert "written" in host.run("init").stdout


def test_another_genesis_is_refused_before_anything_is_changed(host: Host) -> None:
    host.run("init")
    host.rewrite(gasLimit="0x2")
    for what in ("check", "init"):
        ran = host.run(what)
        assert ran.returncode == 1
        assert f"{host.data} holds the chain custom (chain id 32382)" in ran.stderr
        assert "Nothing is deleted here" in ran.stderr
    assert len(host.calls) == 1


def test_without_a_marker_geth_itself_refuses(host: Host) -> None:
    host.run("init")
    (host.data / guard.MARKER).unlink()
    host.rewrite(gasLimit="0x2")
    ran = host.run("init")
    assert ran.returncode == 1
    assert "database contains incompatible genesis" in ran.stderr
    assert not (host.data / guard.MARKER).exists()


def test_rescheduled_forks_are_written(host: Host) -> None:
    host.run("init")
    host.rewrite(config={"chainId": 32382, "pragueTime": 0, "osakaTime": 99})
    assert host.run("check").returncode == 0
    assert "written" in host.run("init").stdout
    assert host.run("init").stdout == "the data directory is this chain's\n"


def test_a_preset_over_another_chain_is_refused(host: Host) -> None:
    host.run("init")
    ran = host.run("check", network="mainnet")
    assert (ran.returncode, "another one than mainnet" in ran.stderr) == (1, True)


def test_a_preset_needs_no_genesis(host: Host) -> None:
    assert host.run("init", network="mainnet").returncode == 0
    assert host.calls == []
    assert json.loads((host.data / guard.MARKER).read_text()) == {"network": "mainnet"}


def test_flags_are_read_by_the_installed_geth_in_a_directory_of_its_own(host: Host) -> None:
    assert host.run("check", "--cache=256").returncode == 0
    assert host.calls[0].startswith("--cache=256 --datadir ")
    assert host.calls[0].endswith(" --nat extip:127.0.0.1 dumpconfig")
    assert str(host.data) not in host.calls[0]


def test_a_flag_that_geth_does_not_know_is_named(host: Host) -> None:
    ran = host.run("check", "--bogus")
    assert ran.returncode == 1
    assert ran.stderr == f"{host.geth} does not accept its configuration: flag provided but not defined: -bogus\n"


def test_before_the_first_installation_there_is_nothing_to_ask(host: Host) -> None:
    host.geth.unlink()
    assert host.run("check").returncode == 0


@pytest.mark.parametrize(
    ("content", "words"), [(None, "there is no genesis file"), ("{", "is not JSON"), ("{}", "has no config")]
)
def test_a_genesis_that_is_none_is_named(host: Host, content: str | None, words: str) -> None:
    host.genesis.unlink()
    if content is not None:
        host.genesis.write_text(content)
    ran = host.run("init")
    assert (ran.returncode, words in ran.stderr, str(host.genesis) in ran.stderr) == (1, True, True)


def test_a_marker_that_is_none_is_named(host: Host) -> None:
    host.run("init")
    (host.data / guard.MARKER).write_text("{")
    ran = host.run("check")
    assert (ran.returncode, guard.MARKER in ran.stderr) == (1, True)
