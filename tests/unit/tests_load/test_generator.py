"""The load generator against made-up nodes: what it counts when they fail, lag, and forget transactions."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from eth_account import Account

from tests.lab.load.accounts import Sender, accounts
from tests.lab.load.fakenode import Chain, Node
from tests.lab.load.generator import Generator, Options, _words
from tests.lab.load.receipts import judge
from tests.lab.load.record import figures, summary

READS = {"eth_blockNumber": 40, "eth_getBlockByNumber": 30, "eth_call": 20, "batch": 10}

Break = Callable[[Node, Node], Awaitable[None]]


def addresses() -> tuple[str, str]:
    """Two loopback addresses of this test worker's own."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) + 1
    return f"127.44.{worker}.1", f"127.44.{worker}.2"


def load(meanwhile: Break | None = None, both: bool = False, **options: Any) -> tuple[Generator, dict[str, float]]:
    """Two seconds of load on one node, or on one with the other to turn to."""

    async def run() -> tuple[Generator, dict[str, float]]:
        chain = Chain(slot=0.5)
        first, second = (Node(name, address, chain) for name, address in zip("ab", addresses(), strict=True))
        await first.start()
        await second.start()
        urls = [f"http://{node.address}:8545" for node in ([first, second] if both else [first])]
        generator = Generator(
            Options(urls, **{"rate": 60, "duration": 2.0, "timeout": 1.0, "mix": READS, "settle": 1.0} | options)
        )
        await generator.prepare()
        running = asyncio.create_task(generator.run())
        await asyncio.sleep(0.7)
        if meanwhile:
            await meanwhile(first, second)
        await running
        await first.set(rpc="ok")
        fates = await judge(generator)
        await first.stop()
        await second.stop()
        return generator, figures(generator.records) | fates

    return asyncio.run(run())


def test_a_healthy_node() -> None:
    generator, found = load()
    assert (found["requests"], found["failed"], found["head_regressions"]) == (120, 0, 0)
    assert 0 < found["oldest_answer_s"] < 2.0
    assert found["slowest_s"] < 1.0
    assert {record.kind for record in generator.records} == set(READS)


def test_the_rate_does_not_follow_the_answers() -> None:
    async def freeze(first: Node, _second: Node) -> None:
        await first.set(rpc="hang")

    _generator, found = load(freeze)
    assert found["requests"] == 120
    assert 70 <= found["failed"] <= 85
    assert 1.0 <= found["slowest_s"] < 1.5


def test_a_dead_node_fails_what_a_second_address_saves() -> None:
    async def kill(first: Node, _second: Node) -> None:
        await first.set(rpc="dead")

    _generator, found = load(kill)
    assert 70 <= found["failed"] <= 85
    _generator, found = load(kill, both=True)
    assert found["failed"] == 0
    assert 70 <= found["retried_elsewhere"] <= 85


def test_an_older_head_and_an_old_block_are_seen() -> None:
    async def fall_behind(first: Node, _second: Node) -> None:
        await first.set(rpc="behind")

    _generator, found = load(fall_behind)
    assert found["failed"] == 0
    assert found["head_regressions"] > 30
    assert found["oldest_answer_s"] > 2.5


def test_transactions_are_judged_by_receipts() -> None:
    generator, found = load(mix={"eth_sendRawTransaction": 1, "eth_blockNumber": 1}, senders=3, rate=20)
    assert found["failed"] == 0
    assert 10 < found["tx_sent"] < 30
    assert (found["tx_accepted"], found["tx_lost"], found["tx_never"]) == (found["tx_sent"], 0, 0)
    nonces = sorted((t.sender, t.nonce) for t in generator.transactions)
    assert len(set(nonces)) == len(nonces)


def test_a_forgotten_transaction_is_lost_however_it_was_answered() -> None:
    async def forget(first: Node, _second: Node) -> None:
        for transaction in list(first.chain.included)[:2]:
            del first.chain.included[transaction]

    _generator, found = load(forget, mix={"eth_sendRawTransaction": 1}, senders=3, rate=10)
    assert (found["failed"], found["tx_lost"], found["tx_never"]) == (0, 2, 0)


def test_a_repeated_transaction_is_no_failure() -> None:
    async def run() -> dict[str, float]:
        chain = Chain(slot=0.5)
        node = Node("a", addresses()[0], chain)
        await node.start()
        generator = Generator(
            Options(
                [f"http://{node.address}:8545"], rate=10, duration=1.0, mix={"eth_sendRawTransaction": 1}, senders=2
            )
        )
        await generator.prepare()
        for _sender, transaction in generator._ready:
            chain.included[transaction.hash] = 0
        await generator.run()
        await node.stop()
        return figures(generator.records)

    found = asyncio.run(run())
    assert (found["failed"], found["already_known"]) == (0, 10)


def test_every_request_is_written_to_the_trace() -> None:
    async def run() -> tuple[str, int]:
        node = Node("a", addresses()[0], Chain())
        await node.start()
        trace = io.StringIO()
        generator = Generator(Options([f"http://{node.address}:8545"], rate=20, duration=0.5, mix=READS), trace)
        await generator.run()
        await node.stop()
        assert summary(generator.records)["errors"] == {}
        return trace.getvalue(), len(generator.records)

    text, count = asyncio.run(run())
    assert text.count("\n") == count == 10


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"jsonrpc":"2.0","id":8,"error":{"code":-32002,"message":"no node"}}', "no node"),
        (b"<html>503", "<html>503"),
        (b"[]", "[]"),
    ],
)
def test_equal_errors_can_be_counted(body: bytes, words: str) -> None:
    assert _words(body) == words


def test_accounts_come_from_the_seed_alone() -> None:
    assert [a.address for a in accounts(2)] == [a.address for a in accounts(3)][:2]
    assert accounts(1, "another")[0].address != accounts(1)[0].address


def test_a_signed_transaction_is_the_senders() -> None:
    account = accounts(1)[0]
    sender = Sender(account, 1337, 5)
    transaction = sender.sign()
    assert (transaction.sender, transaction.nonce, sender.nonce) == (account.address, 5, 6)
    assert Account.recover_transaction(transaction.raw) == account.address


@pytest.mark.parametrize("rate", [1.0, 7.0])
def test_a_run_ends_with_its_duration(rate: float) -> None:
    generator, found = load(rate=rate)
    assert found["requests"] == round(2 * rate)
    assert len(generator.records) == found["requests"]
