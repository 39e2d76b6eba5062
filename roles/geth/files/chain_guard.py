# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keeps a data directory and a chain together: asked before a configuration is accepted and before every start of geth.

    chain_guard check --network NAME --data-dir DIR [--genesis FILE] -- geth FLAG...
    chain_guard init  --network NAME --data-dir DIR [--genesis FILE] [--scheme path] -- geth

``check`` changes nothing. It refuses a data directory that holds another chain, and lets the installed geth read its
configuration and flags (``dumpconfig``), so that what it would not start with is refused while the old one still runs.

``init`` writes the genesis of a custom network into an empty data directory. A geth without it would begin mainnet.
The marker that says which chain a directory holds is written only after ``geth init`` has succeeded: a run killed
before that leaves no marker, and the next start runs ``geth init`` again, which takes up what is there or refuses it.
A genesis file whose forks were rescheduled is written again, as geth takes such a change only through ``init``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

MARKER = "chainops-chain.json"


class Refused(Exception):
    """The text says what does not fit and what to do."""


def read_genesis(path: Path) -> dict[str, Any]:
    try:
        genesis = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Refused(f"there is no genesis file {path}") from None
    except ValueError as error:
        raise Refused(f"{path} is not JSON: {error}") from None
    if not isinstance(genesis, dict) or "alloc" not in genesis or "config" not in genesis:
        raise Refused(f"{path} is no genesis of geth: it has no config or no alloc")
    return genesis


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def identity(network: str, genesis: dict[str, Any] | None) -> dict[str, Any]:
    """What must not change (``chain``) and what is written anew when it does (``config``)."""
    if genesis is None:
        return {"network": network}
    chain = {key: value for key, value in genesis.items() if key != "config"}
    return {
        "network": network,
        "chain_id": genesis["config"].get("chainId"),
        "chain": digest(chain),
        "config": digest(genesis["config"]),
    }


def describe(known: dict[str, Any]) -> str:
    return f"{known.get('network')}" + (f" (chain id {known['chain_id']})" if "chain_id" in known else "")


def read_marker(data_dir: Path) -> dict[str, Any] | None:
    path = data_dir / MARKER
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        raise Refused(f"{path} is not what this program writes: remove it, and geth itself judges its data") from None


def write_marker(data_dir: Path, wanted: dict[str, Any]) -> None:
    temporary = data_dir / f".{MARKER}"
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(wanted, file)
        os.fsync(file.fileno())
    temporary.rename(data_dir / MARKER)


def has_database(data_dir: Path) -> bool:
    return (data_dir / "geth" / "chaindata" / "CURRENT").exists() or any(
        data_dir.glob("geth/chaindata/marker.manifest*")
    )


def refuse_other_chain(data_dir: Path, wanted: dict[str, Any]) -> dict[str, Any] | None:
    """The marker, if there is one; Refused when it is another chain's."""
    known = read_marker(data_dir)
    if known and has_database(data_dir):
        same = all(known.get(key) == wanted.get(key) for key in ("network", "chain_id", "chain"))
        if not same:
            raise Refused(
                f"{data_dir} holds the chain {describe(known)}, another one than {describe(wanted)} with the genesis "
                f"that is configured now. Nothing is deleted here: configure the old genesis again, or stop geth, move "
                f"{data_dir} away (it can be large) and start anew"
            )
    return known


def check(network: str, data_dir: Path, genesis_file: Path | None, command: list[str]) -> None:
    genesis = read_genesis(genesis_file) if genesis_file else None
    refuse_other_chain(data_dir, identity(network, genesis))
    if not command or not Path(command[0]).exists():
        return  # check mode before the first installation
    with tempfile.TemporaryDirectory(prefix="geth-check-") as empty:
        # a data directory of its own, as that of the running geth is locked; and geth cannot print --nat=none
        argv = [*command, "--datadir", empty, "--nat", "extip:127.0.0.1", "dumpconfig"]
        ran = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    if ran.returncode:
        lines = [line for line in (ran.stderr + ran.stdout).splitlines() if line.strip()]
        # for an unknown flag geth prints its whole help after the line that matters
        telling = [line for line in lines if "Fatal" in line or "not defined" in line or "Incorrect" in line]
        raise Refused(f"{command[0]} does not accept its configuration: {' '.join((telling or lines[-3:])[:3])}")


def init(network: str, data_dir: Path, genesis_file: Path | None, scheme: str, command: list[str]) -> str:
    genesis = read_genesis(genesis_file) if genesis_file else None
    wanted = identity(network, genesis)
    known = refuse_other_chain(data_dir, wanted)
    if known == wanted and has_database(data_dir):
        return "the data directory is this chain's"
    if genesis_file is None:
        # geth knows its presets, and refuses another chain's data by itself; from then on the marker says it better
        write_marker(data_dir, wanted)
        return f"the data directory is for {describe(wanted)}"
    argv = [command[0], "init", "--datadir", str(data_dir), "--state.scheme", scheme, str(genesis_file)]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False)
    if ran.returncode:
        lines = [line for line in (ran.stderr + ran.stdout).splitlines() if line.strip()]
        telling = " ".join([line for line in lines if "Fatal" in line] or lines[-3:])
        raise Refused(
            f"geth init refused {genesis_file} for {data_dir}: {telling}. If the directory holds another chain, "
            "configure that chain's genesis or move the directory away"
        )
    write_marker(data_dir, wanted)
    return f"genesis of {describe(wanted)} written"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["check", "init"])
    parser.add_argument("--network", required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--genesis", type=Path)
    parser.add_argument("--scheme", default="path")
    split = arguments.index("--")
    given, command = parser.parse_args(arguments[:split]), arguments[split + 1 :]
    try:
        if given.what == "check":
            check(given.network, given.data_dir, given.genesis, command)
        else:
            print(init(given.network, given.data_dir, given.genesis, given.scheme, command))
    except (Refused, OSError, subprocess.TimeoutExpired) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
