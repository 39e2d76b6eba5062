# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Starts a consensus client; into an empty data directory only from a checkpoint that two sources agree on.

A consensus client cannot tell a false chain from the true one by itself when it begins from nothing: it believes the
checkpoint it is given. One source can be wrong, hacked or on a fork. So, before a client with an empty data directory
is started, every source is asked for its finalised checkpoint, and one is used only if enough of them confirm it.

The agreed block root decides, and nothing that a source sends afterwards is believed without it: the block's header is
hashed here and must give the root, which makes its state root known; block and state are asked for by these roots; and
the client itself checks the root (weak subjectivity) at every start of its first month.

This file is copied to hosts as it is and run by the client's unit, so that a node whose data was removed by hand is
brought back by a plain start of its unit, by the same rules. It needs Python's standard library only.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import hashlib
import http.client
import json
import operator
import os
import re
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

QUORUM = 2
TIMEOUT = 20.0
# the answers asked for are some kilobytes; a mainnet state is 300 MB
MAX_JSON = 4 * 1024 * 1024
MAX_STATE = 4 * 1024**3
RECORD = "checkpoint.json"
# a client that has run for a month has verified the checkpoint many times, and may prune it one day
VERIFY_FOR = 30 * 86400
# after this, a client that was interrupted while it loaded the files has long loaded them
KEEP_FILES_FOR = 3600

_ROOT = re.compile(r"0x[0-9a-f]{64}")


class Refused(Exception):
    """Nothing was started; the text says why and what to do."""


@dataclass(frozen=True)
class Checkpoint:
    epoch: int
    root: str

    def __str__(self) -> str:
        return f"epoch {self.epoch}, root {self.root}"


@dataclass(frozen=True)
class Header:
    slot: int
    proposer_index: int
    parent_root: str
    state_root: str
    body_root: str

    def root(self) -> str:
        """The block's root: the SSZ hash tree root of the five fields of its header."""
        leaves = [
            self.slot.to_bytes(8, "little").ljust(32, b"\0"),
            self.proposer_index.to_bytes(8, "little").ljust(32, b"\0"),
            *(bytes.fromhex(value[2:]) for value in (self.parent_root, self.state_root, self.body_root)),
        ]
        leaves += [bytes(32)] * (8 - len(leaves))
        while len(leaves) > 1:
            leaves = [hashlib.sha256(a + b).digest() for a, b in zip(leaves[::2], leaves[1::2], strict=True)]
        return "0x" + leaves[0].hex()


@dataclass(frozen=True)
class Agreement:
    """What the sources agree on, and what is needed to begin from it."""

    epoch: int
    root: str
    slot: int
    state_root: str
    slots_per_epoch: int
    source: str
    confirmed_by: tuple[str, ...]
    made: float

    @property
    def block_epoch(self) -> int:
        """The epoch that the block lies in: one before, where the epoch's first slot is empty."""
        return self.slot // self.slots_per_epoch


