"""What became of the transactions that were accepted: judged by receipts, since a hash is no promise."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from .accounts import Transaction
from .generator import Generator


async def judge(generator: Generator) -> dict[str, float]:
    """Wait for receipts, send again what has none, and count.

    ``tx_lost``: accepted, no receipt in time, and the node took it as new when it was sent again: it had forgotten it.
    A transaction that waits behind a lost one of the same sender is in the pool ("already known") and not counted.
    ``tx_never``: without a receipt even after that.
    """
    accepted = [transaction for transaction in generator.transactions if transaction.accepted]
    missing = await _without_receipt(generator, accepted, generator.options.settle)
    lost = 0
    if missing:
        ordered = sorted(missing, key=lambda transaction: transaction.nonce)
        # Those that were refused go first too: their nonces are the gaps that others wait behind.
        gaps = [t for t in generator.transactions if not t.accepted]
        await _send(generator, sorted(gaps, key=lambda transaction: transaction.nonce))
        answers = await _send(generator, ordered)
        lost = sum(answer == transaction.hash for answer, transaction in zip(answers, ordered, strict=True))
        missing = await _without_receipt(generator, missing, generator.options.settle)
    return {
        "tx_sent": len(generator.transactions),
        "tx_accepted": len(accepted),
        "tx_lost": lost,
        "tx_never": len(missing),
    }


async def _send(generator: Generator, transactions: list[Transaction]) -> list[Any]:
    return await generator.ask_all([("eth_sendRawTransaction", [transaction.raw]) for transaction in transactions])


async def _without_receipt(generator: Generator, transactions: list[Transaction], patience: float) -> list[Transaction]:
    until = time.monotonic() + patience
    missing = transactions
    while missing:
        questions = [("eth_getTransactionReceipt", [transaction.hash]) for transaction in missing]
        receipts = await generator.ask_all(questions)
        missing = [
            t for t, receipt in zip(missing, receipts, strict=True) if not (receipt and "blockNumber" in receipt)
        ]
        if time.monotonic() > until:
            break
        if missing:
            await asyncio.sleep(1.0)
    return missing
