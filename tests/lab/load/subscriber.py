"""A client of the WebSocket service: subscribes to new heads, connects again when its socket dies, keeps the times."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import aiohttp


@dataclass
class Subscriber:
    """Figures of a run: heads, drops, reconnect_s (the longest, from a drop to the next head), longest_gap_s, …"""

    urls: list[str]
    heads: list[tuple[float, int]] = field(default_factory=list)
    drops: int = 0
    refused: int = 0
    reconnect_s: float = 0.0
    oldest_head_s: float = 0.0
    nodes: list[str] = field(default_factory=list)
    _dropped_at: float | None = None

    async def run_for(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._run()
        except TimeoutError:
            pass

    async def _run(self) -> None:
        attempt = 0
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(sock_connect=1.0)) as session:
            while True:
                url = self.urls[attempt % len(self.urls)]
                try:
                    await self._listen(session, url)
                    self.drops += 1
                    self._dropped_at = self._dropped_at or time.monotonic()
                except (aiohttp.ClientError, OSError, TimeoutError):
                    self.refused += 1
                    attempt += 1
                    await asyncio.sleep(0.1)

    async def _listen(self, session: aiohttp.ClientSession, url: str) -> None:
        """Take heads until the socket ends."""
        async with session.ws_connect(url, heartbeat=None, verify_ssl=False) as socket:
            self.nodes.append(socket._response.headers.get("x-node", ""))
            await socket.send_json({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]})
            async for message in socket:
                if message.type != aiohttp.WSMsgType.TEXT:
                    return
                document = message.json()
                if document.get("method") == "eth_subscription":
                    self._head(document["params"]["result"])

    def _head(self, block: dict[str, str]) -> None:
        self.heads.append((time.monotonic(), int(block["number"], 16)))
        self.oldest_head_s = max(self.oldest_head_s, time.time() - int(block["timestamp"], 16))
        if self._dropped_at is not None:
            self.reconnect_s = max(self.reconnect_s, time.monotonic() - self._dropped_at)
            self._dropped_at = None

    def figures(self) -> dict[str, float]:
        times = [at for at, _dummy in self.heads]
        gaps = [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
        return {
            "heads": len(self.heads),
            "drops": self.drops,
            "refused": self.refused,
            "reconnect_s": round(self.reconnect_s, 3),
            "longest_gap_s": round(max(gaps, default=0.0), 3),
            "oldest_head_s": round(self.oldest_head_s, 3),
        }