class Source:
    """One Beacon API, with bounded time and size."""

    def __init__(self, url: str, timeout: float = TIMEOUT) -> None:
        self.url = url.rstrip("/")
        self.timeout = timeout

    def _open(self, path: str, accept: str) -> http.client.HTTPResponse:
        """A good answer, of which the body is not read yet."""
        parts = urllib.parse.urlsplit(self.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        try:
            connection = kind(parts.hostname or "", parts.port, timeout=self.timeout)
            connection.request("GET", parts.path + path, headers={"Accept": accept, "Connection": "close"})
            answer = connection.getresponse()
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Refused(f"{self.url}{path}: {error or repr(error)}") from None
        if answer.status != 200:
            leads = answer.headers.get("Location")
            answer.close()
            raise Refused(f"{self.url}{path}: HTTP status {answer.status}" + (f", leads to {leads}" if leads else ""))
        return answer

    def data(self, path: str) -> Any:
        deadline = time.monotonic() + self.timeout
        body = b""
        with self._open(path, "application/json") as answer:
            for part in _parts(answer, f"{self.url}{path}"):
                body += part
                if len(body) > MAX_JSON or time.monotonic() > deadline:
                    raise Refused(f"{self.url}{path}: the answer is too long or too slow")
        try:
            return json.loads(body)["data"]
        except (ValueError, LookupError, TypeError):
            raise Refused(f"{self.url}{path}: not the answer of a Beacon API: {body[:60]!r}") from None

    def finalized(self) -> Checkpoint:
        path = "/eth/v1/beacon/states/head/finality_checkpoints"
        try:
            found = self.data(path)["finalized"]
            checkpoint = Checkpoint(int(found["epoch"]), _root(found["root"]))
        except (LookupError, TypeError, ValueError) as error:
            raise Refused(f"{self.url}{path}: unexpected content: {error!r:.80}") from None
        if checkpoint.root == "0x" + "0" * 64:
            raise Refused(f"{self.url}: nothing is finalised there yet")
        return checkpoint

    def header(self, root: str) -> Header:
        path = f"/eth/v1/beacon/headers/{root}"
        try:
            found = self.data(path)
            message = found["header"]["message"]
            header = Header(
                int(message["slot"]),
                int(message["proposer_index"]),
                *(_root(message[name]) for name in ("parent_root", "state_root", "body_root")),
            )
            canonical = found.get("canonical") is True
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise Refused(f"{self.url}{path}: unexpected content: {error!r:.80}") from None
        if not canonical:
            raise Refused(f"{self.url}: block {root} is not on its chain")
        if header.root() != root:
            raise Refused(f"{self.url}: the header it sends for block {root} has another root, {header.root()}")
        return header

    def slots_per_epoch(self) -> int:
        path = "/eth/v1/config/spec"
        try:
            return int(self.data(path)["SLOTS_PER_EPOCH"])
        except (LookupError, TypeError, ValueError) as error:
            raise Refused(f"{self.url}{path}: unexpected content: {error!r:.80}") from None

    def download(self, path: str, target: Path) -> None:
        """An SSZ object into a file, which is there only if it is whole."""
        part = target.with_suffix(".part")
        size, said = 0, time.monotonic()
        with self._open(path, "application/octet-stream") as answer, part.open("wb") as file:
            if answer.headers.get_content_type() != "application/octet-stream":
                raise Refused(f"{self.url}{path}: sent {answer.headers.get_content_type()}, not SSZ")
            declared = answer.length
            for data in _parts(answer, f"{self.url}{path}"):
                size += file.write(data)
                if size > MAX_STATE:
                    raise Refused(f"{self.url}{path}: longer than {MAX_STATE} bytes")
                if time.monotonic() - said > 10:
                    said = time.monotonic()
                    say(f"{target.name}: {size // 2**20} MiB of {(declared or 0) // 2**20 or '?'}")
            if declared and answer.length:
                raise Refused(f"{self.url}{path}: cut off after {size} bytes, {answer.length} are missing")
            os.fsync(file.fileno())
        part.rename(target)


def _parts(answer: http.client.HTTPResponse, where: str) -> Iterator[bytes]:
    while True:
        try:
            data = answer.read(1024 * 1024)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Refused(f"{where}: cut off: {error!r:.80}") from None
        if not data:
            return
        yield data


def _root(value: Any) -> str:
    if not isinstance(value, str) or not _ROOT.fullmatch(value.lower()):
        raise ValueError(f"{value!r:.80} is not a root")
    return value.lower()


def say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def ask_all(sources: list[Source], question: Callable[[Source], Any]) -> dict[str, Any]:
    """The answer of each source, or its Refused; all at once, so that one that hangs costs its own timeout."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=len(sources)) as pool:
        asked = {source.url: pool.submit(question, source) for source in sources}
    answers: dict[str, Any] = {}
    for url, future in asked.items():
        error = future.exception()
        if error is not None and not isinstance(error, Refused):
            raise error
        answers[url] = error or future.result()
    return answers


def agree(sources: list[Source], quorum: int = QUORUM) -> Agreement:
    """The newest finalised checkpoint that enough sources confirm.

    A source confirms the checkpoint it has itself, and an older one whose block is on its chain. A source that has
    another root for the same epoch contradicts it, and a contradicted checkpoint needs more who confirm than who
    contradict.
    """
    answers = ask_all(sources, Source.finalized)
    silent = [str(answer) for answer in answers.values() if isinstance(answer, Refused)]
    have = {url: answer for url, answer in answers.items() if isinstance(answer, Checkpoint)}
    by_url = {source.url: source for source in sources}
    remarks = []
    for candidate in sorted(set(have.values()), key=lambda checkpoint: -checkpoint.epoch):
        same = [url for url, checkpoint in have.items() if checkpoint == candidate]
        against = [url for url, c in have.items() if c.epoch == candidate.epoch and c.root != candidate.root]
        ahead = [by_url[url] for url, checkpoint in have.items() if checkpoint.epoch > candidate.epoch]
        headers = ask_all(ahead, operator.methodcaller("header", candidate.root)) if ahead else {}
        confirmed = same + [url for url, header in headers.items() if isinstance(header, Header)]
        if len(confirmed) >= quorum and len(confirmed) > len(against):
            if against:
                say(f"warning: {', '.join(against)} contradicts {candidate}, which {', '.join(confirmed)} confirm")
            return _complete(candidate, [by_url[url] for url in confirmed])
        remarks.append(f"{candidate}: confirmed by {', '.join(confirmed)}")
        if against:
            remarks[-1] += f", contradicted by {', '.join(against)}"
    raise Refused(
        f"{quorum} sources must agree on a finalised checkpoint before an empty data directory is filled, and they do "
        "not: " + "; ".join(remarks + silent)
    )


def _complete(checkpoint: Checkpoint, confirming: list[Source]) -> Agreement:
    """Header, state root and slots per epoch, from the first confirming source that has all of it."""
    failures = []
    for source in confirming:
        try:
            header = source.header(checkpoint.root)
            slots_per_epoch = source.slots_per_epoch()
        except Refused as error:
            failures.append(str(error))
            continue
        return Agreement(
            checkpoint.epoch,
            checkpoint.root,
            header.slot,
            header.state_root,
            slots_per_epoch,
            source.url,
            tuple(each.url for each in confirming),
            time.time(),
        )
    raise Refused(f"no source has the header of the agreed block {checkpoint.root}: {'; '.join(failures)}")


class Client:
    """How one client's data directory looks and which flags begin from a checkpoint."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.files = data_dir / "checkpoint"

    def has_database(self) -> bool:
        raise NotImplementedError

    def prepare(self, agreement: Agreement) -> None:
        """What is fetched before the start."""

    def flags(self, agreement: Agreement, fresh: bool) -> list[str]:
        """``fresh``: the client may still have to load the checkpoint."""
        raise NotImplementedError


class Prysm(Client):
    """Loads block and state from files: its own download takes whatever is the newest finalised state by then."""

    def has_database(self) -> bool:
        return (self.data_dir / "beaconchaindata" / "beaconchain.db").exists()

    def prepare(self, agreement: Agreement) -> None:
        self.files.mkdir(mode=0o700, exist_ok=True)
        source = Source(agreement.source, timeout=60)
        source.download(f"/eth/v2/beacon/blocks/{agreement.root}", self.files / "block.ssz")
        source.download(f"/eth/v2/debug/beacon/states/{agreement.state_root}", self.files / "state.ssz")

    def flags(self, agreement: Agreement, fresh: bool) -> list[str]:
        flags = [f"--weak-subjectivity-checkpoint={agreement.root}:{agreement.block_epoch}"]
        if fresh and (self.files / "state.ssz").exists():
            flags += [
                f"--checkpoint-block={self.files / 'block.ssz'}",
                f"--checkpoint-state={self.files / 'state.ssz'}",
                f"--genesis-beacon-api-url={agreement.source}",
            ]
        return flags


class Lighthouse(Client):
    """Downloads by itself, and can be told the state's root (from 8.0 on)."""

    def has_database(self) -> bool:
        return (self.data_dir / "beacon" / "chain_db").exists()

    def flags(self, agreement: Agreement, fresh: bool) -> list[str]:
        flags = [f"--wss-checkpoint={agreement.root}:{agreement.epoch}"]
        if fresh:
            flags += [
                f"--checkpoint-sync-url={agreement.source}",
                f"--checkpoint-sync-state-id={agreement.state_root}",
            ]
        return flags


CLIENTS: dict[str, type[Client]] = {"prysm": Prysm, "lighthouse": Lighthouse}


def read_record(path: Path) -> Agreement | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Agreement(**{**found, "confirmed_by": tuple(found["confirmed_by"])})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, LookupError):
        raise Refused(
            f"{path} is not what this program writes: remove it if the node's data is to be trusted"
        ) from None


