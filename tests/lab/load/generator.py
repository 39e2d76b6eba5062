"""A constant load of mixed JSON-RPC requests that does not slow down when answers do.

Requests are started by the clock (open loop): a stall of the service shows as requests that waited, not as fewer of
them.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TextIO

from . import record as records
from .accounts import COUNT, SEED, Sender, Transaction, accounts
from .client import Answer, Client, RequestFailed
from .record import Record

MIX = {
    "eth_blockNumber": 35,
    "eth_getBlockByNumber": 25,
    "eth_call": 20,
    "batch": 10,
    "eth_sendRawTransaction": 10,
}
"""How many of a hundred requests are of which kind."""

REPEATED = ("already known", "nonce too low")
"""Answers to a transaction that a retry has already delivered: judged by its receipt, not a failure."""

# The identity precompile answers with what it was given, on every chain.
CALL_DATA = "0x636861696e6f7073"
CALL = {"to": "0x0000000000000000000000000000000000000004", "data": CALL_DATA}


@dataclass
class Options:
    """What load to make. See the command line's help for units and defaults."""

    urls: list[str]
    rate: float = 200.0
    duration: float | None = None
    timeout: float = 10.0
    patience: float = 3.0
    """Seconds to wait for an answer while another address is left to try; a third of that for a connection."""
    fresh: float = 0.25
    """Share of requests that open a connection of their own; the others share kept ones."""
    senders: int = COUNT
    seed: str = SEED
    mix: dict[str, int] = field(default_factory=lambda: dict(MIX))
    settle: float = 30.0
    """How long to wait for receipts after the load."""
    verify: bool = True


class Unexpected(Exception):
    """An answer came, and it is not an answer to the request."""