def write_record(path: Path, agreement: Agreement) -> None:
    temporary = path.with_suffix(".new")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(asdict(agreement), file, indent=1)
        os.fsync(file.fileno())
    temporary.rename(path)


def extra_flags(client: Client, sources: list[Source], quorum: int = QUORUM, now: float | None = None) -> list[str]:
    """What the client's command line needs beyond what its unit says.

    The record is written before the client is started for the first time, so that a run that is killed at any point is
    taken up by the next start: without a database everything begins anew, with one the record says what to verify.
    """
    record = client.data_dir / RECORD
    if not client.has_database():
        agreement = agree(sources, quorum)
        say(f"{len(agreement.confirmed_by)} of {len(sources)} sources agree on {agreement.epoch}:{agreement.root}")
        client.prepare(agreement)
        write_record(record, agreement)
        return client.flags(agreement, fresh=True)
    known = read_record(record)
    if not known:
        return []
    age = (time.time() if now is None else now) - known.made
    if age > KEEP_FILES_FOR and client.files.exists():
        for file in client.files.iterdir():
            file.unlink()
        client.files.rmdir()
    return client.flags(known, fresh=age <= KEEP_FILES_FOR) if age <= VERIFY_FOR else []


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Starts a consensus client, from a checkpoint if it has no data.")
    parser.add_argument("--client", choices=sorted(CLIENTS), required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--source", action="append", required=True, help="URL of a Beacon API; at least two")
    parser.add_argument("--quorum", type=int, default=QUORUM)
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help="seconds for one question to one source")
    parser.add_argument("command", nargs="+", help="the client and its flags, after --")
    given = parser.parse_args(arguments)
    sources = [Source(url, given.timeout) for url in given.source]
    try:
        flags = extra_flags(CLIENTS[given.client](given.data_dir), sources, given.quorum)
    except Refused as error:
        say(f"not started: {error}")
        return 1
    command = [*given.command, *flags]
    os.execv(command[0], command)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