class Generator:
    """One run: start() to finish(), then the records and the transactions' fates."""

    def __init__(
        self, options: Options, trace: TextIO | None = None, say: Callable[[str], None] = lambda _text: None
    ) -> None:
        self.options = options
        self.records: list[Record] = []
        self.transactions: list[Transaction] = []
        self.late = 0.0
        """The most that a request was started after its time, in seconds: how far this machine itself fell behind."""
        self._clients = [Client(url, options.verify) for url in options.urls]
        self._trace = trace
        self._say = say
        self._random = random.Random(options.seed)
        self._ids = itertools.count(1)
        self._senders: list[Sender] = []
        self._ready: list[tuple[Sender, Transaction]] = []
        self._highest = 0
        self._timestamps: dict[int, int] = {}
        self._stop = asyncio.Event()
        self._kinds = random.Random(options.seed).choices(list(options.mix), list(options.mix.values()), k=4096)

    def stop(self) -> None:
        """Start no more requests; run() returns once those under way have ended."""
        self._stop.set()

    async def prepare(self) -> None:
        """Ask the chain for its id and the senders' nonces, and sign what the run will send."""
        if not self.options.mix.get("eth_sendRawTransaction"):
            return
        chain_id = int(await self.ask("eth_chainId"), 16)
        keys = accounts(self.options.senders, self.options.seed)
        nonces = await self.ask_all([("eth_getTransactionCount", [key.address, "pending"]) for key in keys])
        self._senders = [Sender(key, chain_id, int(nonce, 16)) for key, nonce in zip(keys, nonces, strict=True)]
        share = self.options.mix["eth_sendRawTransaction"] / sum(self.options.mix.values())
        wanted = int(self.options.rate * share * min(self.options.duration or 30.0, 120.0)) + 1
        self._say(f"signing {wanted} transactions of {len(keys)} senders")
        self._sign(wanted)

    def _sign(self, count: int) -> None:
        turns = itertools.cycle(self._senders)
        fresh = []
        for _dummy in range(count):
            sender = next(turns)
            fresh.append((sender, sender.sign()))
        self._ready = list(reversed(fresh)) + self._ready

    async def run(self) -> None:
        """Start requests by the clock until the duration is over or stop() is called, and wait for their answers."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        running: set[asyncio.Task[None]] = set()
        for number in itertools.count():
            due = number / self.options.rate
            if self._stop.is_set() or (self.options.duration is not None and due >= self.options.duration):
                break
            wait = begin + due - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            self.late = max(self.late, loop.time() - begin - due)
            task = loop.create_task(self._one(self._kinds[number % len(self._kinds)]))
            running.add(task)
            task.add_done_callback(running.discard)
        if running:
            await asyncio.wait(running)
        for client in self._clients:
            client.close()

    async def _one(self, kind: str) -> None:
        body, judge = self._request(kind)
        fresh = self._random.random() < self.options.fresh
        floor = self._highest
        record = Record(at=time.time(), kind=kind)
        started = time.perf_counter()
        for attempt, client in enumerate(self._clients, 1):
            record.attempts = attempt
            record.ok, record.error, record.begun = False, "", False
            last = attempt == len(self._clients)
            timeout = self.options.timeout if last else self.options.patience
            try:
                answer = await client.post(body, timeout, fresh, None if last else timeout / 3)
                self._read(record, answer, judge)
                record.ok = True
            except RequestFailed as failure:
                record.error, record.begun = str(failure), failure.begun
            except Unexpected as failure:
                record.error = str(failure)
            if record.ok or record.begun:
                break
        record.seconds = round(time.perf_counter() - started, 5)
        if record.head is not None and record.ok:
            record.regressed = record.head < floor
            self._highest = max(self._highest, record.head)
        self.records.append(record)
        if self._trace:
            self._trace.write(records.line(record))

    def _read(self, record: Record, answer: Answer, judge: Callable[[Record, Any], None]) -> None:
        record.status = answer.status
        record.node = answer.headers.get("x-node", "")
        record.balancer = answer.headers.get("x-balancer", "")
        if answer.status != 200:
            raise Unexpected(f"HTTP {answer.status}: {_words(answer.body)}")
        try:
            document = json.loads(answer.body)
        except ValueError:
            raise Unexpected(f"not JSON: {answer.body[:80]!r}") from None
        judge(record, document)

    # Requests and what their answers must be

    def _request(self, kind: str) -> tuple[bytes, Callable[[Record, Any], None]]:
        if kind == "batch":
            calls = [
                self._call("eth_blockNumber"),
                self._call("eth_getBlockByNumber", "latest", False),
                self._call("eth_call", CALL, "latest"),
                self._call("eth_gasPrice"),
            ]
            return json.dumps(calls).encode(), lambda record, document: self._judge_batch(record, calls, document)
        if kind == "eth_sendRawTransaction":
            if not self._ready:
                self._sign(10)
            sender, transaction = self._ready.pop()
            sender.sent.append(transaction)
            self.transactions.append(transaction)
            call = self._call(kind, transaction.raw)
            return json.dumps(call).encode(), lambda record, document: self._judge_sent(
                record, call, document, transaction
            )
        params: dict[str, tuple[Any, ...]] = {"eth_getBlockByNumber": ("latest", False), "eth_call": (CALL, "latest")}
        call = self._call(kind, *params.get(kind, ()))
        return json.dumps(call).encode(), lambda record, document: self._judge_call(record, call, document)

    def _call(self, method: str, *params: Any) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(params)}

    def _judge_call(self, record: Record, call: dict[str, Any], document: Any) -> None:
        result = _result(call, document)
        method = call["method"]
        try:
            if method == "eth_blockNumber":
                self._saw(record, int(result, 16), self._timestamps.get(int(result, 16)))
            elif method == "eth_getBlockByNumber":
                number, timestamp = int(result["number"], 16), int(result["timestamp"], 16)
                self._timestamps[number] = timestamp
                self._saw(record, number, timestamp)
            elif method == "eth_call" and result != CALL_DATA:
                raise Unexpected(f"eth_call gave {str(result)[:80]}")
        except (TypeError, KeyError, ValueError):
            raise Unexpected(f"{method} gave {str(result)[:80]}") from None

    def _judge_batch(self, record: Record, calls: list[dict[str, Any]], document: Any) -> None:
        if not isinstance(document, list) or len(document) != len(calls):
            raise Unexpected(f"a batch of {len(calls)} was answered with {str(document)[:80]}")
        by_id = {entry.get("id"): entry for entry in document if isinstance(entry, dict)}
        for call in calls:
            self._judge_call(record, call, by_id.get(call["id"]))

    def _judge_sent(self, record: Record, call: dict[str, Any], document: Any, transaction: Transaction) -> None:
        try:
            result = _result(call, document)
        except Unexpected as failure:
            repeated = next((text for text in REPEATED if text in str(failure)), None)
            if repeated is None:
                raise
            record.error = repeated
        else:
            if result != transaction.hash:
                raise Unexpected(f"eth_sendRawTransaction gave {str(result)[:80]}")
        transaction.accepted = True

    def _saw(self, record: Record, number: int, timestamp: int | None) -> None:
        record.head = number if record.head is None else min(record.head, number)
        if timestamp is not None:
            record.age = round(max(record.age or 0.0, time.time() - timestamp), 3)

    # Questions of the run's own, which are not part of the load

    async def ask(self, method: str, *params: Any) -> Any:
        return (await self.ask_all([(method, list(params))]))[0]

    async def ask_all(self, questions: list[tuple[str, list[Any]]], patience: float = 30.0) -> list[Any]:
        """The results of several calls, in batches of 50, asked again for `patience` seconds where no answer comes."""
        results: list[Any] = []
        for start in range(0, len(questions), 50):
            calls = [self._call(method, *params) for method, params in questions[start : start + 50]]
            document = await self._insist(json.dumps(calls).encode(), patience)
            by_id = {entry["id"]: entry for entry in document}
            results += [_result(call, by_id.get(call["id"]), error_is_result=True) for call in calls]
        return results

    async def _insist(self, body: bytes, patience: float) -> Any:
        until = time.monotonic() + patience
        for client in itertools.cycle(self._clients):
            try:
                answer = await client.post(body, self.options.timeout, fresh=True)
                if answer.status == 200:
                    return json.loads(answer.body)
                trouble = f"HTTP {answer.status}"
            except RequestFailed as failure:
                trouble = str(failure)
            if time.monotonic() > until:
                raise RuntimeError(f"{client.url} gave no answer in {patience:g} s: {trouble}")
            await asyncio.sleep(0.3)
        raise AssertionError


def _words(body: bytes) -> str:
    """An error's message without its id, so that equal errors can be counted; else the body's beginning."""
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return body[:120].decode("latin-1")


def _result(call: dict[str, Any], document: Any, error_is_result: bool = False) -> Any:
    if not isinstance(document, dict) or document.get("id") != call["id"]:
        raise Unexpected(f"{call['method']} was answered with {str(document)[:80]}")
    if document.get("error") is not None:
        if error_is_result:
            return document["error"]
        raise Unexpected(f"{call['method']}: {document['error'].get('message', document['error'])}")
    return document.get("result")
